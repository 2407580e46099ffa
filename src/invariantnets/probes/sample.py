"""Random rows for the probes that can't see all: to fit on, and to choose on, in each space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from invariantnets.probes.task import Task
from invariantnets.statistics.spaces import Space, sample_sources, spaces, transform_to

__all__ = ["Sample", "draw_sample"]

# Validation rows that are enough to choose k, a space and an epoch.
CHOICE_ROWS = 10_000


@dataclass(frozen=True)
class Sample:
    """Random sources of train to fit on and of validation to choose on, in each space.

    Attributes:
        fit: rows of train.
        choice: rows of validation.
        spaces: to choose from.
        x_fit: coordinates of ``fit`` in each space.
        x_choice: coordinates of ``choice`` in each space.
    """

    fit: np.ndarray
    choice: np.ndarray
    spaces: list[Space]
    x_fit: list[np.ndarray]
    x_choice: list[np.ndarray]

    def chosen(self, space: int) -> Mapping[str, Any]:
        """The space, and how many rows it was chosen on."""
        return {"space": self.spaces[space].name, "validation_rows": len(self.choice)}


def draw_sample(task: Task, max_rows: int, rng: np.random.Generator) -> Sample:
    """Whole sources, at most ``max_rows`` rows to fit and ``CHOICE_ROWS`` to choose."""
    fit = sample_sources(task.parts["train"].source, max_rows, rng)
    choice = sample_sources(task.parts["val"].source, CHOICE_ROWS, rng)
    options = spaces(task.train_all)
    return Sample(
        fit,
        choice,
        options,
        transform_to(options, task.x["train"], fit),
        transform_to(options, task.x["val"], choice),
    )
