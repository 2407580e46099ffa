"""What is done to uint8 images by one number, for a batch; at its neutral value each returns the images untouched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.nuisance import Nuisance


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Rotate about the centre, bilinear, zeros outside: ``torchvision``'s ``rotate`` for a batch of bytes.

    Args:
        images: ``(N, C, H, W)`` uint8.
        degrees: counter-clockwise, as in torchvision. 0 returns the images untouched.

    Returns:
        ``(N, C, H, W)`` uint8, rounded to nearest.
    """
    if degrees == 0:
        return images
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    cos, sin = angle.cos(), angle.sin()
    return _resampled(images, cos, -sin, sin, cos)


def translate(images: Tensor, pixels: float) -> Tensor:
    """Move to the right, bilinear, zeros outside; what leaves the picture is lost.

    Args:
        images: ``(N, C, H, W)`` uint8.
        pixels: to the right; a fraction blurs.

    Returns:
        ``(N, C, H, W)`` uint8, rounded to nearest.
    """
    return images if pixels == 0 else _resampled(images, 1, 0, 0, 1, -pixels)


def scale(images: Tensor, factor: float) -> Tensor:
    """Enlarge about the centre, bilinear, zeros outside: ``torchvision``'s ``affine`` for a batch of bytes.

    Args:
        images: ``(N, C, H, W)`` uint8.
        factor: above 0; 1 returns the images untouched. Nothing is averaged where it is below 1, as in torchvision.

    Returns:
        ``(N, C, H, W)`` uint8, rounded to nearest.
    """
    return images if factor == 1 else _resampled(images, 1 / factor, 0, 0, 1 / factor)


def lighten(images: Tensor, stops: float) -> Tensor:
    """More or less light on what a camera sees.

    A byte stands for light by the curve of sRGB (IEC 61966-2-1), not in proportion: it is decoded, multiplied by
    ``2 ** stops``, cut off at white and encoded again.

    Args:
        images: ``(N, C, H, W)`` uint8.
        stops: of exposure: +1 is twice the light. 0 returns the images untouched.

    Returns:
        ``(N, C, H, W)`` uint8, rounded to nearest.
    """
    if stops == 0:
        return images
    byte = torch.arange(256, dtype=torch.float64) / 255
    light = torch.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
    light = (light * 2.0**stops).clamp_(max=1)
    byte = torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (byte * 255).round_().to(torch.uint8)[images.int()]


class Perturbation(NamedTuple):
    """A nuisance, what makes it (images and a value → images), and the values from which something is to be seen."""

    nuisance: Nuisance
    apply: Callable[[Tensor, float], Tensor]
    low: float
    high: float


# In the order in which they are applied where images vary in several: a digit is turned and sized about the centre
# before it is moved, and the light falls on what is then there.
PERTURBATIONS = {
    perturbation.nuisance.name: perturbation
    for perturbation in (
        Perturbation(Nuisance("angle", unit="°"), rotate, -3600, 3600),
        Perturbation(Nuisance("scale"), scale, 0.05, 20),
        Perturbation(Nuisance("translation", unit="px"), translate, -4096, 4096),
        Perturbation(Nuisance("light", unit="stops"), lighten, -1000, 1000),
    )
}

Steps = Sequence[tuple[Callable[[Tensor, float], Tensor], Sequence[float]]]


def variants(images: Tensor, steps: Steps) -> Iterator[Tensor]:
    """Images at every combination of values, the last step's changing fastest, as in :func:`itertools.product`.

    Args:
        images: ``(N, C, H, W)`` uint8.
        steps: functions as of a :class:`Perturbation`, in the order in which they are applied, and the values of each.

    Yields:
        ``(N, C, H, W)`` uint8.
    """
    if not steps:
        yield images
        return
    (apply, values), *later = steps
    for value in values:
        yield from variants(apply(images, value), later)


def variant_bank(images: Tensor, steps: Steps, block: int = 4096) -> Tensor:
    """Every image at every combination of values, as bytes: 28×28 digits take 784 bytes an entry.

    Args:
        images: ``(N, C, H, W)`` uint8.
        steps: as of :func:`variants`; the product of their numbers of values is ``A``.
        block: images perturbed at a time; bounds the float copies.

    Returns:
        ``(N, A, C, H, W)`` uint8.
    """
    count = math.prod(len(values) for _, values in steps)
    bank = torch.empty(len(images), count, *images.shape[1:], dtype=torch.uint8)
    for start in range(0, len(images), block):
        for column, image in enumerate(variants(images[start : start + block], steps)):
            bank[start : start + block, column] = image
    return bank


Number = Tensor | float


def _resampled(images: Tensor, xx: Number, xy: Number, yx: Number, yy: Number, x: float = 0.0) -> Tensor:
    """The picture at ``(xx·i + xy·j + x, yx·i + yy·j)`` in place of ``(i, j)``: pixels right and down of the centre."""
    height, width = images.shape[-2:]
    # affine_grid works in [-1, 1] on both axes, so that what mixes them is stretched where H ≠ W.
    theta = torch.tensor([[xx, xy * height / width, 2 * x / width], [yx * width / height, yy, 0.0]])
    grid = F.affine_grid(theta[None], [1, 1, height, width], align_corners=False)
    # One grid serves every image: make the images channels of one sample, and nothing is repeated.
    flat = images.reshape(1, -1, height, width).float()
    return F.grid_sample(flat, grid, align_corners=False).round_().to(torch.uint8).reshape(images.shape)
