"""What the nearest neighbours read: "not linearly readable" is not "gone"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from invariantnets.probes.probe import Reading
from invariantnets.probes.sample import draw_sample
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.results.words import PROBES
from invariantnets.statistics.moments import BLOCK_ROWS
from invariantnets.statistics.neighbours import merge_equal, nearest, neighbour_grid, neighbour_means
from invariantnets.statistics.spaces import Space

__all__ = ["Knn"]


@dataclass(frozen=True)
class Knn:
    """K nearest neighbours of each nuisance; k and the space are chosen on validation.

    Args:
        rows: training rows to search, at most, drawn by source.
    """

    rows: int = 10_000
    name: ClassVar = "knn"
    title: ClassVar = PROBES["knn"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """One search in each space serves all nuisances, controls and k."""
        sample = draw_sample(task, self.rows, numpy_rng(task.seed, 2))
        points, y = merge_equal(task.x["train"][sample.fit], task.y["train"][sample.fit])
        grid = neighbour_grid(len(points))
        x = [coordinates[points] for coordinates in sample.x_fit]
        near = [nearest(fit, choice, grid[-1]) for fit, choice in zip(x, sample.x_choice, strict=True)]
        near_test: dict[int, np.ndarray] = {}
        for target in task.targets:
            scores = {
                (s, k): task.validation_r2(predicted, target, sample.choice)
                for s, index in enumerate(near)
                for k, predicted in zip(grid, neighbour_means(y[:, target.true], index, grid), strict=True)
            }
            s, k = max(scores, key=scores.__getitem__)
            if s not in near_test:
                near_test[s] = _nearest_of_test(task, sample.spaces[s], x[s], grid[-1])
            test, control = (neighbour_means(y[:, c], near_test[s], (k,))[0] for c in (target.true, target.control))
            yield Reading(target, scores[s, k], test, control, len(sample.fit), {"k": k, **sample.chosen(s)})


def _nearest_of_test(task: Task, space: Space, points: np.ndarray, k: int) -> np.ndarray:
    """`nearest` of the test rows, block by block: their coordinates together may be more than there is memory."""
    x = task.x["test"]
    found = np.empty((len(x), k), np.int32)
    for start in range(0, len(x), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        found[block] = nearest(points, space.transform(x[block]), k)
    return found
