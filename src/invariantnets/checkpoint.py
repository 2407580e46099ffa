"""Checkpoints that carry their own configuration and cannot run code."""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from invariantnets.errors import InvariantNetsError
from invariantnets.module import FORMAT, InvariantNet

# What a configuration out of a file may name. Both the name and the place where the object was
# defined must match: "torch.optim.sgd.torch.load" begins well and ends elsewhere.
TRUSTED = (
    "invariantnets.backbones",
    "invariantnets.constraints",
    "invariantnets.data",
    "invariantnets.module",
    "invariantnets.muon",
    "torch.optim",
)


# What readers raise on a damaged file.
DAMAGED = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
)


def targets(node: Any) -> Iterator[str]:
    """Every ``_target_`` in a nested configuration."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_":
                yield str(value)
            else:
                yield from targets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from targets(value)


def interpolations(node: Any) -> Iterator[str]:
    """Every string that OmegaConf would expand: ``${oc.create:…}`` could make a ``_target_`` unseen."""
    if isinstance(node, Mapping):
        node = node.values()
    elif isinstance(node, str):
        if "${" in node:
            yield node
        return
    elif not isinstance(node, list | tuple):
        return
    for value in node:
        yield from interpolations(value)


def check_targets(config: Any, owner: str) -> None:
    """Refuse a configuration that would call anything outside the allow-list.

    Raises:
        InvariantNetsError: naming the target; or an interpolation, which our resolved configurations do not hold.
    """
    for text in interpolations(config):
        raise InvariantNetsError(f"{owner}: its configuration holds the interpolation {text!r}, so it was not loaded")
    for target in targets(config):
        trusted = target.startswith(tuple(f"{prefix}." for prefix in TRUSTED))
        if trusted:
            try:
                found = get_object(target)
            except (ImportError, AttributeError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise InvariantNetsError(f"{owner}: its target {target} does not exist here ({reason})") from None
            trusted = str(getattr(found, "__module__", "")).startswith(TRUSTED)
        if not trusted:
            raise InvariantNetsError(
                f"{owner}: its configuration names {target}, which is outside {', '.join(TRUSTED)}; "
                "a checkpoint must not call anything else, so it was not loaded"
            )


def _check_whole(path: Path) -> None:
    """Compare every part of the file with its checksum, which torch does not. Reads about 1 GB a second.

    What torch writes is not compressed: a part that is could be far larger than the file.
    """
    if not zipfile.is_zipfile(path):
        raise InvariantNetsError(
            f"{path}: truncated or damaged, or no checkpoint; nothing of it was run. Give another of the run, as in "
            "ckpt_path=<run folder>/checkpoints/best.ckpt"
        )
    with zipfile.ZipFile(path) as archive:
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            raise InvariantNetsError(f"{path}: not written by invariantnets (it is compressed, which ours never are)")
        if (part := archive.testzip()) is not None:
            raise InvariantNetsError(
                f"{path}: truncated or damaged (the bytes of {part} are not those that were written); use another "
                "checkpoint of the run"
            )


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
        raise InvariantNetsError(
            f"{path}: truncated or damaged ({reason}); use another checkpoint of the run"
        ) from None
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
    # Only these two parts are ever instantiated from a file; the rest is kept for the record.
    for part in ("model", "data", "choices"):
        if not isinstance(config, dict) or not isinstance(config.get(part), dict):
            raise InvariantNetsError(f"{path}: its configuration has no part {part!r}; use one written by train.py")
        check_targets(config[part], str(path))
    return checkpoint


def built(part: Mapping[str, Any], path: str | Path) -> Any:
    """What a part of the configuration in a checkpoint describes.

    Raises:
        InvariantNetsError: it cannot be made here, as of another version; or what the part itself raises.
    """
    try:
        return instantiate(part, _convert_="all")
    except InstantiationException as error:
        if not isinstance(error.__cause__, TypeError):
            raise
        reason = " ".join(str(error.__cause__).split())
        raise InvariantNetsError(
            f"{path}: was written by another version of invariantnets ({reason}); use the one that wrote it"
        ) from None


def load_model(path: str | Path) -> tuple[InvariantNet, dict[str, Any]]:
    """The trained module, in evaluation mode, and the configuration of its run.

    Raises:
        InvariantNetsError: see :func:`load_checkpoint`; or weights that do not fit the configuration.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint["invariantnets"]["config"]
    model: InvariantNet = built(config["model"], path)
    try:
        model.load_state_dict(checkpoint["state_dict"], strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split()).partition("InvariantNet: ")[2]
        raise InvariantNetsError(
            f"{path}: the weights do not fit the network of its own configuration ({reason}); use another checkpoint "
            "of the run"
        ) from None
    for name, weights in model.state_dict().items():
        if not weights.isfinite().all():
            raise InvariantNetsError(f"{path}: weights {name} are not finite; use an earlier checkpoint, or train anew")
    ours = checkpoint["invariantnets"]
    model.config, model.identities = config, tuple(ours.get("identities", ()))
    model.data_checksum = ours.get("data_checksum")
    return model.eval(), config
