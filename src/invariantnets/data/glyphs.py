"""Pictures of glyphs, each drawn from a font with a hand's liberties: 28×28, white on black, as MNIST's are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.data.glyph_classes import CANVAS, cuts
from invariantnets.randomness import numpy_rng

__all__ = ["SIDE", "draw"]

SIDE = 28
_STREAM = 165  # of all that is drawn of a class
# Each uniform from minus to plus so much: the slant (pixels to the side in one up), the logarithms of width and height,
# how far the middle lies from the picture's (pixels), and how far each knot of the bend is moved (pixels).
_SLANT, _STRETCH, _SHIFT, _BEND = 0.2, 0.12, 1.0, 1.2
_KNOTS = 4  # of the bend, in each direction
# Strokes are thinner or thicker by shares of their own half width, from and to; and never by more pixels than this.
_THICKNESS, _MOST = (-0.3, 0.7), 0.7
_NUMBERS = 7 + 2 * _KNOTS**2  # that an image is drawn by
_BLOCK = 1024


def _outside(seen: np.ndarray) -> np.ndarray:
    """How far each pixel lies inside of the outline, in pixels of a picture of `SIDE`; outside it is below 0."""
    from scipy.ndimage import distance_transform_edt

    inside = seen > 127
    within, without = (distance_transform_edt(part) for part in (inside, ~inside))
    return np.asarray((within - without - np.where(inside, 0.5, -0.5)) * SIDE / CANVAS, np.float32)


def _masters(character: str) -> tuple[Tensor, Tensor]:
    """A character in each of its fonts: ``(K, CANVAS, CANVAS)`` depths, and ``(K,)`` half widths of its strokes."""
    depth = np.stack([_outside(seen) for seen in cuts(character)])
    # Over a straight stroke the depth rises from 0 to half of its width and falls again: its mean is half of that.
    half = [2 * float(one[one > 0].mean()) if (one > 0).any() else 0.25 for one in depth]
    return torch.from_numpy(depth), torch.tensor(half)


def draw(character: str, number: int, images: int, seed: int) -> Tensor:
    """Pictures of one class, each in a font, a thickness, a slant, a size, a place and a bend of its own.

    Args:
        character: what is drawn.
        number: of the class. Its first images are the same however many are drawn.
        images: N.
        seed: of all that is drawn.

    Returns:
        ``(N, 1, SIDE, SIDE)`` uint8.
    """
    depth, half = _masters(character)
    numbers = torch.from_numpy(numpy_rng(seed, _STREAM, number).random((images, _NUMBERS)).astype(np.float32))
    found = torch.empty(images, 1, SIDE, SIDE, dtype=torch.uint8)
    for start in range(0, images, _BLOCK):
        block = numbers[start : start + _BLOCK]
        font = (block[:, 0] * len(depth)).long().clamp_(max=len(depth) - 1)
        low, high = _THICKNESS
        more = ((low + (high - low) * block[:, 1]) * half[font]).clamp_(-_MOST, _MOST)
        where = _places(2 * block[:, 2:] - 1)
        seen = F.grid_sample(depth[font][:, None], where, align_corners=False, padding_mode="border")
        # Half of the light at the outline, all or nothing half a pixel from it: as a camera with square pixels sees it.
        light = (0.5 + seen + more[:, None, None, None]).clamp_(0, 1)
        found[start : start + _BLOCK] = (255 * light).round_().to(torch.uint8)
    return found


def _places(numbers: Tensor) -> Tensor:
    """Where in its master each pixel is looked up, ``(N, SIDE, SIDE, 2)``, x and y from -1 to 1.

    Args:
        numbers: ``(N, _NUMBERS - 2)``, each from -1 to 1.
    """
    pixel = 2 / SIDE
    slant, width, height, right, down = numbers[:, :5].T
    width, height = (_STRETCH * width).exp(), (_STRETCH * height).exp()
    still = torch.zeros_like(width)
    # From the picture to the master: what is wider is looked up nearer to the middle.
    rows = [
        torch.stack([1 / width, _SLANT * slant / width, _SHIFT * pixel * right], 1),
        torch.stack([still, 1 / height, _SHIFT * pixel * down], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [len(numbers), 1, SIDE, SIDE], align_corners=False)
    knots = numbers[:, 5:].reshape(-1, 2, _KNOTS, _KNOTS)
    bend = F.interpolate(knots, size=(SIDE, SIDE), mode="bicubic", align_corners=True)
    return grid + _BEND * pixel * bend.permute(0, 2, 3, 1)
