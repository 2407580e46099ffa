"""Boosted trees of one column of a target, on what tells something of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from invariantnets.probes.screening import Screening
from invariantnets.statistics.lengths import norms
from invariantnets.statistics.moments import moments, project
from invariantnets.statistics.spaces import eigenbasis

if TYPE_CHECKING:  # imported where it is used: other probes do without
    from sklearn.ensemble import HistGradientBoostingRegressor

__all__ = ["Boosted", "Columns", "Option", "Rows", "View"]

# Rows that are enough to find the features of a target.
SCREENED = 5_000
# Parts of a feature's range, for those that are looked at closely.
PARTS = 4
# Features at most, whose principal axes are worth their cost.
TURNED = 1024


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
class Columns:
    """What may be seen of a row: its features as they are, its length, its place along the principal axes.

    Attributes:
        mean: ``(D,)`` of the rows that the axes are of.
        axes: ``(D, R)`` of the standardised features, in the units of the features.
    """

    mean: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Columns:
        """With the axes of some rows ``(N, D)``."""
        if x.shape[1] > TURNED:
            return cls(np.zeros(x.shape[1]), np.empty((x.shape[1], 0)))
        found = moments(x, np.empty((len(x), 0)))
        return cls(found.x_mean, eigenbasis(found, rows=x)[1])

    def some(self, x: np.ndarray, index: np.ndarray) -> np.ndarray:
        """``(N, D)`` → ``(N, M)`` of the columns ``(M,)``, in the precision of the features."""
        dims, found = len(self.mean), np.empty((len(x), len(index)), x.dtype)
        found[:, index < dims] = x[:, index[index < dims]]
        if (index == dims).any():
            found[:, index == dims] = norms(x).clip(max=float(np.finfo(x.dtype).max))[:, None]
        axes = self.axes[:, index[index > dims] - dims - 1]
        found[:, index > dims] = project(x, axes, origin=self.mean)
        return found

    def every(self, x: np.ndarray) -> np.ndarray:
        """``(N, D)`` → ``(N, D + 1 + R)``."""
        return self.some(x, np.arange(len(self.mean) + 1 + self.axes.shape[1]))


@dataclass(frozen=True)
class View:
    """The columns that trees are grown on: some, and the same in parts of their range.

    Attributes:
        index: ``(M,)`` of the columns.
        parts: place in ``index``, least value, and the least value of the next part.
    """

    index: np.ndarray
    parts: list[tuple[int, float, float]]

    @classmethod
    def of(cls, x: np.ndarray, index: np.ndarray, close: bool) -> View:
        """With parts of equal size, as far as there are so many values, of some rows' columns ``(N, C)``."""
        parts: list[tuple[int, float, float]] = []
        for place, values in enumerate(x[:, index].T if close else ()):
            inner = np.unique(np.quantile(values, np.arange(1, PARTS) / PARTS, method="lower"))
            inner = inner[inner > values.min()]
            if len(inner):
                parts += [(place, *edges) for edges in pairwise([-np.inf, *inner.tolist(), np.inf])]
        return cls(index, parts)

    def __call__(self, kept: np.ndarray) -> np.ndarray:
        """``(N, M)`` → ``(N, M + P)``: what lies outside of a part is missing there, and so takes none of its bins."""
        columns = ((kept[:, i], low, high) for i, low, high in self.parts)
        parts = [np.where((v >= low) & (v < high), v, np.nan) for v, low, high in columns]
        return np.column_stack([kept, *parts])


class Boosted(NamedTuple):
    """The trees of one column of a target.

    Attributes:
        columns: that may be seen.
        view: those that are.
        trees: those that were grown.
        used: how many of them, the first.
        bounds: ``(2,)`` least and greatest that they were fitted to.
    """

    columns: Columns
    view: View
    trees: HistGradientBoostingRegressor
    used: int
    bounds: np.ndarray

    def stages(self, kept: np.ndarray) -> Iterator[np.ndarray]:
        """``(N, M)`` columns → ``(N,)`` after each tree."""
        return (np.clip(p, *self.bounds) for p in self.trees.staged_predict(self.view(kept)))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """``(N, D)`` features → ``(N,)``."""
        return next(islice(self.stages(self.columns.some(x, self.view.index)), self.used - 1, None))


@dataclass(frozen=True)
class Rows:
    """Rows that are fitted.

    Attributes:
        rows: ``(n,)`` of those known, in random order.
        columns: that may be seen of them.
        x: ``(n, C)`` these columns.
        screening: of the first of the rows.
    """

    rows: np.ndarray
    columns: Columns
    x: np.ndarray
    screening: Screening

    @classmethod
    def of(cls, rows: np.ndarray, x: np.ndarray) -> Rows:
        """With their features ``(n, D)``; nothing else is known of any other row."""
        columns = Columns.of(x)
        every = columns.every(x)
        return cls(rows, columns, every, Screening.of(every[:SCREENED]))

    def first(self, count: int) -> Rows:
        """Some of them, with what all know."""
        return self if len(self.rows) <= count else replace(self, rows=self.rows[:count], x=self.x[:count])

    def best(self, y: np.ndarray) -> np.ndarray:
        """``(C,)`` columns, first the one that explains the most of a column of known rows ``(M,)``."""
        explained = self.screening.explained(y[self.rows[: len(self.screening.order)]])
        return np.argsort(-explained, kind="stable")

    def fit(self, option: Option, y: np.ndarray, best: np.ndarray) -> Boosted:
        """Trees of one column of known rows ``(M,)``, on the best of what may be seen."""
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
        trees.fit(view(self.x[:, view.index]), y)
        return Boosted(self.columns, view, trees, option.trees, np.array([y.min(), y.max()]))
