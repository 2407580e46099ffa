"""One layer of a table, made ready to probe."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS
from invariantnets.probes.targets import Target, design, plan_targets, r2, shuffled_by_class
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.moments import Moments, class_moments

__all__ = ["Task", "hold_out_people", "prepare"]

MIN_PEOPLE = 4
log = logging.getLogger(__name__)
# Numbers in the second moments of all classes of a split, 2 GB: beyond it there is no regressor per class.
PER_CLASS = 2**28
T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """Features, targets and their moments.

    Attributes:
        x: split → ``(N, D)`` features.
        y: split → ``(N, T)`` encoded, shuffled and indicator targets.
        parts: split → the table's rows.
        every: all nuisances, and their columns of ``y``.
        targets: those to read.
        label: whether the class is to be read.
        closed: the classes of test are those of train; else they are others, as in open-set recognition.
        seed: of every random step.
    """

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    parts: dict[str, FeatureTable]
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
        if compute not in self._known:
            self._known[compute] = compute(self)
        found: T = self._known[compute]
        return found

    @property
    def train(self) -> list[Moments]:
        """Moments of the training rows of each class, or of all where `per_class` is not."""
        return self.once(_train)

    @property
    def train_all(self) -> Moments:
        """Moments of all training rows."""
        return self.once(_train_all)

    @property
    def per_class(self) -> bool:
        """Whether there are moments of each class."""
        return len(self.train) > 1

    @property
    def regressed(self) -> slice:
        """All true and control columns."""
        return slice(0, max((t.control.stop for t in self.every), default=0))

    @property
    def groups(self) -> list[slice]:
        """Columns that share a penalty: true and control of each nuisance in turn."""
        return [group for t in self.every for group in (t.true, t.control)]

    def mean(self, columns: slice) -> np.ndarray:
        """Training mean of some targets: what chance predicts."""
        return self.train_all.y_mean[columns]

    def validation_r2(self, predicted: np.ndarray, target: Target, rows: slice | np.ndarray = slice(None)) -> float:
        """R² of predictions of a nuisance on (some) validation rows."""
        return r2(predicted, self.y["val"][rows][:, target.true], self.mean(target.true))


def _train(task: Task) -> list[Moments]:
    width, table = task.x["train"].shape[1], task.parts["train"]
    many = table.num_classes * width**2 > PER_CLASS
    # Of rows in which a nuisance is known, some class may have none.
    per_class = task.closed and not many and len(np.unique(table.label)) == table.num_classes
    if task.closed and many:
        log.info("%d classes of %d features: no regressor of their own, only one for all", table.num_classes, width)
    label = table.label if per_class else np.zeros_like(table.label)
    return class_moments(task.x["train"], task.y["train"], label, label.max() + 1)


def _train_all(task: Task) -> Moments:
    return sum(task.train[1:], task.train[0])


def hold_out_people(table: FeatureTable, rng: np.random.Generator) -> FeatureTable:
    """An open-set table whose probes are chosen on people whom they were not fitted to, a fifth of those known.

    Chosen on other pictures of the same people, a probe would be rewarded for telling who it is and knowing
    their habits, which is no use on the people of test.

    Args:
        table: its classes of test are not those of train and val.
        rng: draws the people.

    Raises:
        InvariantNetsError: too few people.
    """
    known = table.split != "test"
    people = rng.permutation(np.unique(table.label[known]))
    if len(people) < MIN_PEOPLE:
        raise InvariantNetsError(
            f"probes are fitted to two people trained on or more, and chosen on two others: {MIN_PEOPLE} are needed, "
            f"and there are {len(people)}; give more, or probe pictures of the same people (a closed set)"
        )
    held = np.isin(table.label, people[: max(2, len(people) // 5)])
    return replace(table, split=np.where(known, np.where(held, "val", "train"), "test"))


def prepare(table: FeatureTable, layer: str, seed: int, closed: bool) -> Task:
    """Encode the targets and read the features of train once.

    Args:
        table: checked by `invariantnets.features.checks.check_table`.
        layer: its layer.
        seed: shuffles the controls.
        closed: whether the classes of test are those of train.

    Raises:
        InvariantNetsError: every feature is constant.
    """
    parts = {split: table.part(split) for split in SPLITS}
    targets = plan_targets(table.nuisances, parts["train"].nuisance)
    rng = numpy_rng(seed, 0)
    x = {split: part.features[layer] for split, part in parts.items()}
    by_class = {
        n.name: shuffled_by_class(table.nuisance[n.name], table.label, table.split == "test", numpy_rng(seed, 7, i))
        for i, n in enumerate(table.nuisances)
        if n.fixed
    }
    y = {
        split: design(targets, part.nuisance, len(part), rng, {k: v[table.split == split] for k, v in by_class.items()})
        for split, part in parts.items()
    }
    task = Task(x, y, parts, targets, targets, label=False, closed=closed, seed=seed)
    if not task.train_all.live.any():
        raise InvariantNetsError(
            f"layer {layer!r}: all {len(task.train_all.x_mean)} features are constant on split 'train', so no probe "
            "can be fitted; the network has collapsed or the features were saved wrongly"
        )
    return task
