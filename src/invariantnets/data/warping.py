"""What is done to training pictures: moved by whole pixels, and bent."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LATTICE = 4  # points a side: few enough that strokes bend and do not fray


def shifted(image: Tensor, shift: Tensor) -> Tensor:
    """Each picture moved by its own number of pixels; its border is repeated where nothing was.

    Args:
        image: ``(…, C, H, W)``.
        shift: ``(…, 2)`` int64, down and right.
    """
    height, width = image.shape[-2:]
    row = (torch.arange(height, device=image.device) - shift[..., :1]).clamp_(0, height - 1)
    column = (torch.arange(width, device=image.device) - shift[..., 1:]).clamp_(0, width - 1)
    moved = image.gather(-2, row[..., None, :, None].expand_as(image))
    return moved.gather(-1, column[..., None, None, :].expand_as(image))


def bent(image: Tensor, bend: Tensor) -> Tensor:
    """Each picture on its own rubber sheet: the elastic distortion of Simard, Steinkraus & Platt (2003), section 2.

    They smooth a field of random displacements; here a lattice of them is joined by bicubic interpolation,
    which takes no convolution. Small rotations, scales and shears are among what comes out.

    Args:
        image: ``(…, C, H, W)`` uint8.
        bend: ``(…, 2, K, K)`` pixels, right and down, from where a point of the lattice over the picture is taken.

    Returns:
        ``(…, C, H, W)`` uint8, rounded to nearest; the border is repeated where nothing was.
    """
    height, width = image.shape[-2:]
    points = bend.shape[-1] ** 2
    # What each point adds to the field: a matrix product, where to interpolate for each picture would take far longer.
    lattice = torch.eye(points, device=image.device).view(points, 1, *bend.shape[-2:])
    share = F.interpolate(lattice, (height, width), mode="bicubic", align_corners=True).view(points, -1)
    field = (bend.flatten(0, -4).flatten(2) @ share).unflatten(2, (height, width))
    # grid_sample works in [-1, 1] on both axes.
    span = torch.tensor([width - 1, height - 1], device=image.device)
    still = F.affine_grid(torch.eye(2, 3, device=image.device)[None], [1, 1, height, width], align_corners=True)
    grid = still + field.permute(0, 2, 3, 1) * (2 / span)
    moved = F.grid_sample(image.flatten(0, -4).float(), grid, padding_mode="border", align_corners=True)
    return moved.round_().to(torch.uint8).reshape(image.shape)
