"""What a line reads: ridge regression, of all classes together or of each by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from invariantnets.probes.linear_readings import Lines, read_blind, read_by_class, read_by_label
from invariantnets.probes.mav import nearest_class
from invariantnets.probes.probe import Reading
from invariantnets.probes.task import Task
from invariantnets.results.words import PROBES

__all__ = ["Ridge"]


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of every nuisance, its penalty, and of one for all its space, chosen out of fold.

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
        if self.by and not task.per_class:
            return
        lines = task.once({None: read_blind, "label": read_by_label, "mav": _read_by_mav}[self.by])
        for target in task.targets:
            yield Reading(
                target,
                lines.held_out[:, target.true],
                lines.test[:, target.true],
                lines.test[:, target.control],
                len(task.parts["known"]),
                lines.chosen[2 * task.every.index(target)],  # true and control in turn: Task.groups
            )


def _read_by_mav(task: Task) -> Lines:
    return read_by_class(task, *task.once(nearest_class))
