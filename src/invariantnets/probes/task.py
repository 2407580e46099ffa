"""One layer of a table, made ready to probe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any, TypeVar

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.probes.folds import Folds, draw_folds
from invariantnets.probes.targets import Target, design, plan_targets, r2, shuffled_by_class
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.moments import Moments, moments

__all__ = ["Task", "prepare", "refuse_collapsed", "too_few"]

MIN_PEOPLE, MIN_IMAGES = 4, 2
log = logging.getLogger(__name__)
# Numbers in the second moments of all classes in all folds, 2 GB: beyond it there is no regressor per class.
PER_CLASS = 2**28
T = TypeVar("T")
Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class Task:
    """Features, targets and their moments.

    The rows of train and validation together are those *known*: probes are fitted to them, and chosen on those of them
    that a fold holds out.

    Attributes:
        x: ``known`` and ``test`` → ``(N, D)`` features.
        y: the same → ``(N, T)`` encoded, shuffled and indicator targets.
        parts: the same → the table's rows.
        folds: of the known rows.
        source: ``(M,)`` what folds do not divide: an image, or a person where those of test were never seen.
        every: all nuisances, and their columns of ``y``.
        targets: those to read.
        label: whether the class is to be read.
        closed: the classes of test are those of train; else they are others, as in open-set recognition.
        seed: of every random step.
    """

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    parts: dict[str, FeatureTable]
    folds: Folds
    source: np.ndarray
    every: list[Target]
    targets: list[Target]
    label: bool
    closed: bool
    seed: int
    _known: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def asked_for(self, kinds: frozenset[str]) -> Task:
        """The same with what is of some kinds as targets; what was computed once is shared."""
        targets = [target for target in self.every if target.nuisance.kind in kinds]
        return replace(self, targets=targets, label=self.label and "label" in kinds)

    def once(self, compute: Callable[[Task], T]) -> T:
        """What several probes need, computed for the first of them. It must not depend on what is asked for."""
        return self._cached(compute, lambda: compute(self))

    def _cached(self, key: object, compute: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = compute()
        found: T = self._known[key]
        return found

    @property
    def choice(self) -> np.ndarray:
        """``(C,)`` known rows that folds hold out, fold by fold: those of `Reading.held_out`."""
        return self.once(_choice)

    @property
    def fits(self) -> list[int | None]:
        """What is fitted: each fold, and None for all known rows."""
        return [*range(self.folds.count), None]

    def moments(self, k: int | None = None) -> Moments:
        """Moments of the rows that fold k is fitted to; of all known rows for None."""
        return self._cached(("moments", k), lambda: _sum([m for cells in self._fitted(k) for m in cells]))

    def class_moments(self, k: int | None = None) -> list[Moments]:
        """The same of each class, where `per_class`."""
        return [_sum(cells) for cells in zip(*self._fitted(k), strict=True)]

    def _fitted(self, k: int | None) -> list[list[Moments | None]]:
        return [cells for group, cells in enumerate(self.once(_cells)) if group != k]

    @property
    def per_class(self) -> bool:
        """Whether there are moments of each class."""
        return self.once(_per_class)

    @property
    def regressed(self) -> slice:
        """All true and control columns."""
        return slice(0, max((t.control.stop for t in self.every), default=0))

    @property
    def groups(self) -> list[slice]:
        """Columns that share a penalty: true and control of each nuisance in turn."""
        return [group for t in self.every for group in (t.true, t.control)]

    def mean(self, columns: slice, k: int | None = None) -> np.ndarray:
        """Mean of some targets over the rows that fold k is fitted to; over all known rows what chance predicts."""
        found: np.ndarray = self.once(_means)[self.folds.count if k is None else k][columns]
        return found

    def validation_r2(self, held_out: np.ndarray, target: Target) -> float:
        """R² of ``(C, K)`` predictions of the rows of `choice`, each by a probe that was not fitted to it."""
        return r2(held_out, self.y["known"][self.choice][:, target.true], self.mean(target.true))

    def held_out(self, fit: Fit, columns: slice) -> np.ndarray:
        """Predictions of the rows of `choice`, each by what was fitted to none that its fold holds out.

        Args:
            fit: given ``(n, D)`` features and ``(n, K)`` targets, returns what predicts ``(N, K)``, or ``(N,)``.
            columns: the targets.

        Returns:
            ``(C, K)``.
        """
        x, y, folds = self.x["known"], self.y["known"][:, columns], self.folds
        found = [fit(x[folds.fit(k)], y[folds.fit(k)])(x[folds.held(k)]) for k in range(folds.count)]
        return np.concatenate(found).reshape(len(self.choice), -1)

    def on_test(self, fit: Fit, columns: slice) -> np.ndarray:
        """``(N, K)`` predictions of the test rows by what is fitted to all known rows; else as `held_out`."""
        predict = fit(self.x["known"], self.y["known"][:, columns])
        return predict(self.x["test"]).reshape(len(self.x["test"]), -1)


def _choice(task: Task) -> np.ndarray:
    return task.folds.choice


def _means(task: Task) -> np.ndarray:
    """``(K + 1, T)`` of the rows that each fold is fitted to, and of all."""
    return np.stack([task.y["known"][task.folds.fit(k)].mean(0) for k in task.fits])


def _sum(cells: list[Moments | None] | tuple[Moments | None, ...]) -> Moments:
    return reduce(add, (m for m in cells if m is not None))


def _per_class(task: Task) -> bool:
    if not task.closed:
        return False
    table, folds = task.parts["known"], task.folds
    width, classes = task.x["known"].shape[1], table.num_classes
    if (folds.count + 1) * classes * width**2 > PER_CLASS:
        log.info("%d classes of %d features: no regressor of their own, only one for all", classes, width)
        return False
    # Of rows in which a nuisance is known, or that a fold is fitted to, some class may have none.
    return classes > 1 and all(np.bincount(table.label[folds.fit(k)], minlength=classes).all() for k in task.fits)


def _cells(task: Task) -> list[list[Moments | None]]:
    """Moments of the rows of each group of folds and, where `Task.per_class`, each class; None where it has none."""
    table, folds = task.parts["known"], task.folds
    classes = table.num_classes if task.per_class else 1
    cell = folds.group * classes + (table.label if task.per_class else 0)
    order, stops = np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell, minlength=(folds.count + 1) * classes))
    rows = np.split(order, stops[:-1])
    found = [moments(task.x["known"], task.y["known"], r) if len(r) else None for r in rows]
    return [found[start : start + classes] for start in range(0, len(found), classes)]


def prepare(table: FeatureTable, layer: str, seed: int, closed: bool) -> Task:
    """Encode the targets and draw the folds.

    Args:
        table: checked by `invariantnets.features.checks.check_table`.
        layer: its layer.
        seed: shuffles the controls, draws the folds.
        closed: whether the classes of test are those of train.
    """
    parts = {"known": table.part("train", "val"), "test": table.part("test")}
    known = parts["known"]
    source = known.source if closed else known.label
    targets = plan_targets(table.nuisances, known.nuisance)
    rng = numpy_rng(seed, 0)
    by_class = {
        n.name: shuffled_by_class(table.nuisance[n.name], table.label, table.split == "test", numpy_rng(seed, 7, i))
        for i, n in enumerate(table.nuisances)
        if n.fixed
    }
    rows = {"known": table.split != "test", "test": table.split == "test"}
    y = {
        part: design(targets, of.nuisance, len(of), rng, {k: v[rows[part]] for k, v in by_class.items()})
        for part, of in parts.items()
    }
    # Pictures of one person: no fold has others of them than it holds out. Else each has a fifth of every class.
    strata = known.label if closed else np.zeros_like(known.label)
    unseen = (known.split == "val") & closed
    folds = draw_folds(source, strata, unseen, numpy_rng(seed, 6))
    x = {part: of.features[layer] for part, of in parts.items()}
    return Task(x, y, parts, folds, source, targets, targets, label=False, closed=closed, seed=seed)


def refuse_collapsed(task: Task, layer: str) -> None:
    """See that something varies.

    Raises:
        InvariantNetsError: every feature is constant.
    """
    if not task.moments().live.any():
        raise InvariantNetsError(
            f"layer {layer!r}: all {task.x['known'].shape[1]} features are constant on splits 'train' and 'val', so no "
            "probe can be fitted; the network has collapsed or the features were saved wrongly"
        )


def too_few(table: FeatureTable, closed: bool) -> str:
    """Why none can be held out from others; empty if some can."""
    known = table.part("train", "val")
    count = len(np.unique(known.source if closed else known.label))
    if closed and count < MIN_IMAGES:
        return (
            f"probes are chosen on images that they were not fitted to: {MIN_IMAGES} are needed, and there is {count}"
        )
    if not closed and count < MIN_PEOPLE:
        return (
            f"probes are fitted to two people trained on or more, and chosen on two others: {MIN_PEOPLE} are needed, "
            f"and there are {count}; give more, or probe pictures of the same people (a closed set)"
        )
    return ""
