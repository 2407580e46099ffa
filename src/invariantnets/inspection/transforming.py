"""Pictures moved, turned, scaled, blurred and lit otherwise by a known amount, and how fast they begin to change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["BORDERS", "TRANSFORMATIONS", "Transformation", "flow", "moving"]

# What stands where the picture does not reach: its edge repeated, black, or its mirror image.
BORDERS = {"repeat": "border", "black": "zeros", "mirror": "reflection"}
_PADDING = {"repeat": "replicate", "black": "constant", "mirror": "reflect"}
# Red, green and blue in grey (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Amounts:
    """By how much something is changed, in steps.

    Attributes:
        name: of the change, as on the command line.
        axis: what the amount is, with its unit.
        strengths: the amounts, ascending.
        base: the one that changes nothing, with which others are compared.
        stated: the one that tables speak of.
        said: that one in words.
    """

    name: str
    axis: str
    strengths: tuple[float, ...]
    base: float
    stated: float
    said: str


@dataclass(frozen=True)
class Transformation(Amounts):
    """A change of the pixels.

    Attributes:
        apply: ``(N, C, H, W)`` uint8, amount, border (one of `BORDERS`) → the same shape and kind.
    """

    apply: Callable[[Tensor, float, str], Tensor]


def _warped(pictures: Tensor, inverse: tuple[float, ...], shift: tuple[float, float], border: str) -> Tensor:
    """What is at ``M (p - c - shift) + c`` of each picture comes to p, for rows and columns, c the middle; bilinear.

    Rounded to bytes, so that no change gives back each byte as it was.
    """
    height, width = pictures.shape[-2:]
    row = torch.arange(height, dtype=torch.float32, device=pictures.device) - (height - 1) / 2 - shift[0]
    column = torch.arange(width, dtype=torch.float32, device=pictures.device) - (width - 1) / 2 - shift[1]
    rows, columns = torch.meshgrid(row, column, indexing="ij")
    a, b, c, d = inverse
    grid = torch.stack([(c * rows + d * columns) * (2 / width), (a * rows + b * columns) * (2 / height)], 2)
    grid = grid.expand(len(pictures), -1, -1, -1)
    moved = F.grid_sample(pictures.float(), grid, "bilinear", BORDERS[border], align_corners=False)
    return _bytes(moved)


def _bytes(pictures: Tensor) -> Tensor:
    return pictures.round().clamp(0, 255).to(torch.uint8)


_STILL = (1.0, 0.0, 0.0, 1.0)


def _down(pictures: Tensor, percent: float, border: str) -> Tensor:
    return _warped(pictures, _STILL, (pictures.shape[-2] * percent / 100, 0.0), border)


def _right(pictures: Tensor, percent: float, border: str) -> Tensor:
    return _warped(pictures, _STILL, (0.0, pictures.shape[-1] * percent / 100), border)


def _turned(pictures: Tensor, degrees: float, border: str) -> Tensor:
    """Anticlockwise, as it is seen."""
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return _warped(pictures, (cos, sin, -sin, cos), (0.0, 0.0), border)


def _scaled(pictures: Tensor, times: float, border: str) -> Tensor:
    return _warped(pictures, (1 / times, 0.0, 0.0, 1 / times), (0.0, 0.0), border)


def _blurred(pictures: Tensor, percent: float, border: str) -> Tensor:
    """By a Gaussian whose standard deviation is so many per cent of the shorter side, cut off at three of them."""
    sigma = min(pictures.shape[-2:]) * percent / 100
    reach = math.ceil(3 * sigma)
    place = torch.arange(-reach, reach + 1, dtype=torch.float32, device=pictures.device)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2) if reach else torch.ones_like(place)
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    x = F.pad(pictures.float(), (reach,) * 4, mode=_PADDING[border])
    x = F.conv2d(x, kernel, groups=pictures.shape[1])
    return _bytes(F.conv2d(x, kernel.transpose(2, 3), groups=pictures.shape[1]))


def _lit(pictures: Tensor, stops: float, border: str) -> Tensor:
    """Each byte times 2 ** stops; white is the most there is."""
    return _bytes(pictures.float() * 2.0**stops)


def _contrasted(pictures: Tensor, times: float, border: str) -> Tensor:
    """Each byte's distance from the picture's mean grey, so many times; what leaves 0–255 is cut off."""
    x = pictures.float()
    grey = (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True) if x.shape[1] == 3 else x
    mean = grey.mean((1, 2, 3), keepdim=True)
    return _bytes(mean + times * (x - mean))


_TURNS = (-40.0, -20.0, -10.0, 0.0, 10.0, 20.0, 40.0)
_SHIFTS = (-20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0)
TRANSFORMATIONS: dict[str, Transformation] = {
    t.name: t
    for t in (
        Transformation(
            "vertical_translation", "moved down (% of the height)", _SHIFTS, 0.0, 10.0, "moved down by 10 %", _down
        ),
        Transformation(
            "horizontal_translation", "moved right (% of the width)", _SHIFTS, 0.0, 10.0, "moved right by 10 %", _right
        ),
        Transformation("rotation", "turned anticlockwise (°)", _TURNS, 0.0, 20.0, "turned by 20°", _turned),
        Transformation(
            "scale", "scaled (times)", (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4), 1.0, 1.25, "scaled 1.25 times", _scaled
        ),
        Transformation(
            "gaussian_blur", "blurred (s.d., % of the side)", (0.0, 1.0, 2.0, 4.0), 0.0, 2.0, "blurred by 2 %", _blurred
        ),
        Transformation("brightness", "brighter (stops)", (-2.0, -1.0, 0.0, 1.0), 0.0, -1.0, "darker by one stop", _lit),
        Transformation(
            "contrast", "contrast (times)", (0.25, 0.5, 1.0, 2.0), 1.0, 0.5, "half the contrast", _contrasted
        ),
    )
}


def flow(name: str, height: int, width: int, device: torch.device) -> Tensor:
    """How far what is at each place moves for each unit, at the start: pixels for 1 % (of the side, of the size) or 1°.

    Args:
        name: of a transformation.
        height: of the picture or map.
        width: of it.
        device: where it is wanted.

    Returns:
        ``(2, H, W)`` down and right.

    Raises:
        KeyError: one that does not move what is shown.
    """
    row = (torch.arange(height, dtype=torch.float32, device=device) - (height - 1) / 2)[:, None].expand(height, width)
    column = (torch.arange(width, dtype=torch.float32, device=device) - (width - 1) / 2).expand(height, width)
    none, radian = torch.zeros_like(row), math.pi / 180
    return {
        "vertical_translation": torch.stack([none + height / 100, none]),
        "horizontal_translation": torch.stack([none, none + width / 100]),
        "rotation": torch.stack([-column, row]) * radian,
        "scale": torch.stack([row, column]) / 100,
    }[name]


def moving(x: Tensor, field: Tensor, border: str = "repeat") -> Tensor:
    """The derivative of pictures or maps that move along a field: minus their slope, by central differences, times it.

    Of a bilinear transformation it is the mean of the derivatives of both sides at 0, where it has a kink.

    Args:
        x: ``(N, C, H, W)`` floats.
        field: ``(2, H, W)`` as by `flow`.
        border: what stands beyond the edge; one of `BORDERS`.
    """
    edge = "constant" if border == "black" else "replicate"  # a mirror image begins with the edge, as its repetition
    padded = F.pad(x, (1, 1, 1, 1), mode=edge)
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return -(field[0] * down + field[1] * right)
