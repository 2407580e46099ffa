"""What a line reads: ridge regression, of all classes together or of each by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from invariantnets.probes.linear import fit_blind, fit_by_class, predict_by_class
from invariantnets.probes.mav import class_means, classify
from invariantnets.probes.probe import Reading
from invariantnets.probes.task import Task
from invariantnets.results.words import PROBES

__all__ = ["Ridge"]


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of every nuisance, its penalty chosen on validation.

    One for each class (figure 3) share their penalty: chosen for each alone it would follow the noise, which is why
    this is no wrapper round a finished probe. Open sets, and classes too many to hold their moments, have none.

    Args:
        by: None for one regressor for all; whose class chooses it else: the true ``label``, or what ``mav`` predicts.
    """

    by: Literal["label", "mav"] | None = None
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})

    @property
    def name(self) -> str:
        """``ridge``, ``ridge/per_label`` or ``ridge/per_mav_label``."""
        return {None: "ridge", "label": "ridge/per_label", "mav": "ridge/per_mav_label"}[self.by]

    @property
    def title(self) -> str:
        """What reports call it."""
        return PROBES[self.name]

    @property
    def told(self) -> bool:
        """Whether it is given the true class."""
        return self.by == "label"

    def __call__(self, task: Task) -> Iterable[Reading]:
        """All nuisances and controls from the same moments."""
        blind, by_class = task.once(fit_blind), task.once(fit_by_class) if self.by else []
        if self.by and not by_class:
            return
        predicted = {}
        for split in ("val", "test"):
            x = task.x[split]
            predicted[split] = predict_by_class(by_class, x, self._label(task, split)) if self.by else blind.predict(x)
        penalty = by_class[0].penalty if self.by else blind.penalty
        for target in task.targets:
            yield Reading(
                target,
                task.validation_r2(predicted["val"][:, target.true], target),
                predicted["test"][:, target.true],
                predicted["test"][:, target.control],
                task.train_all.n,
                {"lambda": _written(penalty[2 * task.every.index(target)])},  # true and control in turn: Task.groups
            )

    def _label(self, task: Task, split: str) -> np.ndarray:
        if self.by == "label":
            return task.parts[split].label
        return classify(task.x[split], task.once(class_means))


def _written(penalty: float) -> float | str:
    """JSON has no infinity."""
    return penalty if np.isfinite(penalty) else "infinite: predicts the mean"
