"""Linear discriminant analysis: the reader of Parde et al. (2016), section IV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax

from invariantnets.probes.mav import mean_activation_vectors
from invariantnets.probes.probe import ClassReading, Reading
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.statistics.moments import Moments, project, reach

__all__ = ["Lda"]


@dataclass(frozen=True)
class Lda:
    """Gaussian groups of one covariance; what is read is the mean of the groups' values by their posterior.

    Groups are the classes, categories or values of a target; of one with many values, bins of equally many training
    rows. Features are standardised. The covariance within groups is shrunk to the mean variance, Σ ← (1 - s) Σ + s μ I
    (Ledoit & Wolf 2004), s chosen out of fold. Agrees with scikit-learn's ``lsqr`` solver at the same s.

    Args:
        shrinkage: s to choose from, above 0, at most 1. The least are for what is a thousandth of the signal.
        bins: groups of a target of many values.
    """

    shrinkage: Sequence[float] = (1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 0.1, 0.3, 1.0)
    bins: int = 16
    name: ClassVar = "lda"
    title: ClassVar = "linear discriminant analysis"
    reads: ClassVar = frozenset({"label", "continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading | ClassReading]:
        """Scatter of all rows from the moments, means of the groups from one more pass for each target."""
        if task.label:
            yield self._name_classes(task)
        for target in task.targets:
            true, control = (self._read(task, target, columns) for columns in (target.true, target.control))
            scores = [task.validation_r2(held_out, target) for held_out, _ in true]
            best = int(np.argmax(scores))
            chosen = {"shrinkage": self.shrinkage[best], "groups": len(self._edges(task, target)) + 1}
            yield Reading(target, *true[best], control[best][1], len(task.parts["known"]), chosen)

    def _name_classes(self, task: Task) -> ClassReading:
        label = task.parts["known"].label
        read = self._posteriors(task, label)
        scores = [float((held_out.argmax(1) == label[task.choice]).mean()) for held_out, _ in read]
        best = int(np.argmax(scores))
        chosen = {"shrinkage": self.shrinkage[best]}
        return ClassReading(read[best][1].argmax(1), len(label), validation=scores[best], chosen=chosen)

    def _read(self, task: Task, target: Target, columns: slice) -> list[tuple[np.ndarray, np.ndarray]]:
        """Predictions of the rows held out and of test, for every shrinkage."""
        encoded = task.y["known"][:, columns]
        group = np.searchsorted(self._edges(task, target), _number(target, encoded), side="right")
        present, group = np.unique(group, return_inverse=True)
        codes = mean_activation_vectors(encoded, group, len(present))
        return [(held_out @ codes, test @ codes) for held_out, test in self._posteriors(task, group)]

    def _posteriors(self, task: Task, group: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """``(C, G)`` of the rows held out and ``(N, G)`` of test, for every shrinkage."""
        x, folds = task.x["known"], task.folds
        held_out: list[np.ndarray] = []
        test: list[np.ndarray] = []
        for k in task.fits:
            rows = folds.fit(k)
            present, code = np.unique(group[rows], return_inverse=True)  # a fold may have no row of one
            for fit in discriminants(task.moments(k), x if k is None else x[rows], code, self.shrinkage):
                of = task.x["test"] if k is None else x[folds.held(k)]
                posterior = np.zeros((len(of), group.max() + 1))
                posterior[:, present] = _posterior(of, *fit)
                (test if k is None else held_out).append(posterior)
        count = len(self.shrinkage)
        return [(np.concatenate(held_out[i::count]), test[i]) for i in range(count)]

    def _edges(self, task: Task, target: Target) -> np.ndarray:
        """Borders between the groups, ascending, on the axis of `_number`."""
        number = np.unique(_number(target, task.y["known"][:, target.true]))
        if len(number) > max(len(target.values), self.bins):
            every = _number(target, task.y["known"][:, target.true])
            number = np.unique(np.quantile(every, (np.arange(self.bins) + 0.5) / self.bins))
        return (number[1:] + number[:-1]) / 2


def _number(target: Target, encoded: np.ndarray) -> np.ndarray:
    """``(N, K)`` → ``(N,)``: a place on a line for each encoded value, to divide by."""
    if target.nuisance.kind == "continuous":
        return encoded[:, 0]
    if target.nuisance.kind == "circular":
        return np.rad2deg(np.arctan2(encoded[:, 1], encoded[:, 0])).round(9)
    return encoded.argmax(1).astype(np.float64)


Fit = tuple[np.ndarray, ...]  # weights (D, G), intercepts (G,), limits (2, D), centre (D,)


def discriminants(train: Moments, x: np.ndarray, group: np.ndarray, shrinkage: Sequence[float]) -> Iterable[Fit]:
    """The linear discriminant of each group, for every shrinkage: one decomposition serves all.

    Args:
        train: moments of the rows.
        x: ``(N, D)`` the rows.
        group: ``(N,)`` codes ``0 .. G - 1``, each of which has a row.
        shrinkage: s, see `Lda`.
    """
    live, count = train.live, np.bincount(group)
    scale = 1 / train.x_std[live]
    means = (mean_activation_vectors(x, group, len(count)) - train.x_mean)[:, live] * scale
    total = train.xx[np.ix_(live, live)] * np.outer(scale, scale)
    variances, axes = np.linalg.eigh((total - (means.T * count) @ means) / train.n)
    variances = np.maximum(variances, 0)
    for s in shrinkage:
        inverse = 1 / np.maximum((1 - s) * variances + s * variances.mean(), np.finfo(float).tiny)
        inner = (axes * inverse) @ (axes.T @ means.T)
        weights = np.zeros((len(live), len(count)))
        weights[live] = scale[:, None] * inner
        intercept = np.log(count / train.n) - 0.5 * np.einsum("gd,dg->g", means, inner)
        yield weights, intercept, reach(train), train.x_mean


def _posterior(
    x: np.ndarray, weights: np.ndarray, intercept: np.ndarray, limits: np.ndarray, centre: np.ndarray
) -> np.ndarray:
    """``(N, D)`` → ``(N, G)``."""
    found: Any = softmax(project(x, weights, limits=limits, origin=centre) + intercept, axis=1)
    return np.asarray(found)
