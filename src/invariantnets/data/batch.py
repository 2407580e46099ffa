"""What the data promise and what a batch holds. Nothing downstream is guessed from a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from invariantnets.errors import InvariantNetsError

Kind = Literal["continuous", "circular", "categorical", "binary"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Nuisance:
    """Something that varies between images of one class and that features should forget.

    Args:
        name: column name, e.g. ``angle``.
        kind: ``continuous`` (a number), ``circular`` (degrees, 360 ≡ 0), ``categorical`` or
            ``binary`` (codes 0..K-1).
        unit: for axes and tables, e.g. ``°``.
        categories: names of the codes of a categorical or binary nuisance.
    """

    name: str
    kind: Kind = "continuous"
    unit: str = ""
    categories: tuple[str, ...] = ()

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The regression target that stands for the nuisance.

        Continuous: the number itself; circular: (cos, sin); categorical and binary: one-hot. R²
        over all columns of the encoding then means the same for every kind, and 0 is chance.

        Args:
            values: ``(N,)``.

        Returns:
            ``(N, K)`` float64.
        """
        if self.kind == "continuous":
            return np.asarray(values, np.float64)[:, None]
        if self.kind == "circular":
            radians = np.deg2rad(np.asarray(values, np.float64))
            return np.stack([np.cos(radians), np.sin(radians)], 1)
        return np.eye(len(self.categories))[np.asarray(values, np.int64)]


def infer_nuisance(name: str, values: np.ndarray) -> tuple[Nuisance, np.ndarray]:
    """What a column of a table is: numbers are continuous; text and booleans categorical, two of them binary.

    Returns:
        The nuisance, and ``(N,)`` float64 numbers or codes.
    """
    if np.issubdtype(values.dtype, np.number):
        return Nuisance(name), values.astype(np.float64)
    categories, codes = np.unique(values.astype(str), return_inverse=True)
    kind: Kind = "binary" if len(categories) == 2 else "categorical"
    return Nuisance(name, kind, categories=tuple(map(str, categories))), codes.astype(np.float64)


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
        numbers = [start + i * step for i in range(round(count) + 1)]
    if not numbers or len(set(numbers)) < len(numbers):
        raise InvariantNetsError(f"{name}: needs at least one value, and no value twice; got {numbers}")
    return numbers


def numpy_rng(*entropy: int) -> np.random.Generator:
    """A generator that is a pure function of its integers, so that nothing need be saved to resume."""
    return np.random.default_rng(list(entropy))


def torch_rng(*entropy: int) -> torch.Generator:
    """The same for torch."""
    state = np.random.SeedSequence(list(entropy)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))
