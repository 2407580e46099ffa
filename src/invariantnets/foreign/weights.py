"""Weights out of files, and what is kept of where they came from."""

from __future__ import annotations

import hashlib
import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from invariantnets.errors import InvariantNetsError

__all__ = ["checksum", "filled", "load_weights"]

log = logging.getLogger(__name__)
_DAMAGED = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError)


def filled(network: nn.Module, name: str, weights: str | Path | None, seed: int) -> dict[str, Any]:
    """Fill a network that has random weights so far, if there is a file of others, and say which it has.

    Args:
        network: as it was made, with random weights.
        name: of the network.
        weights: as of `load_weights`; None: it keeps the random ones.
        seed: of the random ones.

    Returns:
        For the record.

    Raises:
        InvariantNetsError: see `load_weights`.
    """
    if weights is None:
        log.info(
            "%s has random weights of seed %d, since nothing is downloaded: give backbone.weights=<file>", name, seed
        )
        return {"network": f"{name}, random weights", "weights": None, "seed": seed}
    digest = load_weights(network, Path(weights).expanduser(), f"{name} of these backbone.num_classes")
    return {"network": f"{name}, {Path(weights).name}", "weights": str(weights), "sha256": digest}


def load_weights(network: nn.Module, path: Path, owner: str) -> str:
    """Fill a network from a file that holds all its weights and no others; returns the file's SHA-256.

    Args:
        network: what is filled.
        path: of a ``state_dict`` that torch saved, or of ``.safetensors``.
        owner: name of the network.

    Raises:
        InvariantNetsError: missing, damaged, more than tensors, or of another network: the message names a key.
    """
    if not path.is_file():
        raise InvariantNetsError(f"backbone.weights={path}: there is no such file; nothing is downloaded")
    state = _read(path)
    own = network.state_dict()
    faults = {
        "lacks": [key for key in own if key not in state],
        "has beside them": [key for key in state if key not in own],
        "has in another shape": [
            f"{key} {tuple(state[key].shape)} for {tuple(x.shape)}"
            for key, x in own.items()
            if key in state and x.shape != state[key].shape
        ],
    }
    if any(faults.values()):
        what = "; ".join(
            f"{fault} {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
            for fault, found in faults.items()
            if found
        )
        raise InvariantNetsError(f"{path}: not the weights of {owner}: it {what}")
    network.load_state_dict(state, strict=True)
    return checksum(path)


def _read(path: Path) -> Mapping[str, Tensor]:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise InvariantNetsError(f"{path}: damaged, or no safetensors ({error}); fetch it once more") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on old formats
            state = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InvariantNetsError(
            f"{path}: damaged, or holds more than tensors, and was not run ({reason}); save network.state_dict()"
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(x, Tensor) for x in state.values()):
        raise InvariantNetsError(f"{path}: is no state_dict, names → tensors; save network.state_dict()")
    return state


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
