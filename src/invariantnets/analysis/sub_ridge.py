"""Ridge regression on some of the features, from blocks of the moments of all: rows are read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from invariantnets.probes.linear import LAMBDAS, LinearModel, model_of, path_of
from invariantnets.probes.task import Task
from invariantnets.statistics.moments import Moments

__all__ = ["SubRidge", "held_out_error", "left_out", "of_units"]


def of_units(whole: Moments, units: np.ndarray) -> Moments:
    """Moments of some of the features, ``(K,)`` places of theirs."""
    return replace(whole, x_mean=whole.x_mean[units], xx=whole.xx[np.ix_(units, units)], xy=whole.xy[units])


def left_out(whole: Moments, fitted: Moments) -> Moments:
    """Sums of the rows that are not fitted, about the means of those that are; their number as ``n``.

    Args:
        whole: moments of all rows.
        fitted: of some of them.

    Returns:
        Σ (x - x̄)(x - x̄)ᵀ, Σ (x - x̄)(y - ȳ)ᵀ and Σ (y - ȳ)² of the others, where x̄ and ȳ are the means of the fitted.
    """
    dx, dy = whole.x_mean - fitted.x_mean, whole.y_mean - fitted.y_mean
    return replace(
        fitted,
        n=whole.n - fitted.n,
        xx=whole.xx - fitted.xx + whole.n * np.outer(dx, dx),
        xy=whole.xy - fitted.xy + whole.n * np.outer(dx, dy),
        yy=whole.yy - fitted.yy + whole.n * dy**2,
    )


def held_out_error(held: Moments, path: np.ndarray) -> np.ndarray:
    """Squared error of every penalty on rows held out, ``(L, T)``.

    Args:
        held: of `left_out`.
        path: ``(L, D, T)`` coefficients.
    """
    penalties, width, targets = path.shape
    flat = path.transpose(1, 0, 2).reshape(width, -1)
    squares = np.einsum("dm,dm->m", flat, held.xx @ flat).reshape(penalties, targets)
    return held.yy - 2 * np.einsum("ldt,dt->lt", path, held.xy) + squares


@dataclass(frozen=True)
class SubRidge:
    """What is fitted to, and what it is chosen on.

    Attributes:
        whole: moments of all known rows.
        folds: of what each fold is fitted to, and of what it holds out (`left_out`).
        groups: columns of the targets that share a penalty.
    """

    whole: Moments
    folds: Sequence[tuple[Moments, Moments]]
    groups: Sequence[slice]

    @classmethod
    def of(cls, task: Task) -> SubRidge:
        """Of the true nuisances of a task, in their order, without controls."""
        columns = np.concatenate([np.arange(t.true.start, t.true.stop) for t in task.every])
        stops = np.cumsum([t.true.stop - t.true.start for t in task.every])
        starts = [0, *stops[:-1]]

        def true(m: Moments) -> Moments:
            y_mean, xy, yy = m.y_mean[columns], m.xy[:, columns], m.yy[columns]
            return replace(m, y_mean=y_mean, xy=xy, yy=yy, y_range=m.y_range[:, columns])

        whole = true(task.moments())
        fitted = [true(task.moments(k)) for k in range(task.folds.count)]
        groups = [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]
        return cls(whole, [(m, left_out(whole, m)) for m in fitted], groups)

    def fit(self, units: np.ndarray) -> LinearModel:
        """The regressor on some of the features, its penalties chosen out of fold, where nothing is limited.

        Args:
            units: ``(K,)`` places of the features that are left.
        """
        error = np.zeros((len(LAMBDAS), self.groups[-1].stop))
        for fitted, held in self.folds:
            error += held_out_error(of_units(held, units), path_of(of_units(fitted, units)))
        best = [int(error[:, group].sum(1).argmin()) for group in self.groups]
        whole = of_units(self.whole, units)
        return model_of(whole, path_of(whole), self.groups, best)
