"""What the data promise and what a batch holds. Nothing downstream is guessed from a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance

MOST = 100_000  # values of a range


@dataclass(frozen=True)
class DataSpec:
    """What a data module yields: image shape ``(C, H, W)``, number of classes, nuisances."""

    image_shape: tuple[int, int, int]
    num_classes: int
    nuisances: tuple[Nuisance, ...] = ()


@dataclass
class Batch:
    """One step's worth of images. ``V`` is the number of views (1 unless pairs are asked for).

    Attributes:
        image: ``(B, V, C, H, W)`` uint8.
        label: ``(B,)`` int64, shared by all views.
        index: ``(B, V)`` int64, the row of each image in its split: unique and reproducible.
        source: ``(B, V)`` int64, the image of origin, before any perturbation.
        nuisance: name → ``(B, V)`` float32 (codes for categorical ones).
    """

    image: Tensor
    label: Tensor
    index: Tensor
    source: Tensor
    nuisance: dict[str, Tensor] = field(default_factory=dict)


def parse_range(spec: Sequence[float] | str, name: str = "angles") -> list[float]:
    """Turn ``[a, b, …]`` or ``"start:stop:step"`` (both ends included) into a list.

    A range is a string, not a mapping, since a command line can replace a string by a list.

    Raises:
        InvariantNetsError: no value, one repeated or not finite, or a step that misses the stop.
    """
    wanted = f'{name}: give a list of finite numbers, or a range "start:stop:step"; got {spec!r}'
    try:
        numbers = [float(v) for v in (spec.split(":") if isinstance(spec, str) else spec)]
    except (TypeError, ValueError):
        raise InvariantNetsError(wanted) from None
    if not all(map(math.isfinite, numbers)) or (isinstance(spec, str) and len(numbers) != 3):
        raise InvariantNetsError(wanted)
    if isinstance(spec, str):
        start, stop, step = numbers
        count = (stop - start) / step if step > 0 else -1
        if abs(count - round(count)) > 1e-6 or count < 0:
            raise InvariantNetsError(f"{name}: a step of {step} does not lead from {start} to {stop}")
        if count > MOST:
            raise InvariantNetsError(f"{name}: {spec} are {count:,.0f} values; give {MOST:,} at most")
        numbers = [start + i * step for i in range(round(count) + 1)]
    if not numbers or len(set(numbers)) < len(numbers):
        raise InvariantNetsError(f"{name}: needs at least one value, and no value twice; got {numbers}")
    return numbers
