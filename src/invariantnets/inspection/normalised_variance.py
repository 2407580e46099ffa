"""How much each neuron varies with a transformation, beside how much it varies between pictures, in one pass.

Quiroga et al., "Invariance measures for neural networks" (2023), as their library computes it (facundoq/tmeasures:
``NormalizedVarianceInvariance``, its ``Variance`` and ``safe_divide``), read there and written anew:

* transformational: the standard deviation over the amounts of the transformation, of each picture, its mean over
  pictures;
* of samples: the standard deviation over pictures, at each amount, its mean over amounts;
* their quotient; where both are 0 it is 1, where only the second is, infinite.

"Variance" is their word; what is divided are standard deviations, each with n - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.intervals import Number, Scatter, bounds

__all__ = ["NormalisedVariance", "Spread"]

GROUPS = 10


@dataclass(frozen=True)
class Spread:
    """What was found of a layer.

    Attributes:
        value: the mean of the quotient over neurons where it is finite; NaN where it is for none.
        low, high: its interval, by leaving out each of the groups of pictures in turn; NaN with one group.
        moved: the mean over those of them that change at all; NaN if none does.
        moved_low, moved_high: its interval.
        infinite: neurons that change with the transformation and not from picture to picture: they are left out.
        still: neurons that change with neither; by definition their quotient is 1.
    """

    value: float
    low: float
    high: float
    moved: float
    moved_low: float
    moved_high: float
    infinite: int
    still: int


class NormalisedVariance:
    """Sums over pictures, of some neurons of a layer. The memory is that of ``groups × amounts × neurons`` numbers.

    Args:
        amounts: of the transformation, at least 2.
        neurons: D.
        groups: of pictures that an interval leaves out one at a time.
    """

    def __init__(self, amounts: int, neurons: int, groups: int = GROUPS) -> None:
        self._amounts = amounts
        self._n = np.zeros(groups)
        self._sums = np.zeros((2, groups, amounts, neurons))
        self._within = np.zeros((groups, neurons))
        self._origin: np.ndarray | None = None

    def add(self, values: np.ndarray, group: np.ndarray) -> None:
        """Some pictures at all amounts.

        Args:
            values: ``(amounts, b, D)``.
            group: ``(b,)`` the group of each picture.
        """
        x = values.astype(np.float64)
        if self._origin is None:
            # A picture that there is: what never changes differs from it by 0, not by rounding.
            self._origin = x[0, 0].copy()
        own = x - x[0]
        squares = (own**2).sum(0) - own.sum(0) ** 2 / self._amounts
        within = np.sqrt(np.maximum(squares, 0) / (self._amounts - 1))
        x -= self._origin
        for g in np.unique(group):
            rows = group == g
            self._n[g] += rows.sum()
            self._sums[0, g] += x[:, rows].sum(1)
            self._sums[1, g] += (x[:, rows] ** 2).sum(1)
            self._within[g] += within[rows].sum(0)

    def quotient(self, without: int | None = None) -> np.ndarray:
        """``(D,)`` of each neuron; of all groups, or of all but one. NaN of fewer than 2 pictures."""
        keep = np.ones(len(self._n), bool)
        if without is not None:
            keep[without] = False
        n = self._n[keep].sum()
        if n < 2:
            return np.full(self._within.shape[1], np.nan)
        first, second = self._sums[:, keep].sum(1)
        between = np.sqrt(np.maximum(second - first**2 / n, 0) / (n - 1)).mean(0)
        within = self._within[keep].sum(0) / n
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((between == 0) & (within == 0), 1.0, within / between)

    def _still(self, without: int | None = None) -> np.ndarray:
        """``(D,)`` whether a neuron is the same in all pictures at all amounts."""
        keep = np.arange(len(self._n)) != without
        n = self._n[keep].sum()
        first, second = self._sums[:, keep].sum(1)
        still: np.ndarray = (self._within[keep].sum(0) == 0) & (second - first**2 / max(n, 1) <= 0).all(0)
        return still

    def spread(self) -> Spread:
        """Of all neurons."""
        groups = [int(g) for g in np.flatnonzero(self._n)]
        left = np.array([self._means(g) for g in groups])
        ends = [_interval(value, found) for value, found in zip(self._means(), left.T, strict=True)]
        (value, low, high), (moved, moved_low, moved_high) = ends
        infinite = int(np.isinf(self.quotient()).sum())
        return Spread(value, low, high, moved, moved_low, moved_high, infinite, int(self._still().sum()))

    def _means(self, without: int | None = None) -> tuple[float, float]:
        """Over all neurons whose quotient is finite, and over those of them that change."""
        quotient, still = self.quotient(without), self._still(without)
        finite = np.isfinite(quotient)
        return _mean(quotient[finite]), _mean(quotient[finite & ~still])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _interval(value: float, left: np.ndarray) -> tuple[float, float, float]:
    """A mean with its interval, by the jackknife of groups (Tukey 1958): what it is without each in turn."""
    count = len(left)
    if count < 2 or not np.isfinite(value) or not np.isfinite(left).all():
        return value, np.nan, np.nan
    influence = (count - 1) * (left - left.mean())
    variance = float((influence**2).sum() / (count * (count - 1)))
    even = Scatter(variance / value**2 if value > 0 else np.nan, float(count))
    low, high = bounds(Number("positive", (0,)), value, Scatter(variance, float(count)), even, np.array([float(count)]))
    return value, low, high
