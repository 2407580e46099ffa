"""Two-sample t-tests of every feature within every group of rows, from sums: no loop over features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.moments import BLOCK_ROWS
from invariantnets.statistics.views import Rows

__all__ = ["TwoSample", "shuffled_tests", "two_sample"]


@dataclass(frozen=True)
class TwoSample:
    """Tests of G groups and D features, two-tailed.

    Attributes:
        t: ``(G, D)`` above 0 where the second side is larger; NaN where neither side varies and both are equal.
        freedom: ``(G, D)`` degrees of freedom.
        p: ``(G, D)``; NaN where t is.
    """

    t: np.ndarray
    freedom: np.ndarray
    p: np.ndarray


def two_sample(x: Rows, group: np.ndarray, side: np.ndarray, welch: bool = True) -> TwoSample:
    """Whether the mean of each feature differs between the two sides of each group.

    Args:
        x: ``(N, D)``, read once, block by block.
        group: ``(N,)`` from 0 to G - 1.
        side: ``(N,)`` bool; every group has two rows or more on each.
        welch: each side has a variance of its own (Welch 1947); else they share one (Student).
    """
    from scipy.special import stdtr  # here: to import it takes a tenth of a second

    count = np.bincount(2 * group + side, minlength=2 * (int(group.max()) + 1))
    order = np.argsort(2 * group + side, kind="stable")
    mean, squares = np.empty((2, len(count), x.shape[1]))
    for cells, rows in _blocks(count):
        values, inside = x[order[rows]].astype(np.float64), count[cells]
        # About a row of its own group: what never varies is then exactly 0, and what is far from 0 keeps its digits.
        of_group = inside.reshape(-1, 2).sum(1)
        values -= np.repeat(values[np.cumsum(of_group) - of_group], of_group, axis=0)
        starts = np.cumsum(inside) - inside
        mean[cells] = np.add.reduceat(values, starts, axis=0) / inside[:, None]
        values -= np.repeat(mean[cells], inside, axis=0)
        np.square(values, out=values)
        squares[cells] = np.add.reduceat(values, starts, axis=0)
    n = count.reshape(-1, 2, 1).astype(np.float64)
    sums = squares.reshape(-1, 2, x.shape[1])
    t, freedom = _student(mean[1::2] - mean[::2], sums[:, 0], sums[:, 1], n[:, 0], n[:, 1], welch)
    return TwoSample(t, freedom, 2 * stdtr(freedom, -np.abs(t)))


def shuffled_tests(
    x: Rows, group: np.ndarray, side: np.ndarray, shuffles: int, alpha: float, rng: np.random.Generator, *, welch: bool
) -> np.ndarray:
    """How many features would seem to differ if sides meant nothing: they are shuffled among the rows of each group.

    Args:
        x: as in `two_sample`.
        group: the same.
        side: the same.
        shuffles: R.
        alpha: of a single test: features whose p is below it are counted.
        rng: shuffles.
        welch: as in `two_sample`.

    Returns:
        ``(R, G)`` features that seem to differ.
    """
    from scipy.special import stdtr, stdtrit

    order, sizes = np.argsort(group, kind="stable"), np.bincount(group)
    found = np.empty((shuffles, len(sizes)))
    for g, rows in enumerate(np.split(order, np.cumsum(sizes)[:-1])):
        values = x[rows].astype(np.float64)
        values -= values.mean(0)
        drawn = rng.permuted(np.tile(side[rows], (shuffles, 1)), axis=1).astype(np.float64)
        n1 = float(side[rows].sum())
        n0 = len(rows) - n1
        s1, whole = drawn @ values, (values**2).sum(0)
        q1 = drawn @ values**2
        s0, q0 = values.sum(0) - s1, whole - q1
        # What is left of a square by rounding alone is none.
        least = 1e-13 * whole
        within0, within1 = (np.maximum(q - s**2 / n - least, 0) for s, q, n in ((s0, q0, n0), (s1, q1, n1)))
        t, freedom = _student(s1 / n1 - s0 / n0, within0, within1, n0, n1, welch)
        # The critical value is least at the most degrees of freedom: few tests need their own.
        maybe = np.nonzero(np.abs(t) > -stdtrit(n0 + n1 - 2, alpha / 2))
        differs = np.zeros(t.shape, bool)
        differs[maybe] = 2 * stdtr(np.broadcast_to(freedom, t.shape)[maybe], -np.abs(t[maybe])) < alpha
        found[:, g] = differs.sum(1)
    return found


def _student(
    difference: np.ndarray,
    within0: np.ndarray,
    within1: np.ndarray,
    n0: np.ndarray | float,
    n1: np.ndarray | float,
    welch: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Of a test, t and its degrees of freedom, from sums of squares about the mean of each side."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if welch:
            v0, v1 = within0 / (n0 - 1) / n0, within1 / (n1 - 1) / n1
            error = v0 + v1
            freedom = error**2 / (v0**2 / (n0 - 1) + v1**2 / (n1 - 1))
            freedom = np.where(error > 0, freedom, 1.0)
        else:
            freedom = np.broadcast_to(n0 + n1 - 2, difference.shape).astype(np.float64)
            error = (within0 + within1) / freedom * (1 / n0 + 1 / n1)
        return difference / np.sqrt(error), freedom


def _blocks(count: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Cells (two of a group) and rows, sorted by cell, of about `BLOCK_ROWS` rows, whole groups."""
    ends, first = np.cumsum(count), 0
    while first < len(count):
        begin = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, begin + BLOCK_ROWS, side="right")) // 2 * 2, first + 2)
        yield slice(first, last), slice(begin, int(ends[last - 1]))
        first = last
