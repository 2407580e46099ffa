"""Boosted trees of one column of a target, on the features that tell something of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from invariantnets.probes.screening import Screening
from invariantnets.statistics.lengths import norms

if TYPE_CHECKING:  # imported where it is used: other probes do without
    from sklearn.ensemble import HistGradientBoostingRegressor

__all__ = ["Boosted", "Option", "Rows", "View", "with_length"]

# Rows that are enough to find the features of a target.
SCREENED = 5_000
# Parts of a feature's range, for those that are looked at closely.
PARTS = 4


class Option(NamedTuple):
    """What trees may be like.

    Attributes:
        features: how many are kept, the best of the screening.
        close: whether each is given again in each quarter of its range: trees see 255 values of a feature, so 1,020.
        leaves: of a tree, at most.
        min_samples: rows in a leaf, at least.
        rate: of learning.
        trees: how many.
    """

    features: int
    close: bool
    leaves: int
    min_samples: int
    rate: float = 0.3
    trees: int = 60


@dataclass(frozen=True)
class View:
    """The columns that trees are grown on: some features, and the same in parts of their range.

    Attributes:
        index: ``(M,)`` of the features.
        parts: place in ``index``, least value, and the least value of the next part.
    """

    index: np.ndarray
    parts: list[tuple[int, float, float]]

    @classmethod
    def of(cls, x: np.ndarray, index: np.ndarray, close: bool) -> View:
        """With parts of equal size, as far as there are so many values, of some rows ``(N, D)``."""
        parts: list[tuple[int, float, float]] = []
        for place, values in enumerate(x[:, index].T if close else ()):
            inner = np.unique(np.quantile(values, np.arange(1, PARTS) / PARTS, method="lower"))
            inner = inner[inner > values.min()]
            if len(inner):
                parts += [(place, *edges) for edges in pairwise([-np.inf, *inner.tolist(), np.inf])]
        return cls(index, parts)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``(N, D)`` → ``(N, M + P)``: what lies outside of a part is missing there, and so takes none of its bins."""
        kept = x[:, self.index]
        columns = ((kept[:, i], low, high) for i, low, high in self.parts)
        parts = [np.where((v >= low) & (v < high), v, np.nan) for v, low, high in columns]
        return np.column_stack([kept, *parts])


class Boosted(NamedTuple):
    """The trees of one column.

    Attributes:
        view: what they see.
        trees: those that were grown.
        used: how many of them, the first.
        bounds: ``(2,)`` least and greatest that they were fitted to.
    """

    view: View
    trees: HistGradientBoostingRegressor
    used: int
    bounds: np.ndarray

    def stages(self, x: np.ndarray) -> Iterable[np.ndarray]:
        """``(N, D)`` → ``(N,)`` after each tree."""
        return (np.clip(p, *self.bounds) for p in self.trees.staged_predict(self.view(x)))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """``(N, D)`` → ``(N,)``."""
        return next(islice(iter(self.stages(x)), self.used - 1, None))


@dataclass(frozen=True)
class Rows:
    """Rows that are fitted, with their features.

    Attributes:
        rows: ``(n,)`` of those known, in random order.
        x: ``(n, D + 1)``, see `with_length`.
        screening: of the first of them.
    """

    rows: np.ndarray
    x: np.ndarray
    screening: Screening

    @classmethod
    def of(cls, rows: np.ndarray, x: np.ndarray) -> Rows:
        """With the screening."""
        return cls(rows, x, Screening.of(x[:SCREENED]))

    def first(self, count: int) -> Rows:
        """Some of them, and the same screening."""
        return self if len(self.rows) <= count else Rows(self.rows[:count], self.x[:count], self.screening)

    def best(self, y: np.ndarray) -> np.ndarray:
        """``(D + 1,)`` features, from the one that explains the most of a column of known rows ``(M,)``."""
        explained = self.screening.explained(y[self.rows[: len(self.screening.order)]])
        return np.argsort(-explained, kind="stable")

    def fit(self, option: Option, y: np.ndarray, best: np.ndarray) -> Boosted:
        """Trees of one column of known rows ``(M,)``, on the best of its features."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        y, view = y[self.rows], View.of(self.x, best[: option.features], option.close)
        trees = HistGradientBoostingRegressor(
            learning_rate=option.rate,
            max_iter=option.trees,
            max_leaf_nodes=option.leaves,
            min_samples_leaf=option.min_samples,
            early_stopping=False,
            random_state=0,
        )
        return Boosted(view, trees.fit(view(self.x), y), option.trees, np.array([y.min(), y.max()]))


def with_length(x: np.ndarray) -> np.ndarray:
    """``(N, D)`` → ``(N, D + 1)``: the length of each row beside its features."""
    length = norms(x).clip(max=float(np.finfo(x.dtype).max))
    return np.concatenate([x, length[:, None].astype(x.dtype)], 1)
