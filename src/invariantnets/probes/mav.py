"""Mean activation vectors (MAV): a class is its mean training feature, compared by cosine (Rudd et al. 2016, 4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from invariantnets.probes.linear_readings import read_blind, read_by_label
from invariantnets.probes.probe import ClassReading
from invariantnets.probes.task import Task
from invariantnets.results.words import PROBES
from invariantnets.statistics.lengths import unit
from invariantnets.statistics.moments import BLOCK_ROWS, Moments, project, project_by


def class_sums(features: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """``(C, D)`` float64: the rows of each class added up, block by block."""
    total = np.zeros((num_classes, features.shape[1]))
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        order = np.argsort(label[block], kind="stable")
        present, first = np.unique(label[block][order], return_index=True)
        total[present] += np.add.reduceat(features[block][order], first, axis=0, dtype=np.float64)
    return total


def mean_activation_vectors(features: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """The mean of each class.

    Args:
        features: ``(N, D)``.
        label: ``(N,)``; every class must have a row.
        num_classes: C.

    Returns:
        ``(C, D)`` float64.
    """
    return class_sums(features, label, num_classes) / np.bincount(label, minlength=num_classes)[:, None]


def means_per_value(train: Sequence[Moments], indicators: slice) -> np.ndarray:
    """The mean of each class at each value of a nuisance.

    Args:
        train: moments of each class, whose targets hold the indicators of the values.
        indicators: the columns of those indicators, one per value.

    Returns:
        ``(V, C, D)``; NaN where a class was never seen at a value.
    """
    means = []
    for m in train:
        at_value = m.targets(indicators)
        count = np.rint(at_value.y_mean * m.n)
        shift = np.divide(at_value.xy, count, out=np.full_like(at_value.xy, np.nan), where=count > 0)
        means.append(m.x_mean + shift.T)
    return np.stack(means, 1)


def _directions(means: np.ndarray) -> np.ndarray:
    """``(…, C, D)`` → ``(…, D, C)`` unit vectors; a zero mean has similarity 0 to everything."""
    return np.swapaxes(unit(means), -1, -2)


def classify(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The class whose mean has the largest cosine with each row (no length matters, not the row's own either).

    Args:
        features: ``(N, D)``.
        means: ``(C, D)``, or as many sums.

    Returns:
        ``(N,)`` int64.
    """
    return project(features, _directions(means)).argmax(1)


def classify_at(features: np.ndarray, value: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The same among the means at one nuisance value per row; a class never seen there is never chosen.

    Args:
        features: ``(N, D)``.
        value: ``(N,)`` index of the nuisance value of each row.
        means: ``(V, C, D)``.

    Returns:
        ``(N,)`` int64.
    """
    unseen = np.isnan(means).any(-1)
    cosine = project_by(features, value, _directions(np.nan_to_num(means)))
    return np.where(unseen[value], -np.inf, cosine).argmax(1)


def nearest_class(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """The class of the nearest mean, for `Task.once`.

    Returns:
        ``(C,)`` of the rows of `Task.choice`, among the means of the rows that their fold is fitted to, and ``(N,)`` of
        the test rows, among those of all known rows.
    """
    x, label, folds = task.x["known"], task.parts["known"].label, task.folds
    classes, groups = task.parts["known"].num_classes, folds.count + 1
    cell = folds.group * classes + label
    total = class_sums(x, cell, groups * classes).reshape(groups, classes, -1)
    count = np.bincount(cell, minlength=groups * classes).reshape(groups, classes)
    named = []
    for k in range(folds.count):
        present = np.flatnonzero(count.sum(0) - count[k])
        means = (total.sum(0) - total[k])[present]
        named.append(present[classify(x[folds.held(k)], means)])
    return np.concatenate(named), classify(task.x["test"], total.sum(0))


@dataclass(frozen=True)
class Mav:
    """The class of the nearest mean; and of the nearest mean at the value of a nuisance, known or estimated (figure 4).

    At a value, of nuisances with few of them: known; estimated by the label-blind ridge; or, as there, by the
    ridge of the true label.
    """

    name: ClassVar = "mav"
    title: ClassVar = PROBES["mav"]
    reads: ClassVar = frozenset({"label"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[ClassReading]:
        """Of closed sets."""
        x, n_fit = task.x["test"], len(task.parts["known"])
        yield ClassReading(task.once(nearest_class)[1], n_fit)
        if not task.per_class:
            return
        estimates = [task.once(read).test for read in (read_blind, read_by_label)]
        of_class = task.class_moments()
        for target in task.every:
            if not len(target.values):
                continue
            at_value, of = means_per_value(of_class, target.indicators), target.nuisance.name
            by_blind, by_label = (encoded[:, target.true] for encoded in estimates)
            for probe, encoded, told in (
                (f"mav/known_{of}", task.y["test"][:, target.true], True),
                (f"mav/estimated_{of}", by_blind, False),
                (f"mav/estimated_{of}_true_label", by_label, True),
            ):
                predicted = classify_at(x, target.nearest_value(encoded), at_value)
                note = f"nearest of {len(target.values)} training values of {of}"
                yield ClassReading(predicted, n_fit, probe, told, note=note)
