"""Degraded video frames: lost resolution, sensor noise, blocks of a lossy code."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
NOISE = 1 << 17  # length of the noise table


@lru_cache(maxsize=8)
def _noise(device: torch.device) -> Tensor:
    """One fixed strip of white noise; pictures begin at places of their own."""
    return torch.randn(NOISE, generator=torch.Generator().manual_seed(8)).to(device)


@lru_cache(maxsize=8)
def _cosines(device: torch.device) -> Tensor:
    """The orthonormal DCT-II of a block's side."""
    k = torch.arange(BLOCK, device=device, dtype=torch.float32)
    table = torch.cos(math.pi / BLOCK * (k + 0.5) * k[:, None]) * (2 / BLOCK) ** 0.5
    table[0] /= 2**0.5
    return table


def blurred(image: Tensor, strength: Tensor) -> Tensor:
    """As if the face had been ``1 / (1 + 3 · strength)`` as large: between the picture and smaller copies of it."""
    size = image.shape[-2:]
    copies = [image]
    for factor in (2, 4):
        small = F.avg_pool2d(image, factor, factor, ceil_mode=True)
        copies.append(F.interpolate(small, size=size, mode="bilinear", align_corners=False))
    level = (2 * strength)[:, None, None, None]
    return torch.lerp(torch.lerp(copies[0], copies[1], level.clamp(0, 1)), copies[2], (level - 1).clamp(0, 1))


def noisy(image: Tensor, strength: Tensor, scene: Tensor) -> Tensor:
    """With white noise of deviation 0.08 · strength."""
    begin = (scene.double() * NOISE).long()[:, None]
    index = (begin + torch.arange(image[0].numel(), device=image.device)) % NOISE
    return image + _noise(image.device)[index].view_as(image) * (0.08 * strength)[:, None, None, None]


def compressed(image: Tensor, strength: Tensor) -> Tensor:
    """With the cosine coefficients of each 8 × 8 block rounded to steps that grow with frequency."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate")
    blocks = padded.unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK)
    table = _cosines(image.device)
    k = torch.arange(BLOCK, device=image.device)
    step = (0.02 + 0.035 * (k + k[:, None])) * strength.view(-1, 1, 1, 1, 1, 1) + 1e-6
    coefficients = table @ blocks @ table.T
    back = table.T @ ((coefficients / step).round() * step) @ table
    return back.transpose(3, 4).reshape(padded.shape)[..., :height, :width]


def degrade(image: Tensor, nuisance: dict[str, Tensor]) -> Tensor:
    """Video frames ``(B, 3, S, S)`` in [0, 1]: resolution first, then noise, then compression."""
    image = blurred(image, nuisance["blur"])
    image = noisy(image, nuisance["noise"], nuisance["scene"])
    return compressed(image, nuisance["compression"]).clamp_(0, 1)
