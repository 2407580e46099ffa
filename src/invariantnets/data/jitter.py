"""Training pictures as an unaligned box would cut them out: scaled, turned, moved, mirrored, blurred, lit (AFFACT)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance

SIDE = 224  # of AFFACT's pictures in pixels, which its blur is in
_SIDED = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Jitter:
    """How much training pictures are changed, each by draws of its own. The defaults are AFFACT's.

    Günther, Rozsa and Boult (2017), "AFFACT: alignment-free facial attribute classification technique". They cut the
    changed box out of a photograph; here a picture has no more than it shows, and its border is repeated where
    nothing was.

    Attributes:
        scale: s.d. of the logarithm to base 2 of the size.
        angle: s.d. of the angle, in degrees.
        shift: s.d. of the way right, and of that down, as a share of the side.
        mirror: probability of left for right.
        blur: s.d. of the Gaussian blur's σ, whose sign is dropped, in pixels of a picture of 224×224; in smaller ones
            it is as much less.
        gamma: s.d. of the logarithm to base 2 of the exponent of pixels as shares of white.

    Raises:
        InvariantNetsError: a strength below 0, or a probability above 1.
    """

    scale: float = 0.1
    angle: float = 20.0
    shift: float = 0.05
    mirror: float = 0.5
    blur: float = 3.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= (1 if name == "mirror" else np.inf):
                raise InvariantNetsError(
                    f"data.jitter.{name}={value}: give 0, for none, or more" + ", up to 1" * (name == "mirror")
                )

    def draws(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """What `jittered` does to each picture: ``(*shape, 7)`` float32."""
        strength = [self.scale, self.angle, self.shift, self.shift, self.blur, self.gamma]
        normal = rng.standard_normal((*shape, len(strength))) * strength
        mirror = rng.random((*shape, 1)) < self.mirror
        return np.concatenate([normal, mirror], -1).astype(np.float32)

    def spares(self, nuisance: Nuisance) -> bool:
        """Whether what is known of a picture still holds: no number does, nor a side where left may be right."""
        told = nuisance.kind in ("binary", "categorical")
        sided = any(_SIDED.search(text) for text in (nuisance.name, *nuisance.categories))
        return told and not (sided and self.mirror > 0)


def jittered(image: Tensor, draws: Tensor) -> Tensor:
    """Pictures, each changed by its own draws: mirrored, scaled and turned about the centre, moved, blurred, lit.

    Bilinear; rounded once, at the end. At draws of 0 it is the identity.

    Args:
        image: ``(…, C, H, W)`` uint8.
        draws: ``(…, 7)``: log2 of the size, degrees counter-clockwise, sides to the right, sides down, σ of the blur
            in pixels of 224 (its sign does not count), log2 of gamma, and 1 for a mirrored picture.

    Returns:
        ``(…, C, H, W)`` uint8.
    """
    size, degrees, right, down, sigma, gamma, mirror = draws.reshape(-1, draws.shape[-1]).unbind(1)
    height, width = image.shape[-2:]
    x = image.reshape(-1, *image.shape[-3:]).float()
    # From where each pixel is taken: in pixels from the centre, right and down, as `rotate` in perturbation.py has it.
    angle, shrink = degrees.deg2rad(), torch.exp2(-size)
    cos, sin = angle.cos() * shrink, angle.sin() * shrink
    flip = 1 - 2 * mirror
    # affine_grid works in [-1, 1] on both axes, so that what mixes them is stretched where H ≠ W.
    mix = height / width
    row_x = torch.stack([cos, -sin * mix, -2 * (cos * right - sin * mix * down)], 1) * flip[:, None]
    row_y = torch.stack([sin / mix, cos, -2 * (sin / mix * right + cos * down)], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), [len(x), 1, height, width], align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    spread = sigma.abs() / SIDE
    x = _blur(spread * height, height, x) @ x @ _blur(spread * width, width, x).mT
    x = 255 * (x / 255).clamp(0, 1) ** torch.exp2(gamma)[:, None, None, None]
    return x.round().to(torch.uint8).reshape(image.shape)


def _blur(sigma: Tensor, side: int, like: Tensor) -> Tensor:
    """``(N, 1, side, side)`` Gaussian averages along one axis, of what there is: rows sum to 1 at the border too."""
    place = torch.arange(side, device=like.device)
    distance = (place - place[:, None]) / sigma.clamp(min=1e-2)[:, None, None]
    # Numbers too small for a float's full precision, as far tails are, slow a product down twentyfold.
    weight = (-0.5 * distance.square()).exp().masked_fill(distance.abs() > 6, 0)
    return (weight / weight.sum(-1, keepdim=True))[:, None]
