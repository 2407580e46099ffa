"""How fast the layers of a network change as a picture begins to move: derivatives forwards through the network.

Gruver et al., "The Lie derivative for measuring learned equivariance" (2022), section 3: of a layer that is a vector
the derivative of what it gives; of one that is a map, of what it gives moved back by as much. Theirs is taken through a
resampled picture; here the picture's own derivative (`transforming.moving`) is what goes forwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from invariantnets.backbones import Backbone

__all__ = ["STEP", "derivatives", "forwards"]

# Units (1 % or 1°) of the central difference, where there is no derivative forwards.
STEP = 0.25


def forwards(
    network: Backbone, pictures: Tensor, change: Tensor, layers: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Layers that have a derivative forwards: what they give, and its derivative.

    Args:
        network: looked into, in evaluation mode.
        pictures: ``(b, C, H, W)`` floats of 0–255.
        change: their derivative, of the same shape.
        layers: which.

    Returns:
        layer → two ``(b, …)``; without those that have none, as behind an operator whose author wrote none.
    """
    if not isinstance(network, nn.Module):
        return {}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.script`", FutureWarning)  # torch itself uses it
            with forward_ad.dual_level():
                dual = forward_ad.make_dual(pictures, change)
                found = {name: forward_ad.unpack_dual(x) for name, x in network.features(dual, layers).items()}
                return {n: (x.primal.clone(), x.tangent.clone()) for n, x in found.items() if x.tangent is not None}
    except (NotImplementedError, RuntimeError) as error:
        if "forward AD" not in str(error) and "forward mode" not in str(error).lower() and "jvp" not in str(error):
            raise
        return {}


def derivatives(
    network: Backbone, pictures: Tensor, change: Tensor, layers: Sequence[str]
) -> tuple[dict[str, tuple[Tensor, Tensor]], list[str]]:
    """What layers give, and its derivative: forwards, or else by central differences. Arguments as of `forwards`.

    Returns:
        layer → two ``(b, …)``, in order; and the layers that have it by differences.
    """
    found = forwards(network, pictures, change, layers)
    missing = [name for name in layers if name not in found]
    if missing:
        with torch.no_grad():
            here, after, before = (network.features(pictures + h * change, missing) for h in (0.0, STEP, -STEP))
            found |= {name: (here[name], (after[name] - before[name]) / (2 * STEP)) for name in missing}
    return {name: found[name] for name in layers}, missing
