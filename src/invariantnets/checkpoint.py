"""Checkpoints that carry their own configuration and cannot run code."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object, instantiate

from invariantnets.errors import InvariantNetsError
from invariantnets.module import InvariantNet

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


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of ours. Nothing in the file is executed.

    Returns:
        Lightning's dictionary; ``["invariantnets"]["config"]`` is the run's resolved configuration.

    Raises:
        InvariantNetsError: missing, truncated, foreign or holding more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise InvariantNetsError(f"{path}: no such checkpoint; give ckpt_path=<run folder>/checkpoints/best.ckpt")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on old formats, which are refused below anyway
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InvariantNetsError(
            f"{path}: holds pickled objects beside tensors, or is no checkpoint; nothing of it was run. "
            "Load only checkpoints written by train.py"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, struct.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvariantNetsError(
            f"{path}: truncated or damaged ({reason}); use another checkpoint of the run"
        ) from None
    if not isinstance(checkpoint, dict) or "invariantnets" not in checkpoint or "state_dict" not in checkpoint:
        raise InvariantNetsError(
            f"{path}: not written by invariantnets (it carries no configuration); to probe another network, save its "
            "features and use evaluate.py features=<table>"
        )
    ours = checkpoint["invariantnets"]
    config = ours.get("config") if isinstance(ours, dict) else None
    # Only these two parts are ever instantiated from a file; the rest is kept for the record.
    for part in ("model", "data"):
        if not isinstance(config, dict) or not isinstance(config.get(part), dict):
            raise InvariantNetsError(f"{path}: its configuration has no part {part!r}; use one written by train.py")
        check_targets(config[part], str(path))
    return checkpoint


def load_model(path: str | Path) -> tuple[InvariantNet, dict[str, Any]]:
    """The trained module, in evaluation mode, and the configuration of its run.

    Raises:
        InvariantNetsError: see :func:`load_checkpoint`; or weights that do not fit the configuration.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint["invariantnets"]["config"]
    model: InvariantNet = instantiate(config["model"], _convert_="all")
    try:
        model.load_state_dict(checkpoint["state_dict"], strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InvariantNetsError(
            f"{path}: the weights do not fit the network of its own configuration ({reason})"
        ) from None
    model.config, model.identities = config, tuple(checkpoint["invariantnets"].get("identities", ()))
    return model.eval(), config
