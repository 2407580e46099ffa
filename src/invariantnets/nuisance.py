"""What varies between the images of one class and should be forgotten: its kind, its unit, and how it is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["SPLITS", "Kind", "Nuisance", "infer_nuisance"]

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
        fixed: it never varies within a class, as somebody's sex does not: who knows the class knows it.
    """

    name: str
    kind: Kind = "continuous"
    unit: str = ""
    categories: tuple[str, ...] = ()
    fixed: bool = False

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
