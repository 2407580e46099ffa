"""Correlation of ranks, with an interval that knows that ranks move with every row."""

from __future__ import annotations

import numpy as np

from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["spearman"]


def spearman(draws: Resampling, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Spearman's correlation and its 95 % interval; NaN if one of the two does not vary. Equal values share a rank.

    It is the correlation of two distribution functions. Each row moves them as well as the mean of their product, and
    what it does to each of these is summed over independent sources (the projection of Hoeffding 1948), so that no rank
    is computed twice.

    Args:
        draws: of the rows.
        a: ``(N,)``.
        b: ``(N,)``.
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan"), float("nan"), float("nan")
    places = [_Place(values) for values in (a, b)]
    products = [_product(*pair) for pair in ((places[0], places[1]), (places[0], places[0]), (places[1], places[1]))]

    def statistic(sums: np.ndarray) -> np.ndarray:
        both, first, second = sums[:, 1:].T
        return (both / np.sqrt(first * second))[:, None]

    sums = np.stack([np.ones(len(a)), *products], 1)
    value, low, high = (float(v[0]) for v in draws.interval(sums, statistic, [Number("correlation", (0,))]))
    return value, low, high


class _Place:
    """Where values stand among all: ``(N,)`` from -½ to ½, of mean 0."""

    def __init__(self, values: np.ndarray) -> None:
        _, self.group, self.count = np.unique(values, return_inverse=True, return_counts=True)
        below = np.cumsum(self.count) - self.count
        self.place = ((below + self.count / 2) / len(values) - 0.5)[self.group]

    def moved(self, other: np.ndarray) -> np.ndarray:
        """``(N,)`` what each row, by the places of those above it, adds to the mean product with ``other`` places."""
        own = np.bincount(self.group, other, len(self.count))
        above = own.sum() - np.cumsum(own)
        found: np.ndarray = ((above + own / 2) / len(other))[self.group]
        return found


def _product(a: _Place, b: _Place) -> np.ndarray:
    """``(N,)`` whose mean is that of the product of two places, and whose scatter is that of this mean."""
    product = a.place * b.place
    return product + a.moved(b.place) + b.moved(a.place) - 2 * product.mean()
