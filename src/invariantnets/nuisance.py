"""What varies between the images of one class and should be forgotten: its kind, its unit, and how it is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from invariantnets.errors import InvariantNetsError

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


def infer_nuisance(
    name: str, values: np.ndarray, kind: Kind | None = None, unit: str = ""
) -> tuple[Nuisance, np.ndarray]:
    """What a column of a table is: numbers are continuous; text and booleans categorical, two of them binary.

    Args:
        name: of the column.
        values: ``(N,)``.
        kind: what it is said to be; None looks at the values.
        unit: for axes and tables.

    Returns:
        The nuisance, and ``(N,)`` float64 numbers or codes.

    Raises:
        InvariantNetsError: a kind that there is not, or that the values cannot be.
    """
    if kind is not None and kind not in get_args(Kind):
        raise InvariantNetsError(f"kinds: {name} is said to be {kind!r}; choose {', '.join(get_args(Kind))}")
    number = np.issubdtype(values.dtype, np.number)
    if kind in ("continuous", "circular") and not number:
        raise InvariantNetsError(f"kinds: {name} is said to be {kind}, but holds text ({values[0]}); give numbers")
    if number and kind in (None, "continuous", "circular"):
        return Nuisance(name, kind or "continuous", unit), values.astype(np.float64)
    categories, codes = np.unique(values if number else values.astype(str), return_inverse=True)
    if kind == "binary" and len(categories) != 2:
        raise InvariantNetsError(
            f"kinds: {name} is said to be binary, but has {len(categories)} values; say categorical"
        )
    kind = kind or ("binary" if len(categories) == 2 else "categorical")
    names = tuple(f"{value:g}" if number else str(value) for value in categories)
    return Nuisance(name, kind, unit, names), codes.astype(np.float64)
