"""What a line reads of nuisances from some neurons, or all: ridge regression, its penalty chosen on rows held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.inspection.neuron_rows import Coded
from invariantnets.probes.linear import LAMBDAS, LinearModel, errors, path_of, prediction_bounds
from invariantnets.statistics.moments import Moments, moments, reach

__all__ = ["Line", "chosen", "fitted", "read"]


@dataclass(frozen=True)
class Line:
    """Readers of nuisances that are known in the same rows.

    Attributes:
        model: fitted to all known rows.
        held_r2: of each nuisance, of the rows held out.
    """

    model: LinearModel
    held_r2: list[float]


def fitted(known: Moments, penalty: Sequence[float]) -> LinearModel:
    """The regressor at one penalty for each target.

    Args:
        known: moments of all that it is fitted to.
        penalty: of each of the T targets, as `LAMBDAS`; infinite: the mean.
    """
    live = known.live
    scale = 1 / known.x_std[live]
    correlation = known.xx[np.ix_(live, live)] / known.n * np.outer(scale, scale)
    coef = np.zeros(known.xy.shape)
    for value in dict.fromkeys(p for p in penalty if np.isfinite(p)):
        at = np.array([t for t, p in enumerate(penalty) if p == value])
        # What is below rounding needs a little, where the penalty is next to none.
        ridged = correlation + max(value, 1e-9) * np.eye(len(scale))
        right = scale[:, None] * known.xy[np.ix_(live, at)] / known.n
        coef[np.ix_(live, at)] = scale[:, None] * np.linalg.solve(ridged, right)
    return LinearModel(coef, known.x_mean, known.y_mean, tuple(penalty), reach(known), prediction_bounds(known))


def chosen(
    fit: Moments, x: np.ndarray, y: np.ndarray, groups: Sequence[slice], least: float = 0.0
) -> tuple[list[float], list[float]]:
    """Penalties that err least on rows held out.

    Args:
        fit: moments of the others.
        x: ``(n, D)`` rows held out.
        y: ``(n, T)``.
        groups: columns that share a penalty.
        least: of the penalties, those below it are left out.

    Returns:
        the penalty of each target, and the R² of each group.
    """
    penalties = [value for value in LAMBDAS if value >= least]
    error = errors(fit, path_of(fit, penalties), x, y)
    penalty: list[float] = []
    r2 = []
    for group in groups:
        total = error[:, group].sum(1)
        best = int(total.argmin())
        penalty += [penalties[best]] * (group.stop - group.start)
        r2.append(float(1 - total[best] / max(((y[:, group] - fit.y_mean[group]) ** 2).sum(), 1e-300)))
    return penalty, r2


def read(x: np.ndarray, coded: Coded, rows: np.ndarray, held: np.ndarray, least: float = 0.0) -> Line:
    """Choose and fit.

    Args:
        x: ``(N, D)`` of all known rows.
        coded: nuisances that are known in the same rows.
        rows: those rows.
        held: ``(N,)`` bool, on which penalties are chosen; every fifth row where these are none of them.
        least: as of `chosen`.
    """
    held = held[rows] if min(held[rows].sum(), (~held[rows]).sum()) > 1 else np.arange(len(rows)) % 5 == 0
    out, fit = rows[held], rows[~held]
    part = moments(x, coded.y, fit)
    penalty, r2 = chosen(part, x[out], coded.y[out], coded.columns, least)
    return Line(fitted(part + moments(x, coded.y, out), penalty), r2)
