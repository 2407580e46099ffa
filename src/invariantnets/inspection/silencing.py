"""Take what some neurons of a layer say from a network for as long as it runs, and give it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from invariantnets.backbones import Backbone
from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.module_backbone import OUTPUT, ModuleBackbone

__all__ = ["Place", "place_of", "silenced"]


@dataclass(frozen=True)
class Place:
    """Where a layer is taken hold of.

    Attributes:
        module: whose.
        given: what it is given is the layer, not what it returns.
    """

    module: nn.Module
    given: bool = False


def place_of(network: Backbone, layer: str) -> Place | None:
    """The module of a layer; None where there is none to take hold of, as of ONNX, the input or a compiled module."""
    if not isinstance(network, nn.Module):
        return None
    given, holder, name = False, network, layer
    if isinstance(network, ModuleBackbone):
        holder = network.network
        if layer == f"{network.classifier}.input":
            given, name = True, layer.removesuffix(".input")
        elif layer == OUTPUT and not hasattr(holder, OUTPUT):
            name = ""
    for inner in ("", "layers.", "levels."):  # of a network by itself, of ours, of dlib's
        try:
            module = holder.get_submodule(f"{inner}{name}" if name else "")
        except AttributeError:
            continue
        return None if isinstance(module, torch.jit.ScriptModule) else Place(module, given)
    return None


@contextmanager
def silenced(network: Backbone, layer: str, keep: Tensor, fill: Tensor) -> Iterator[list[int]]:
    """Meanwhile the layer says of its silenced neurons what it is told to, M times, each time of others.

    A batch of b pictures becomes one of M·b behind the layer, all of the first selection first. What comes before it
    runs once. The hook is removed whatever happens.

    Args:
        network: a module.
        layer: of it; a neuron is a channel of a map, a number of each token, or a number, as their count tells.
        keep: ``(M, D)`` bool, False for those that are silenced.
        fill: ``(D,)`` what these say instead; a channel at every place.

    Yields:
        a list that grows by one each time that the layer runs: by how many numbers it has for a picture.

    Raises:
        InvariantNetsError: the layer has no module, or gives no tensor of so many neurons.
    """
    place = place_of(network, layer)
    if place is None:
        raise InvariantNetsError(f"layer {layer!r} is no module of this network: nothing in it can be silenced")
    ran: list[int] = []

    def changed(x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            raise InvariantNetsError(f"layer {layer!r} gives no tensor: nothing in it can be silenced")
        ran.append(x[0].numel())
        return _without(x, keep.to(x.device), fill.to(x), layer)

    if place.given:
        hook = place.module.register_forward_pre_hook(lambda module, args: (changed(args[0]), *args[1:]))
    else:
        hook = place.module.register_forward_hook(lambda module, args, out: changed(out))
    try:
        yield ran
    finally:
        hook.remove()


def _without(x: Tensor, keep: Tensor, fill: Tensor, layer: str) -> Tensor:
    """``(b, …)`` → ``(M·b, …)``."""
    many, width = keep.shape
    if x[0].numel() == width:
        shape = tuple(x.shape[1:])
    elif x.ndim == 4 and x.shape[1] == width:
        shape = (width, 1, 1)
    elif x.ndim == 3 and x.shape[2] == width:
        shape = (1, width)
    else:
        raise InvariantNetsError(f"layer {layer!r} gives {tuple(x.shape[1:])}, not {width} neurons: it stays as it is")
    return torch.where(keep.view(many, 1, *shape), x, fill.view(shape)).flatten(0, 1)
