"""Ridge regression from moments: every target, class and penalty at once, the penalty chosen on validation rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.probes.task import Task
from invariantnets.statistics.moments import BLOCK_ROWS, Moments, project, project_by, reach
from invariantnets.statistics.spaces import eigenbasis

# On the scale of the eigenvalues of the correlation matrix. The last one predicts the mean.
LAMBDAS = (*np.logspace(-12, 4, 33).tolist(), np.inf)

Rows = tuple[np.ndarray, np.ndarray]  # (N, D) features and (N, T) targets


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

    def predict(self, features: np.ndarray) -> np.ndarray:
        """``(N, D)`` → ``(N, T)`` float64."""
        return np.clip(project(features, self.coef, limits=self.limits, origin=self.centre) + self.mean, *self.bounds)


def prediction_bounds(train: Moments) -> np.ndarray:
    """``(2, T)``: half as far again as the training targets reach, to either side.

    Where a row lies far outside what was seen, a line would be off by more than any angle is, and a few such rows
    would count for more than all others. An ordinary regression has no prediction beyond.
    """
    low, high = train.y_range
    return np.stack([low - (high - low) / 2, high + (high - low) / 2])


def _path(train: Moments, penalties: np.ndarray) -> np.ndarray:
    """Coefficients for every penalty, ``(L, D, T)``: in the eigenbasis every λ is a division."""
    variances, axes = eigenbasis(train)
    return axes @ ((axes.T @ train.xy / train.n) / (variances[:, None] + penalties[:, None, None]))


def _error(train: Moments, path: np.ndarray, features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Squared error ``(L, T)`` of every penalty on validation rows, read once, limited as the predictions will be.

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


def fit_ridge(
    train: Sequence[Moments], val: Iterable[Rows], groups: Sequence[slice], penalties: Sequence[float] = LAMBDAS
) -> list[LinearModel]:
    """Ridge on standardised features, min ‖y - Xw‖²/n + λ‖w‖², with λ chosen by squared error on validation.

    One regressor for each set of rows. They share their λ: chosen for each class alone, on a tenth
    of the validation rows, it would follow the noise.

    Args:
        train: moments of the rows to fit, e.g. of each class.
        val: the rows to choose λ on, in the same order.
        groups: which targets share a λ (the columns that encode one nuisance).
        penalties: λ to choose from; infinity predicts the training mean.
    """
    path: np.ndarray | None = None
    error: np.ndarray | float = 0.0
    for moments, rows in zip(train, val, strict=True):
        path = _path(moments, np.asarray(penalties))
        error = error + _error(moments, path, *rows)
    error = np.asarray(error)
    best = [int(np.argmin(error[:, group].sum(1))) for group in groups]
    penalty = tuple(float(penalties[index]) for index in best)
    models = []
    for moments in train:
        # Made twice, where there are several: forty nuisances' paths of a hundred classes would be 2 GB.
        if path is None or len(train) > 1:
            path = _path(moments, np.asarray(penalties))
        coef = np.zeros(path.shape[1:])
        for group, index in zip(groups, best, strict=True):
            coef[:, group] = path[index][:, group]
        centre, mean = moments.x_mean, moments.y_mean
        models.append(LinearModel(coef, centre, mean, penalty, reach(moments), prediction_bounds(moments)))
    return models


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


def fit_blind(task: Task) -> LinearModel:
    """One regressor for all classes, of all nuisances and controls at once."""
    columns = task.regressed
    val = [(task.x["val"], task.y["val"][:, columns])]
    (blind,) = fit_ridge([task.train_all.targets(columns)], val, task.groups)
    return blind


def fit_by_class(task: Task) -> list[LinearModel]:
    """A regressor for each class; none where there are no moments of each."""
    if not task.per_class:
        return []
    columns, label = task.regressed, task.parts["val"].label
    x, y = task.x["val"], task.y["val"][:, columns]
    classes = [np.flatnonzero(label == c) for c in range(len(task.train))]
    train = [moments.targets(columns) for moments in task.train]
    return fit_ridge(train, ((x[rows], y[rows]) for rows in classes), task.groups)


def read_blind(task: Task) -> dict[str, np.ndarray]:
    """Split → ``(N, T)`` predictions of the one regressor, on validation and test rows."""
    blind = task.once(fit_blind)
    return {split: blind.predict(task.x[split]) for split in ("val", "test")}


def read_by_label(task: Task) -> dict[str, np.ndarray]:
    """The same by the regressor of the true class of each row."""
    models = task.once(fit_by_class)
    return {s: predict_by_class(models, task.x[s], task.parts[s].label) for s in ("val", "test")}
