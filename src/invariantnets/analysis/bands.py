"""Do bands of a map run along its rows or along its columns? A two-way analysis of variance (Fisher 1925)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["Band", "bands"]


class Band(NamedTuple):
    """A share of the variance of a map.

    Attributes:
        value: from 0 to 1.
        low, high: 95 % interval over rows.
        chance: mean of shuffled maps.
        p: how often these reach the value.
    """

    value: float
    low: float
    high: float
    chance: float
    p: float


def bands(found: np.ndarray, shuffles: int, rng: np.random.Generator) -> dict[str, Band]:
    """Shares of the variance of a map that lie in the means of its rows, and in those of its columns.

    What remains is in single cells. A share is never 0 of a finite map: that of rows is judged by maps in which the
    rows are shuffled within each column, which leaves the means of columns as they are, and the other way round.

    Args:
        found: ``(I, D)`` bool, not all the same; two rows or more.
        shuffles: of the map.
        rng: shuffles.

    Returns:
        of ``rows`` and of ``columns``.
    """
    people, width = found.shape
    values = found.astype(np.float64)
    quantities = np.column_stack([np.ones(people), values.mean(1), values.mean(1) ** 2, values])

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, total, squares, columns = sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3:]
        mean = total / n
        whole = n * mean * (1 - mean)  # of noes and yeses, over their number of columns
        along = (squares - n * mean**2) / whole
        down = ((columns**2).sum(1) / n / width - n * mean**2) / whole
        return np.clip(np.stack([along, down], 1), 0, 1)

    drawn = np.empty((shuffles, 2))
    for one in drawn:
        shuffled = rng.permuted(found, axis=0), rng.permuted(found, axis=1)
        one[:] = _share(shuffled[0], 1), _share(shuffled[1], 0)
    value, low, high = Resampling(np.arange(people)).interval(quantities, statistic, [Number("share", (0,))] * 2)
    p = (1 + (drawn >= value - 1e-12).sum(0)) / (1 + shuffles)
    rows, columns = (Band(*map(float, one)) for one in zip(value, low, high, drawn.mean(0), p, strict=True))
    return {"rows": rows, "columns": columns}


def _share(found: np.ndarray, axis: int) -> float:
    return float(found.mean(axis).var() / found.var())
