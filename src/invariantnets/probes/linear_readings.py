"""What lines read of a task: one regressor for all classes, or one for each, chosen on the rows that folds hold out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from invariantnets.probes.linear import LAMBDAS, LinearModel, errors, model_of, path_of, predict_by_class
from invariantnets.probes.task import Task
from invariantnets.statistics.moments import Moments, moments
from invariantnets.statistics.views import Rows, UnitRows

__all__ = ["ByClass", "Lines", "fit_by_class", "read_blind", "read_by_class", "read_by_label"]

SPACES = ("standardised", "raw", "unit")


@dataclass(frozen=True)
class Lines:
    """Predictions of all true and control columns.

    Attributes:
        held_out: ``(C, T)`` of `Task.choice`, each row by a regressor that was not fitted to it.
        test: ``(N, T)``.
        chosen: for each of `Task.groups` what was chosen.
    """

    held_out: np.ndarray
    test: np.ndarray
    chosen: list[dict[str, float | str]]


def _written(penalty: float) -> float | str:
    """JSON has no infinity."""
    return penalty if np.isfinite(penalty) else "infinite: predicts the mean"


@dataclass(frozen=True)
class _InOneSpace:
    """The regressors of one space, at every penalty.

    Attributes:
        known: rows as they are seen in it.
        test: the same.
        moments: of what each of `Task.fits` is fitted to.
        paths: the same → ``(L, D, T)``.
    """

    known: Rows
    test: Rows
    moments: list[Moments]
    paths: list[np.ndarray]

    @classmethod
    def fit(cls, task: Task, space: str) -> _InOneSpace:
        known, test = task.x["known"], task.x["test"]
        if space != "unit":
            fitted = [task.moments(k).targets(task.regressed) for k in task.fits]
            return cls(known, test, fitted, [path_of(m, raw=space == "raw") for m in fitted])
        fitted = _moments(task, UnitRows(known))
        return cls(UnitRows(known), UnitRows(test), fitted, [path_of(m) for m in fitted])

    def errors(self, task: Task) -> np.ndarray:
        """``(L, T)`` squared error of the rows held out."""
        y, held = task.y["known"][:, task.regressed], [task.folds.held(k) for k in range(task.folds.count)]
        folds = zip(held, self.moments[:-1], self.paths[:-1], strict=True)
        return np.stack([errors(m, path, self.known[rows], y[rows]) for rows, m, path in folds]).sum(0)

    def read(self, task: Task, groups: Sequence[slice], best: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """``(C, T)`` of the rows held out and ``(N, T)`` of test, at one penalty for each group."""
        *folds, last = (model_of(m, p, groups, best) for m, p in zip(self.moments, self.paths, strict=True))
        held_out = [model.predict(self.known[task.folds.held(k)]) for k, model in enumerate(folds)]
        return np.concatenate(held_out), last.predict(self.test)


def _moments(task: Task, x: Rows) -> list[Moments]:
    """Of what each of `Task.fits` is fitted to, of features seen otherwise."""
    y, groups = task.y["known"][:, task.regressed], np.unique(task.folds.group)
    found = {g: moments(x, y, task.folds.held(g)) for g in groups}
    return [reduce(add, (m for g, m in found.items() if g != k)) for k in task.fits]


def read_blind(task: Task) -> Lines:
    """One regressor for all classes, of all nuisances and controls at once; each nuisance in the space it asks for."""
    spaces = [_InOneSpace.fit(task, space) for space in SPACES]
    error = np.stack([space.errors(task) for space in spaces])
    # Between equals the first: what is collapsed has the same error in all spaces.
    best = [divmod(int(error[:, :, group].sum(2).argmin()), error.shape[1]) for group in task.groups]
    width = task.regressed.stop
    held_out, test = np.empty((len(task.choice), width)), np.empty((len(task.x["test"]), width))
    for place, space in enumerate(spaces):
        mine = [(group, at) for group, (of, at) in zip(task.groups, best, strict=True) if of == place]
        if not mine:
            continue
        read = space.read(task, *zip(*mine, strict=True))
        for group, _ in mine:
            held_out[:, group], test[:, group] = read[0][:, group], read[1][:, group]
    return Lines(held_out, test, [{"lambda": _written(LAMBDAS[at]), "space": SPACES[of]} for of, at in best])


@dataclass(frozen=True)
class ByClass:
    """Regressors of each class, of what each fold is fitted to and of all known rows.

    Attributes:
        models: for each of `Task.fits` one for each class.
        chosen: for each of `Task.groups` what was chosen.
    """

    models: list[list[LinearModel]]
    chosen: list[dict[str, float | str]]


def fit_by_class(task: Task) -> ByClass:
    """A regressor for each class, where `Task.per_class`.

    They share their penalty: chosen for each class alone, on a tenth of the rows, it would follow the noise.
    """
    columns, folds = task.regressed, task.folds
    x, y, label = task.x["known"], task.y["known"][:, columns], task.parts["known"].label
    order = np.argsort(label, kind="stable")
    of_class = np.split(order, np.cumsum(np.bincount(label))[:-1])
    fitted = [[m.targets(columns) for m in task.class_moments(k)] for k in task.fits]

    def path(k: int | None, c: int, m: Moments) -> np.ndarray:
        few = m.n < x.shape[1]
        return path_of(m, rows=x[of_class[c][folds.group[of_class[c]] != k]] if few else None)

    error = np.zeros((len(LAMBDAS), columns.stop))
    for k in range(folds.count):
        for c, m in enumerate(fitted[k]):
            rows = of_class[c][folds.group[of_class[c]] == k]
            error += errors(m, path(k, c, m), x[rows], y[rows])
    best = [int(error[:, group].sum(1).argmin()) for group in task.groups]
    # Made twice: forty nuisances' paths of a hundred classes would be 2 GB.
    models = [
        [model_of(m, path(k, c, m), task.groups, best) for c, m in enumerate(of)]
        for k, of in zip(task.fits, fitted, strict=True)
    ]
    return ByClass(models, [{"lambda": _written(LAMBDAS[at])} for at in best])


def read_by_class(task: Task, held_out: np.ndarray, test: np.ndarray) -> Lines:
    """Each row by the regressor of a class.

    Args:
        task: of which there are moments per class.
        held_out: ``(C,)`` classes of the rows of `Task.choice`.
        test: ``(N,)`` of the test rows.
    """
    fit, folds, x = task.once(fit_by_class), task.folds, task.x
    parts = [
        predict_by_class(fit.models[k], x["known"][folds.held(k)], held_out[folds.places(k)])
        for k in range(folds.count)
    ]
    return Lines(np.concatenate(parts), predict_by_class(fit.models[-1], x["test"], test), fit.chosen)


def read_by_label(task: Task) -> Lines:
    """The same by the regressor of the true class of each row."""
    label = {part: table.label for part, table in task.parts.items()}
    return read_by_class(task, label["known"][task.choice], label["test"])
