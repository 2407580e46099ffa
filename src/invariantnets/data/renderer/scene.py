"""The drawing pen, a picture's own variety, and the background."""

from __future__ import annotations

import math

import torch
from torch import Tensor

WAVES = 5


class Pen:
    """Covers of shapes by pixels, for signed distances in mm."""

    def __init__(self, pixel: float) -> None:
        self.pixel = pixel

    def edge(self, distance: Tensor) -> Tensor:
        """Share of a pixel that is inside."""
        return (distance * (1 / self.pixel)).add_(0.5).clamp_(0, 1)

    def band(self, above: Tensor, below: Tensor) -> Tensor:
        """Share of a pixel between two lines, also when they are closer than a pixel."""
        return self.edge(above).add_(self.edge(below)).sub_(1).clamp_min_(0)


def column(colour: Tensor) -> Tensor:
    """Per-image colours ``(B, 3)`` as ``(3, B, 1, 1)``."""
    return colour.T[..., None, None]


def variety(scene: Tensor, count: int) -> Tensor:
    """``(B, count)`` numbers in [0, 1) that look independent, from one number each."""
    factors = torch.arange(2, count + 2, device=scene.device, dtype=torch.float64).sqrt() * 1237
    return (scene.double()[:, None] * factors).frac().float()


def background(nuisance: dict[str, Tensor], size: int) -> Tensor:
    """What is behind the head ``(3, B, size, size)``, in linear light.

    Pictures that follow each other and have one background, as the frames of a video do, share its drawing.
    """
    values = torch.stack([nuisance[name] for name in ("background", "clutter", "scene")], 1)
    own, which = values.unique_consecutive(dim=0, return_inverse=True)
    bright, clutter, scene = own.unbind(1)
    drawn = _waves(bright, clutter, scene, size).square()
    return drawn if len(own) == len(values) else drawn.index_select(1, which)


def _waves(bright: Tensor, clutter: Tensor, scene: Tensor, size: int) -> Tensor:
    """``(3, B, size, size)``, gamma 2: a tint of the given brightness, and waves of clutter."""
    random = variety(scene, WAVES * 6 + 3)
    place = torch.linspace(-1, 1, size, device=bright.device)
    across, down, phase = (random[:, i * WAVES : (i + 1) * WAVES, None] for i in range(3))
    x, y = 10 * (across - 0.5) * place + 2 * math.pi * phase, 10 * (down - 0.5) * place
    # sin(x + y) = sin x cos y + cos x sin y: a picture of waves is a product of two thin matrices.
    tint = random[:, 3 * WAVES : 6 * WAVES].view(-1, 3, WAVES)
    weights = (1.6 * (tint.mean(1, keepdim=True) - 0.5) + 0.25 * (tint - 0.5)) * clutter[:, None, None]
    rows = torch.einsum("bcw,bwtr->bcrtw", weights, torch.stack([y.cos(), y.sin()], 2)).flatten(3).flatten(1, 2)
    shown = rows @ torch.stack([x.sin(), x.cos()], 1).flatten(1, 2)
    base = 0.08 + 0.8 * bright[:, None] * (0.8 + 0.3 * random[:, 6 * WAVES :])
    return (shown.view(-1, 3, size, size) + base[..., None, None]).clamp_(0, 1).transpose(0, 1)
