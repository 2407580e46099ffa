"""Checkpoints that carry their own configuration and cannot run code."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf.errors import OmegaConfBaseException

from invariantnets.errors import InvariantNetsError
from invariantnets.module import FORMAT, InvariantNet
from invariantnets.trust import ROOMS, check_plain, check_targets

Kind = TypeVar("Kind")
_FOREIGN = "so it was not loaded; use one written by train.py"

# What readers raise on a damaged file.
DAMAGED = (
    *(RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(AssertionError, MemoryError, struct.error, zipfile.BadZipFile),
)


def _check_whole(path: Path) -> None:
    """Compare every part of the file with its checksum, which torch does not. Reads about 1 GB a second.

    What torch writes is not compressed: a part that is could be far larger than the file.
    """
    if not zipfile.is_zipfile(path):
        raise InvariantNetsError(
            f"{path}: truncated or damaged, or no checkpoint; nothing of it was run; {_another(path)}"
        )
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise InvariantNetsError(f"{path}: not written by invariantnets (it is compressed, which ours never are)")
        if (part := archive.testzip()) is not None:
            raise InvariantNetsError(
                f"{path}: truncated or damaged (the bytes of {part} are not those that were written); {_another(path)}"
            )


def _another(path: Path) -> str:
    """What can be done about a checkpoint that cannot be read: the newest beside it, if there is one."""
    others = sorted(path.parent.glob("*.ckpt"), key=lambda other: other.stat().st_mtime)
    found = [str(other) for other in others if other != path]
    return f"try ckpt_path={found[-1]} in its place" if found else "no other lies beside it: train it again"


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of ours. Nothing in the file is executed.

    Returns:
        Lightning's dictionary; ``["invariantnets"]["config"]`` is the run's resolved configuration.

    Raises:
        InvariantNetsError: missing, truncated, foreign or holding more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        what = "no such checkpoint" + (" (it is a folder)" if path.is_dir() else "")
        raise InvariantNetsError(f"{path}: {what}; give ckpt_path=<run folder>/checkpoints/best.ckpt")
    try:
        _check_whole(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on old formats, which are refused below anyway
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InvariantNetsError(
            f"{path}: holds pickled objects beside tensors, or is no checkpoint; nothing of it was run. "
            "Load only checkpoints written by train.py"
        ) from None
    except InvariantNetsError:
        raise
    except DAMAGED as error:
        # torch asks readers of some of its messages to improve them.
        reason = str(error).splitlines()[0].partition(" (Could this")[0] if str(error) else "it ends too early"
        raise InvariantNetsError(f"{path}: truncated or damaged ({reason}); {_another(path)}") from None
    if not isinstance(checkpoint, dict) or "invariantnets" not in checkpoint or "state_dict" not in checkpoint:
        raise InvariantNetsError(
            f"{path}: not written by invariantnets (it carries no configuration); to probe another network, use "
            "evaluate.py backbone=torchvision backbone.weights=<file>, or save its features and give features=<table>"
        )
    ours = checkpoint["invariantnets"]
    if isinstance(ours, dict) and ours.get("format", FORMAT) != FORMAT:
        raise InvariantNetsError(
            f"{path}: written by another version (format {ours['format']}, here {FORMAT}); use the one that wrote it"
        )
    config = ours.get("config") if isinstance(ours, dict) else None
    for part in ROOMS:  # of them, two are made out of the file; the rest is kept for the record
        if not isinstance(config, dict) or not isinstance(config.get(part), dict):
            raise InvariantNetsError(f"{path}: its configuration has no part {part!r}; use one written by train.py")
    assert isinstance(config, dict)
    check_plain(config, str(path))
    for part in ROOMS:
        check_targets(config[part], str(path), [part])
    _check_claims(checkpoint, path)
    return checkpoint


def _check_claims(checkpoint: dict[str, Any], path: Path) -> None:
    """Refuse tensors that would be more than the file holds once they are used: views that repeat what is stored.

    And what else is taken for granted wherever a checkpoint is read.
    """
    tensors: dict[int, torch.Tensor] = {}
    known: set[int] = set()
    left: list[Any] = [checkpoint]
    while left:
        node = left.pop()
        if isinstance(node, torch.Tensor):
            tensors[id(node)] = node
        elif isinstance(node, dict | list | tuple | set) and id(node) not in known:
            known.add(id(node))
            left += [*node.keys(), *node.values()] if isinstance(node, dict) else node
    plain = all(x.layout == torch.strided and x.device.type == "cpu" and not x.is_quantized for x in tensors.values())
    if not plain or sum(x.nbytes for x in tensors.values()) > path.stat().st_size:
        raise InvariantNetsError(
            f"{path}: its tensors are not written out, or claim to be larger than the file, {_FOREIGN}"
        )
    weights, ours = checkpoint["state_dict"], checkpoint["invariantnets"]
    people, places = ours.get("identities", ()), ours["config"].get("paths", {})
    if (
        not isinstance(weights, dict)
        or not all(isinstance(name, str) and isinstance(x, torch.Tensor) for name, x in weights.items())
        or not isinstance(people, list | tuple)
        or not all(isinstance(name, str) for name in (*people, *ours["config"]["choices"].values()))
        or not isinstance(places, dict)
        or not all(isinstance(places.get(key, ""), str) for key in ("data_dir", "cache_dir", "output_dir"))
    ):
        raise InvariantNetsError(f"{path}: its weights, names or paths are of other types than ours, {_FOREIGN}")


def built(part: Mapping[str, Any], path: str | Path, kind: type[Kind]) -> Kind:
    """What a part of the configuration in a checkpoint describes.

    Raises:
        InvariantNetsError: it cannot be made here, as of another version; or what the part itself raises.
    """
    try:
        made: Any = instantiate(part, _convert_="all")
        reason = f"a {type(made).__name__} is no {kind.__name__}"
    except (InstantiationException, OmegaConfBaseException) as error:
        if isinstance(error.__cause__, InvariantNetsError):
            raise
        made, reason = None, " ".join(str(error.__cause__ or error).split())
        if missing := re.search(r"ModuleNotFoundError.*?No module named '([\w.]+)'", reason):
            raise InvariantNetsError(
                f"{path}: needs the module {missing[1]}, which is not here; run where it lies, or name its folder in "
                "PYTHONPATH"
            ) from error
    if not isinstance(made, kind):
        raise InvariantNetsError(
            f"{path}: was written by another version of invariantnets ({reason}); use the one that wrote it"
        )
    return made


def load_model(path: str | Path) -> tuple[InvariantNet, dict[str, Any]]:
    """The trained module, in evaluation mode, and the configuration of its run.

    Raises:
        InvariantNetsError: see :func:`load_checkpoint`; or weights that do not fit the configuration.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint["invariantnets"]["config"]
    with torch.device("meta"):  # without memory: as large as the configuration says, it is made only if the weights are
        _load(built(config["model"], path, InvariantNet), checkpoint["state_dict"], path, assign=True)
    model = built(config["model"], path, InvariantNet)
    _load(model, checkpoint["state_dict"], path)
    for name, weights in model.state_dict().items():
        if not weights.isfinite().all():
            raise InvariantNetsError(f"{path}: weights {name} are not finite; use an earlier checkpoint, or train anew")
    ours = checkpoint["invariantnets"]
    model.config, model.identities = config, tuple(ours.get("identities", ()))
    model.data_checksum = ours.get("data_checksum")
    return model.eval(), config


def _load(model: InvariantNet, weights: Mapping[str, torch.Tensor], path: str | Path, assign: bool = False) -> None:
    try:
        model.load_state_dict(weights, strict=True, assign=assign)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition("InvariantNet: ")[2]
        raise InvariantNetsError(
            f"{path}: the weights do not fit the network of its own configuration ({reason}); use another checkpoint "
            "of the run"
        ) from None
