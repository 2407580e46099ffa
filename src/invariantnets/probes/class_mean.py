"""The class-only floor: what somebody reads who knows the class, and nothing else, of an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from invariantnets.probes.mav import nearest_class
from invariantnets.probes.probe import Reading
from invariantnets.probes.task import Task
from invariantnets.results.words import PROBES

__all__ = ["ClassMean", "group_means"]

# So many rows of the overall mean are added to each class: few rows of a class are no reason to believe their mean.
PULLS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, np.inf)


@dataclass(frozen=True)
class ClassMean:
    """The mean of each class in training, pulled towards that of all as held out rows ask; infinitely: the mean of all.

    Where a nuisance never varies within a class, the true class reads it perfectly. Closed sets only: nobody knows the
    mean of a class that was never seen in training.

    Args:
        by: whose class it goes by: the true ``label``, or what ``mav`` reads from the features.
    """

    by: Literal["label", "mav"] = "label"
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})

    @property
    def name(self) -> str:
        """``class_mean`` or ``class_mean/mav``."""
        return {"label": "class_mean", "mav": "class_mean/mav"}[self.by]

    @property
    def title(self) -> str:
        """What reports call it."""
        return PROBES[self.name]

    @property
    def told(self) -> bool:
        """Whether it is given the true class."""
        return self.by == "label"

    def __call__(self, task: Task) -> Iterable[Reading]:
        """All nuisances and controls at once."""
        known = task.parts["known"]
        if not task.closed or known.num_classes < 2:
            return
        of = (known.label[task.choice], task.parts["test"].label)
        held_out, test = task.once(nearest_class) if self.by == "mav" else of
        yield from group_means(task, known.label, known.num_classes, held_out, test)


def group_means(task: Task, group: np.ndarray, count: int, held_out: np.ndarray, test: np.ndarray) -> Iterable[Reading]:
    """The mean of each group of known rows, pulled towards that of all as held out rows ask, for all nuisances.

    Args:
        task: with its targets.
        group: ``(M,)`` of each known row, below ``count``.
        count: C, of the groups; one without a known row has the mean of all.
        held_out: ``(C,)`` the group that each row of `Task.choice` is read by.
        test: ``(N,)`` the same of the test rows.
    """
    folds, y = task.folds, task.y["known"][:, task.regressed]
    paths = [class_means_pulled(y[rows], group[rows], count) for rows in map(folds.fit, task.fits)]
    by_fold = [
        [((means[held_out[folds.places(k)]] - y[folds.held(k)]) ** 2).sum(0) for means in paths[k]]
        for k in range(folds.count)
    ]
    error = np.array(by_fold).sum(0)
    for target in task.targets:
        best = [int(error[:, columns].sum(1).argmin()) for columns in (target.true, target.control)]
        pull = PULLS[best[0]]
        chosen = [path[best[0]][held_out[folds.places(k)], target.true] for k, path in enumerate(paths[:-1])]
        yield Reading(
            target,
            np.concatenate(chosen),
            paths[-1][best[0]][test, target.true],
            paths[-1][best[1]][test, target.control],
            len(group),
            {"pull": pull if np.isfinite(pull) else "infinite: predicts the mean"},
        )


def class_means_pulled(y: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """The mean of each class for each of `PULLS`.

    Args:
        y: ``(N, T)``.
        label: ``(N,)``; a class without a row has the mean of all.
        num_classes: C.

    Returns:
        ``(P, C, T)``.
    """
    total, count = np.zeros((num_classes, y.shape[1])), np.bincount(label, minlength=num_classes)[:, None]
    np.add.at(total, label, y)
    mean = y.mean(0)
    excess = total / np.maximum(count, 1) - mean
    return np.stack([mean + count / np.maximum(count + pull, 1) * excess for pull in PULLS])
