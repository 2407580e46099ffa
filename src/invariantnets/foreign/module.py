"""A network of the user's own, by the place where Python finds it."""

from __future__ import annotations

import copy
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invariantnets.backbones.backbone import Backbone
from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.module_backbone import OUTPUT, ModuleBackbone
from invariantnets.foreign.preprocessing import Preprocessing, declared, wanted
from invariantnets.foreign.weights import checksum, load_weights

log = logging.getLogger(__name__)
_MEMBERS = ("layer_names", "embedding", "classifier", "features")


def module(
    target: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    embedding: str | None = None,
    image_size: int | Sequence[int] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    interpolation: str = "bilinear",
    crop: float | None = None,
    scale: float = 1 / 255,
    channels: str = "rgb",
    seed: int = 0,
) -> Backbone:
    """What ``package.module:name`` is, or gives when it is called. It is code of the user's, and is run.

    Args:
        target: of a function or class that makes a network, or of a network; also in the current folder. A network is a
            ``nn.Module``, or anything with the members of `Backbone`, which then prepares its pictures itself.
        arguments: what it is called with.
        weights: file of a ``state_dict``; None: those that it comes with.
        embedding: the layer that is probed; None: what the last linear map reads, if the network returns just what that
            gives, as class scores are; else ``output``, what the network returns.
        image_size: side, or height and width, of what the network is given.
        mean: of red, green and blue, of pixels times ``scale``; one number holds for all.
        std: likewise.
        interpolation: ``bilinear`` or ``bicubic``.
        crop: None: the whole picture is resized; or the fraction of it that is kept, its middle.
        scale: what pixels of 0–255 are multiplied by.
        channels: the order that the network wants: ``rgb``, ``bgr``, or one of ``grey``.
        seed: of random weights, if it draws some.

    Raises:
        InvariantNetsError: nothing is there, it fails, or it gives no network; preprocessing that is not said.
    """
    if target is None:
        raise InvariantNetsError("backbone=module needs its place: backbone.target=package.module:factory")
    with _here(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = _found(target)
        network = found if isinstance(found, nn.Module) or not callable(found) else _called(found, target, arguments)
    if not isinstance(network, nn.Module) or all(hasattr(network, member) for member in _MEMBERS):
        if lacking := [member for member in _MEMBERS if not hasattr(network, member)]:
            raise InvariantNetsError(
                f"backbone.target={target}: gives a {type(network).__name__}, neither a nn.Module nor a network with "
                f"{', '.join(_MEMBERS)} (it lacks {lacking[0]}); name a function that returns one"
            )
        return network
    wanted(f"backbone.target={target}: a module", image_size=image_size, mean=mean, std=std)
    assert image_size is not None and mean is not None and std is not None
    prepare = declared(image_size, mean, std, interpolation, crop, scale, channels)
    record = {
        "library": "module",
        "network": target,
        "target": target,
        "arguments": dict(arguments or {}),
        "seed": seed,
    }
    if (source := getattr(sys.modules[target.partition(":")[0]], "__file__", None)) and Path(source).is_file():
        record["source"] = {"file": source, "sha256": checksum(Path(source))}
    if weights is not None:
        path = Path(weights).expanduser()
        record["sha256"] = load_weights(network, path, target)
        record |= {"weights": str(weights), "network": f"{target}, {path.name}"}
    if embedding is None and not ModuleBackbone(network, prepare, OUTPUT).ends_in_classifier:
        embedding = OUTPUT
    untrained = partial(_untrained, network, seed + 1, prepare, embedding) if _can_be_drawn(network) else None
    backbone = ModuleBackbone(network, prepare, embedding, record, untrained)
    log.info("%s: the embedding is %s; backbone.embedding= names another", target, backbone.embedding)
    return backbone


@contextmanager
def _here() -> Iterator[None]:
    """The current folder is where Python looks first, as it is for ``python -m``."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _found(target: str) -> Any:
    place, sign, name = target.partition(":")
    if not sign or not place or not name:
        raise InvariantNetsError(
            f"backbone.target={target}: write package.module:factory, with a colon before the function's name"
        )
    try:
        where = importlib.import_module(place)
    except Exception as error:  # whatever the user's code does
        missing = isinstance(error, ModuleNotFoundError) and place.startswith(str(error.name))
        fix = "it has to be in the current folder, or installed" if missing else "mend it"
        raise InvariantNetsError(
            f"backbone.target={target}: {place} cannot be imported ({_said(error)}); {fix}"
        ) from error
    for part in name.split("."):
        if not hasattr(where, part):
            near = difflib.get_close_matches(part, [n for n in dir(where) if n[0] != "_"], 3)
            hint = f"did you mean {', '.join(near)}?" if near else "it is not defined there"
            raise InvariantNetsError(f"backbone.target={target}: {place} has no {part!r}; {hint}")
        where = getattr(where, part)
    return where


def _called(factory: Callable[..., Any], target: str, arguments: Mapping[str, Any] | None) -> Any:
    try:
        return factory(**(arguments or {}))
    except Exception as error:  # whatever the user's code does
        raise InvariantNetsError(
            f"backbone.target={target}: it failed ({_said(error)}); its arguments are backbone.arguments="
            f"{dict(arguments or {})}"
        ) from error


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _can_be_drawn(network: nn.Module) -> bool:
    """Whether every module with parameters of its own knows how to draw random ones."""
    return all(hasattr(part, "reset_parameters") or not list(part.parameters(False)) for part in network.modules())


def _untrained(network: nn.Module, seed: int, prepare: Preprocessing, embedding: str | None) -> ModuleBackbone:
    """The same network with random weights."""
    twin = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in twin.modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
    return ModuleBackbone(twin, prepare, embedding)
