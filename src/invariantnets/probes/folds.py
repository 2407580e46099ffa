"""Which known rows are held out in turn, so that a reader is chosen on rows that it was not fitted to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Folds", "draw_folds"]

FIFTH = 5
# So much held out is enough to choose by, all folds together; what is independent among rows counts, too.
ROWS, SOURCES = 4_000, 200
# Of rows that are many, one fold may hold so many more: they cost next to nothing.
MOST_ROWS = 10_000


@dataclass(frozen=True)
class Folds:
    """A division of rows by source.

    Attributes:
        group: ``(M,)`` the fold in which a row is held out, below ``count``; ``count`` where it never is.
        count: K, of the folds.
    """

    group: np.ndarray
    count: int

    @property
    def choice(self) -> np.ndarray:
        """``(C,)`` the rows that are held out, fold by fold."""
        return np.concatenate([self.held(k) for k in range(self.count)])

    def held(self, k: int) -> np.ndarray:
        """Rows that fold k holds out."""
        return np.flatnonzero(self.group == k)

    def fit(self, k: int | None) -> np.ndarray:
        """Rows that fold k is fitted to; all of them for None."""
        return np.arange(len(self.group)) if k is None else np.flatnonzero(self.group != k)

    def places(self, k: int) -> slice:
        """Where the rows of fold k stand in ``choice``."""
        sizes = np.bincount(self.group, minlength=self.count)
        return slice(int(sizes[:k].sum()), int(sizes[: k + 1].sum()))


def draw_folds(source: np.ndarray, stratum: np.ndarray, first: np.ndarray, rng: np.random.Generator) -> Folds:
    """Folds of a fifth of the rows, as many of them, one to five, as hold enough to choose by.

    Of few rows all are held out in turn. Of many a single fold is: a second would tell no more, and cost as much.

    Args:
        source: ``(M,)`` what stays together; at least two different ones.
        stratum: ``(M,)`` what is spread evenly over the folds: the class.
        first: ``(M,)`` bool, rows whose sources are held out before others: a network was not trained on them.
        rng: draws.
    """
    _, row, index, size = np.unique(source, return_index=True, return_inverse=True, return_counts=True)
    fifth, few = len(source) / FIFTH, len(size) / FIFTH
    count = min(max(math.ceil(ROWS / fifth), math.ceil(SOURCES / few), 1), FIFTH, len(size))
    order = rng.permutation(len(size))
    order = order[np.argsort(~first[row[order]], kind="stable")]
    if count < FIFTH:
        enough = fifth * count if count > 1 else min(fifth, max(MOST_ROWS, SOURCES * fifth / few))
        order = order[: max(count, int(np.searchsorted(np.cumsum(size[order]), enough, side="right")))]
    order = order[np.argsort(stratum[row[order]], kind="stable")]
    fold = np.full(len(size), count)
    fold[order] = np.arange(len(order)) % count
    return Folds(fold[index], count)
