"""From a neuron back to the pixels: the deconvnet of Zeiler and Fergus (2014), as Zhong and Deng (2018) use it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from invariantnets.backbones import Backbone

__all__ = ["Deconvnet", "Projected", "Watched", "as_neurons", "compiled", "project"]

CHUNK = 16  # pictures whose maps are in memory with all that a backward pass needs
# What a ReLU is called where it is called: whether its name says that it works in place.
_RELUS: dict[Any, bool] = {
    F.relu: False,
    torch.relu: False,
    Tensor.relu: False,
    torch.relu_: True,
    Tensor.relu_: True,
}
# Other functions with a bend, by their names: they keep the gradient that they have.
_BENT = frozenset(
    "elu celu gelu hardsigmoid hardswish hardtanh leaky_relu maximum mish prelu relu6 rrelu selu "
    "sigmoid silu softplus softsign tanh threshold".split()
)
# Each is a ReLU too if all that it does is to cut off what is below 0.
_CLAMPS = frozenset(("clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_"))
_SHARED: frozenset[Any] = frozenset((torch.conv1d, torch.conv2d, torch.conv3d, F.linear))
_LOCAL = torch.ops.invariantnets.locally_connected2d.default


class _Rectify(torch.autograd.Function):
    """ReLU forwards; backwards another: what is above 0 of that which comes back, wherever the signal itself was."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, in_place: bool) -> Tensor:
        if not in_place:
            return x.relu()
        ctx.mark_dirty(x)
        return x.relu_()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].clamp(min=0), None


class Deconvnet(TorchFunctionMode):
    """What runs in this context has the backward pass of a deconvnet (Zeiler and Fergus 2014, section 2.1).

    A ReLU gives back max(d, 0) of what comes to it, *without* the mask of the forward pass: the mask alone would be the
    gradient, both guided backpropagation. Max-pooling goes back by the switches of its forward pass and a convolution
    by its transpose, as they always do. ReLUs are caught where they are called, so that functions and modules, in place
    or not, are alike, and nothing of the network is touched.

    Attributes:
        caught: ReLUs that ran so far.
        others: names of other functions with a bend that ran, which keep their own gradient.
    """

    def __init__(self) -> None:
        super().__init__()
        self.caught = 0
        self.others: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Collection[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if func in _RELUS:
            in_place = _RELUS[func] or bool(args[1] if len(args) > 1 else kwargs.get("inplace", False))
        elif name in _CLAMPS and _bounds(args, kwargs) == (0, None):
            in_place = name.endswith("_")
        else:
            if name.strip("_") in _BENT:
                self.others.add(name.strip("_"))
            return func(*args, **kwargs)
        self.caught += 1
        return _Rectify.apply(args[0] if args else kwargs["input"], in_place)


def _bounds(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[object, object]:
    """What a clamp cuts off below and above; bounds that are tensors are none that is known."""
    given = dict(zip(("input", "min", "max")[: len(args)], args, strict=True)) | kwargs
    low, high = given.get("min"), given.get("max")
    return (None, None) if isinstance(low, Tensor) or isinstance(high, Tensor) else (low, high)


class Watched(TorchFunctionMode):
    """Which map with weights ran last in this context.

    Attributes:
        read: what it was given; None: none ran.
        local: whether it was locally connected: a neuron is then one place of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read: Tensor | None = None
        self.local = False

    def __torch_function__(
        self, func: Any, types: Collection[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is _LOCAL or func in _SHARED:
            self.read, self.local = args[0] if args else kwargs["input"], func is _LOCAL
        return func(*args, **kwargs)


def compiled(network: object) -> bool:
    """Whether a part of a network is TorchScript, into which nothing of torch's Python can look."""
    return isinstance(network, nn.Module) and any(isinstance(m, torch.jit.ScriptModule) for m in network.modules())


def as_neurons(x: Tensor, local: bool) -> Tensor:
    """The activations of a layer as ``(b, neurons, places)``.

    Args:
        x: ``(b, C, H, W)``: with shared weights each channel is a neuron, which has as many places as the map; where
            weights are those of a place, ``local``, each number is one, counted by channel, row, column. ``(b, T, D)``
            of T tokens: D neurons. Any other: each number.
        local: as in `Watched`.
    """
    if x.ndim == 4 and not local:
        return x.flatten(2)
    return x.transpose(1, 2) if x.ndim == 3 else x.flatten(1).unsqueeze(2)


@dataclass(frozen=True)
class Projected:
    """Neurons, back in the pixels, and in what they read.

    Attributes:
        pixels: ``(b, C, H, W)`` the projection, in units of its own; 0 wherever the neuron does not reach.
        read: ``(b, …)`` what the last map with weights was given; None where there is no such map.
        reach: likewise, what comes back to there: not 0 where the winning place reads.
        caught: ReLUs that were on the way.
        others: as of `Deconvnet`.
    """

    pixels: Tensor
    read: Tensor | None
    reach: Tensor | None
    caught: int
    others: frozenset[str]


def project(
    network: Backbone, layer: str, pictures: Tensor, neuron: Tensor, place: Tensor, local: bool = False
) -> Projected:
    """Set all of a layer to 0 but one activation of each picture, and go back to the pixels (Zhong 2018, section III).

    Args:
        network: a ``nn.Module`` in evaluation mode, whose parameters ask for no gradient.
        layer: where to start.
        pictures: ``(b, C, H, W)`` uint8 on its device.
        neuron: ``(b,)`` of each picture.
        place: ``(b,)`` likewise.
        local: as in `as_neurons`.
    """
    parts = [_project(network, layer, p, n, at, local) for p, n, at in _chunks(pictures, neuron, place)]
    reads = [part.read for part in parts if part.read is not None]
    reaches = [part.reach for part in parts if part.reach is not None]
    return Projected(
        torch.cat([part.pixels for part in parts]),
        torch.cat(reads) if reads else None,
        torch.cat(reaches) if reaches else None,
        parts[0].caught,
        frozenset().union(*(part.others for part in parts)),
    )


def _chunks(*tensors: Tensor) -> zip[tuple[Tensor, ...]]:
    return zip(*(tensor.split(CHUNK) for tensor in tensors), strict=True)


def _project(network: Backbone, layer: str, pictures: Tensor, neuron: Tensor, place: Tensor, local: bool) -> Projected:
    pixels = pictures.float().requires_grad_()
    with torch.enable_grad(), Watched() as watched, Deconvnet() as deconvnet:
        activation = as_neurons(network.features(pixels, [layer])[layer], local)
        chosen = activation[torch.arange(len(pixels), device=pixels.device), neuron, place]
    read = watched.read if watched.read is not None and watched.read.requires_grad else None
    at = [pixels] if read is None else [pixels, read]
    # The start is the activation itself, as in the paper: each picture's projection is that many times larger.
    back = torch.autograd.grad(chosen, at, chosen.detach())
    reach = None if read is None else back[1]
    kept = None if read is None else read.detach()
    return Projected(back[0], kept, reach, deconvnet.caught, frozenset(deconvnet.others))
