"""From pictures to what a network that was made elsewhere wants to be given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.errors import InvariantNetsError

CHANNELS = ("rgb", "bgr", "grey")
INTERPOLATIONS = ("bilinear", "bicubic")
# Of red, green and blue in grey (ITU-R BT.601), as Pillow has them.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Preprocessing:
    """What a network wants done to pixels: resized, times ``scale``, then by channel − mean, / std.

    Attributes:
        size: side of the square that pictures are resized to, with antialiasing; or its height and width.
        mean, std: of red, green and blue, in this order whatever ``channels`` is; one of grey.
        interpolation: ``bilinear`` or ``bicubic``.
        crop: None: the whole picture is resized, and nothing cropped. A fraction: the picture is resized, its shape
            kept, until ``size`` is this fraction of its shorter side, and its middle is taken.
        shift: how far below the middle of the picture the middle of that part lies, as a fraction of its height.
        scale: what pixels of 0–255 are multiplied by.
        channels: the order that the network wants: ``rgb``, ``bgr``, or one of ``grey``.
    """

    size: int | tuple[int, int]
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    crop: float | None = None
    shift: float = 0.0
    scale: float = 1 / 255
    channels: str = "rgb"

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what comes out."""
        return (1 if self.channels == "grey" else 3, *self.sides)

    def __call__(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """``(N, C, H, W)`` of 0–255 → ``(N, *shape)``; grey is repeated.

        Raises:
            InvariantNetsError: neither grey nor RGB.
        """
        if image.shape[1] not in (1, 3):
            raise InvariantNetsError(f"pictures of {image.shape[1]} channels: this network takes grey (1) or RGB (3)")
        x = self._fitted(image.to(dtype)) * self.scale
        if self.channels == "grey" and x.shape[1] == 3:
            x = (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
        mean, std = (x.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        x = (x - mean) / std  # which makes three channels of one
        return x.flip(1) if self.channels == "bgr" else x

    def _fitted(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        high, wide = self.sides
        if self.crop is None:
            return self._resized(x, high, wide)
        up, across = math.floor(high / self.crop), math.floor(wide / self.crop)
        if up * width >= across * height:
            x = self._resized(x, up, up * width // height)
        else:
            x = self._resized(x, across * height // width, across)
        below, beside = x.shape[2] - high, x.shape[3] - wide
        top, left = round(below / 2 + self.shift * x.shape[2]), round(beside / 2)
        top = min(max(top, 0), below)
        return x[:, :, top : top + high, left : left + wide]

    def _resized(self, x: Tensor, height: int, width: int) -> Tensor:
        if x.shape[2:] == (height, width):
            return x
        return F.interpolate(x, (height, width), mode=self.interpolation, antialias=True).clamp(0, 255)


def declared(
    size: int | Sequence[int],
    mean: float | Sequence[float],
    std: float | Sequence[float],
    interpolation: str = "bilinear",
    crop: float | None = None,
    scale: float = 1 / 255,
    channels: str = "rgb",
) -> Preprocessing:
    """The preprocessing that a command line names, checked.

    Args:
        size: as of `Preprocessing`, and so is all else;
        mean: one number holds for all channels;
        std: likewise.
        interpolation: see there.
        crop: see there.
        scale: see there.
        channels: see there.

    Raises:
        InvariantNetsError: the option that cannot be, by its name on the command line.
    """
    sides = [size] if isinstance(size, int) else list(size)
    if len(sides) not in (1, 2) or not all(isinstance(s, int) and 0 < s < 10_000 for s in sides):
        raise InvariantNetsError(f"backbone.image_size={size}: give a side in pixels, or [height,width]")
    for name, value, known in (("interpolation", interpolation, INTERPOLATIONS), ("channels", channels, CHANNELS)):
        if value not in known:
            raise InvariantNetsError(f"backbone.{name}={value}: choose from {', '.join(known)}")
    if crop is not None and not 0 < crop <= 1:
        raise InvariantNetsError(
            f"backbone.crop={crop}: give the fraction of the picture that is kept, above 0 up to 1"
        )
    if not (scale > 0 and math.isfinite(scale)):
        raise InvariantNetsError(
            f"backbone.scale={scale}: give what pixels of 0–255 are multiplied by, e.g. 0.00392157"
        )
    width = 1 if channels == "grey" else 3
    means, stds = by_channel(mean, "mean", width), by_channel(std, "std", width)
    if min(stds) <= 0:
        raise InvariantNetsError(f"backbone.std={std}: give numbers above 0")
    side = sides[0] if len(set(sides)) == 1 else (sides[0], sides[1])
    return Preprocessing(side, means, stds, interpolation, crop, scale=scale, channels=channels)


def by_channel(values: float | Sequence[float], name: str, width: int = 3) -> tuple[float, ...]:
    """One number for all channels, or one for each.

    Raises:
        InvariantNetsError: another count, or no number.
    """
    given = [values] * width if isinstance(values, int | float) else list(values)
    if len(given) != width or not all(isinstance(v, int | float) and math.isfinite(v) for v in given):
        what = "one number, of grey" if width == 1 else "three numbers, for red, green and blue"
        raise InvariantNetsError(f"backbone.{name}={values}: give {what}")
    return tuple(map(float, given))


def wanted(owner: str, **options: object) -> None:
    """Refuse options that nobody else can know: pictures that are prepared in another way give other numbers.

    Raises:
        InvariantNetsError: naming the options that were not given.
    """
    examples = {"image_size": "112", "mean": "[0.485,0.456,0.406]", "std": "[0.229,0.224,0.225]"}
    if missing := [name for name, value in options.items() if value is None]:
        words = " ".join(f"backbone.{name}={examples[name]}" for name in missing)
        raise InvariantNetsError(
            f"{owner} does not say how its pictures are prepared: give what it was trained with, e.g. {words}"
        )
