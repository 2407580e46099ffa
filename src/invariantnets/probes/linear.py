"""Ridge regression from moments: every target, class and penalty at once, the penalty chosen on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.probes.moments import Moments, project, project_by, reach

# On the scale of the eigenvalues of the correlation matrix. The last one predicts the mean.
LAMBDAS = (*np.logspace(-12, 4, 33).tolist(), np.inf)


@dataclass(frozen=True)
class Ridge:
    """A fitted regressor of T targets: ``x @ coef + intercept``.

    Attributes:
        coef: ``(D, T)`` in the units of the features; 0 for dead ones.
        intercept: ``(T,)``.
        penalty: the λ of each group of targets.
        limits: ``(2, D)``: features beyond are taken to be there, see `reach`.
    """

    coef: np.ndarray
    intercept: np.ndarray
    penalty: tuple[float, ...]
    limits: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """``(N, D)`` → ``(N, T)`` float64."""
        return project(features, self.coef, limits=self.limits) + self.intercept


def eigenbasis(train: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Principal axes of the standardised features, without dead features and directions below precision.

    Returns:
        variances ``(R,)``, descending, and axes ``(D, R)`` in the units of the features: the columns
        of ``(x - x̄) @ axes`` are uncorrelated on the training rows and have these variances.
    """
    live = train.live
    axes = np.zeros((len(live), int(live.sum())))
    if not live.any():
        return np.zeros(0), axes
    scale = 1 / train.x_std[live]
    variances, vectors = np.linalg.eigh(train.xx[np.ix_(live, live)] / train.n * np.outer(scale, scale))
    axes[live] = scale[:, None] * vectors
    kept = np.flatnonzero(variances > variances[-1] * len(variances) * np.finfo(np.float64).eps)[::-1]
    return variances[kept], axes[:, kept]


def _path(train: Moments, val: Moments, penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients ``(L, D, T)`` for every penalty and their squared error on validation ``(L, T)``.

    In the eigenbasis every λ is a division, and the error a quadratic form in the validation
    moments, so that no row is read again.
    """
    variances, axes = eigenbasis(train)
    weights = (axes.T @ train.xy / train.n) / (variances[:, None] + penalties[:, None, None])  # (L, R, T)
    gram, cross = axes.T @ val.xx @ axes, axes.T @ val.xy
    offset = (val.y_mean - train.y_mean) - ((val.x_mean - train.x_mean) @ axes) @ weights
    quadratic = (weights * (gram @ weights)).sum(1)
    error = val.yy - 2 * (weights * cross).sum(1) + quadratic + val.n * offset**2
    return axes @ weights, error


def fit_ridge(
    train: Sequence[Moments], val: Sequence[Moments], groups: Sequence[slice], penalties: Sequence[float] = LAMBDAS
) -> list[Ridge]:
    """Ridge on standardised features, min ‖y - Xw‖²/n + λ‖w‖², with λ chosen by squared error on validation.

    One regressor for each set of rows. They share their λ: chosen for each class alone, on a tenth
    of the validation rows, it would follow the noise.

    Args:
        train: moments of the rows to fit, e.g. of each class.
        val: moments of the rows to choose λ on, in the same order.
        groups: which targets share a λ (the columns that encode one nuisance).
        penalties: λ to choose from; infinity predicts the training mean.
    """
    paths, errors = zip(*(_path(t, v, np.asarray(penalties)) for t, v in zip(train, val, strict=True)), strict=True)
    error = np.sum(errors, axis=0)
    best = [int(np.argmin(error[:, group].sum(1))) for group in groups]
    penalty = tuple(float(penalties[index]) for index in best)
    models = []
    for path, moments in zip(paths, train, strict=True):
        coef = np.zeros(path.shape[1:])
        for group, index in zip(groups, best, strict=True):
            coef[:, group] = path[index][:, group]
        models.append(Ridge(coef, moments.y_mean - moments.x_mean @ coef, penalty, reach(moments)))
    return models


def predict_by_class(models: Sequence[Ridge], features: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Each row by the regressor of its label.

    Args:
        models: one per class.
        features: ``(N, D)``.
        label: ``(N,)`` true or predicted classes.

    Returns:
        ``(N, T)`` float64.
    """
    intercepts = np.stack([model.intercept for model in models])
    coef, limits = (np.stack(parts) for parts in zip(*((m.coef, m.limits) for m in models), strict=True))
    return project_by(features, label, coef, limits) + intercepts[label]
