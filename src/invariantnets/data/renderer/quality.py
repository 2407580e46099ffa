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
def _noise(device: torch.device, length: int) -> Tensor:
    """One fixed strip of white noise, read from each of its places on: ``(NOISE, length)``, overlapping views.

    Pictures begin at places of their own; behind its end the strip begins anew.
    """
    strip = torch.randn(NOISE, generator=torch.Generator().manual_seed(8)).to(device)
    return strip.repeat(2 + length // NOISE)[: NOISE + length - 1].unfold(0, length, 1)


@lru_cache(maxsize=8)
def _cosines(device: torch.device) -> Tensor:
    """The orthonormal DCT-II of a block's side."""
    k = torch.arange(BLOCK, device=device, dtype=torch.float32)
    table = torch.cos(math.pi / BLOCK * (k + 0.5) * k[:, None]) * (2 / BLOCK) ** 0.5
    table[0] /= 2**0.5
    return table


def _halved(image: Tensor) -> Tensor:
    """Means of 2 × 2 pixels: the sums of ``avg_pool2d``, of even sides in a quarter of its time."""
    if any(side % 2 for side in image.shape[-2:]):
        return F.avg_pool2d(image, 2, ceil_mode=True)
    upper, lower = image[..., ::2, :], image[..., 1::2, :]
    total = upper[..., ::2] + upper[..., 1::2]
    return total.add_(lower[..., ::2]).add_(lower[..., 1::2]).div_(4)


def blurred(image: Tensor, strength: Tensor) -> Tensor:
    """As if the face had been ``1 / (1 + 3 · strength)`` as large: between the picture and smaller copies of it."""

    def enlarged(small: Tensor) -> Tensor:
        return F.interpolate(small, size=image.shape[-2:], mode="bilinear", align_corners=False)

    level = (2 * strength)[:, None, None, None]
    out = torch.lerp(image, enlarged(_halved(image)), level.clamp(0, 1))
    more = (strength > 0.5).nonzero()[:, 0]  # the others have nothing of the smallest copy
    if len(more):
        smallest = enlarged(F.avg_pool2d(image[more], 4, ceil_mode=True))
        out[more] = torch.lerp(out[more], smallest, (level[more] - 1).clamp(0, 1))
    return out


def noisy(image: Tensor, strength: Tensor, scene: Tensor) -> Tensor:
    """With white noise of deviation 0.08 · strength."""
    begin = (scene.double() * NOISE).long() % NOISE
    noise = _noise(image.device, image[0].numel())[begin].view_as(image)
    return noise.mul_((0.08 * strength)[:, None, None, None]).add_(image)


def compressed(image: Tensor, strength: Tensor) -> Tensor:
    """With the cosine coefficients of each 8 × 8 block rounded to steps that grow with frequency."""
    height, width = image.shape[-2:]
    beyond = (0, -width % BLOCK, 0, -height % BLOCK)
    padded = F.pad(image, beyond, mode="replicate") if any(beyond) else image
    blocks = padded.unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK)
    table = _cosines(image.device)
    k = torch.arange(BLOCK, device=image.device)
    step = (0.02 + 0.035 * (k + k[:, None])) * strength.view(-1, 1, 1, 1, 1, 1) + 1e-6
    coefficients = table @ blocks @ table.T
    back = table.T @ coefficients.div_(step).round_().mul_(step) @ table
    return back.transpose(3, 4).reshape(padded.shape)[..., :height, :width]


def degrade(image: Tensor, nuisance: dict[str, Tensor]) -> Tensor:
    """Video frames ``(B, 3, S, S)`` in [0, 1]: resolution first, then noise, then compression."""
    image = blurred(image, nuisance["blur"])
    image = noisy(image, nuisance["noise"], nuisance["scene"])
    return compressed(image, nuisance["compression"]).clamp_(0, 1)
