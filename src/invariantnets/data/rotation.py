"""Batched rotation of uint8 images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


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
    height, width = images.shape[-2:]
    cos, sin = angle.cos(), angle.sin()
    # affine_grid works in [-1, 1] on both axes, so that the sine is stretched where H ≠ W.
    theta = torch.tensor([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]])
    grid = F.affine_grid(theta[None], [1, 1, height, width], align_corners=False)
    # One grid serves every image: make the images channels of one sample, and nothing is repeated.
    flat = images.reshape(1, -1, height, width).float()
    return F.grid_sample(flat, grid, align_corners=False).round_().to(torch.uint8).reshape(images.shape)


def rotation_bank(images: Tensor, angles: Sequence[float], block: int = 4096) -> Tensor:
    """Every image at every angle, as bytes: 28×28 digits take 784 bytes an entry.

    Args:
        images: ``(N, C, H, W)`` uint8.
        angles: ``A`` angles in degrees.
        block: images rotated at a time; bounds the float copies.

    Returns:
        ``(N, A, C, H, W)`` uint8.
    """
    bank = torch.empty(len(images), len(angles), *images.shape[1:], dtype=torch.uint8)
    for start in range(0, len(images), block):
        for column, angle in enumerate(angles):
            bank[start : start + block, column] = rotate(images[start : start + block], angle)
    return bank
