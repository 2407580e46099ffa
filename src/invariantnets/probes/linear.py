"""Ridge regression from moments: every target and penalty at once, the penalty chosen on rows held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.moments import BLOCK_ROWS, Moments, project, project_by, reach
from invariantnets.statistics.spaces import eigenbasis
from invariantnets.statistics.views import Rows

__all__ = ["LAMBDAS", "LinearModel", "errors", "model_of", "path_of", "predict_by_class"]

# On the scale of the eigenvalues of the correlation matrix. The last one predicts the mean.
LAMBDAS = (*np.logspace(-12, 4, 33).tolist(), np.inf)


@dataclass(frozen=True)
class LinearModel:
    """A fitted regressor of T targets: ``(x - centre) @ coef + mean``, not far beyond what was seen in training.

    Attributes:
        coef: ``(D, T)`` in the units of the features; 0 for dead ones.
        centre: ``(D,)`` mean of the features: without it, a time stamp times a slope would be rounding.
        mean: ``(T,)`` of the targets.
        penalty: the λ of each group of targets.
        limits: ``(2, D)``: features beyond are taken to be there, see `reach`.
        bounds: ``(2, T)`` of predictions, see `prediction_bounds`.
    """

    coef: np.ndarray
    centre: np.ndarray
    mean: np.ndarray
    penalty: tuple[float, ...]
    limits: np.ndarray
    bounds: np.ndarray

    def predict(self, features: Rows) -> np.ndarray:
        """``(N, D)`` → ``(N, T)`` float64."""
        return np.clip(project(features, self.coef, limits=self.limits, origin=self.centre) + self.mean, *self.bounds)


def prediction_bounds(train: Moments) -> np.ndarray:
    """``(2, T)``: half as far again as the training targets reach, to either side.

    Where a row lies far outside what was seen, a line would be off by more than any angle is, and a few such rows
    would count for more than all others. An ordinary regression has no prediction beyond.
    """
    low, high = train.y_range
    return np.stack([low - (high - low) / 2, high + (high - low) / 2])


def path_of(
    train: Moments, penalties: Sequence[float] = LAMBDAS, raw: bool = False, rows: np.ndarray | None = None
) -> np.ndarray:
    """Coefficients for every penalty, ``(L, D, T)``: in the eigenbasis every λ is a division.

    Args:
        train: moments of the rows to fit.
        penalties: λ of min ‖y - Xw‖²/n + λ‖w‖².
        raw: features are centred and divided by one number alone; else each by its standard deviation.
        rows: ``(n, D)`` those fitted, where they are fewer than features: it is faster, and the same.
    """
    variances, axes = eigenbasis(train, standardise=not raw, rows=rows)
    return axes @ ((axes.T @ train.xy / train.n) / (variances[:, None] + np.asarray(penalties)[:, None, None]))


def errors(train: Moments, path: np.ndarray, features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Squared error ``(L, T)`` of every penalty on rows held out, read once, limited as the predictions will be.

    In closed form, without limits, a handful of rows far outside a class's spread would outvote all
    others, and the penalty be chosen that hides what those others show.
    """
    penalties, dims, width = path.shape
    weights, limits = path.transpose(1, 0, 2).reshape(dims, -1), reach(train)
    bounds = prediction_bounds(train)
    error = np.zeros((penalties, width))
    for start in range(0, len(features), BLOCK_ROWS):
        x, y = (part[start : start + BLOCK_ROWS] for part in (features, targets))
        predicted = project(x, weights, limits=limits, origin=train.x_mean).reshape(len(x), penalties, width)
        predicted += train.y_mean
        error += ((np.clip(predicted, *bounds) - y[:, None]) ** 2).sum(0)
    return error


def model_of(
    train: Moments, path: np.ndarray, groups: Sequence[slice], best: Sequence[int], penalties: Sequence[float] = LAMBDAS
) -> LinearModel:
    """The regressor at one place of its path for each group of targets."""
    coef = np.zeros(path.shape[1:])
    for group, index in zip(groups, best, strict=True):
        coef[:, group] = path[index][:, group]
    penalty = tuple(float(penalties[index]) for index in best)
    return LinearModel(coef, train.x_mean, train.y_mean, penalty, reach(train), prediction_bounds(train))


def predict_by_class(models: Sequence[LinearModel], features: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Each row by the regressor of its label.

    Args:
        models: one per class.
        features: ``(N, D)``.
        label: ``(N,)`` true or predicted classes.

    Returns:
        ``(N, T)`` float64.
    """
    parts = zip(*((m.coef, m.limits, m.centre, m.mean, *m.bounds) for m in models), strict=True)
    coef, limits, centre, mean, low, high = map(np.stack, parts)
    return np.clip(project_by(features, label, coef, limits, centre) + mean[label], low[label], high[label])
