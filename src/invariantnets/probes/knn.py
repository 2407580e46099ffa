"""What the nearest neighbours read: "not linearly readable" is not "gone"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from invariantnets.probes.probe import Reading
from invariantnets.probes.sample import Sample, draw_sample, task_spaces
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.results.words import PROBES
from invariantnets.statistics.moments import BLOCK_ROWS
from invariantnets.statistics.neighbours import merge_equal, nearest, neighbour_grid, neighbour_means
from invariantnets.statistics.spaces import Space

__all__ = ["Knn"]

# To choose a space by: rows to search in, and rows held out.
SEARCH_ROWS, CHOICE_ROWS = 10_000, 4_000


@dataclass(frozen=True)
class _Points:
    """What is searched.

    Attributes:
        rows: ``(P,)`` known rows, one of each point.
        y: ``(P, T)`` what they have of the design matrix.
    """

    rows: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class _Near:
    """The points near some rows: ``(N, k)`` which, nearest first, and squares of their distances."""

    points: _Points
    index: np.ndarray
    squares: np.ndarray

    def means(self, columns: slice, grid: tuple[int, ...]) -> np.ndarray:
        """``(len(grid), N, K)`` predictions."""
        return neighbour_means(self.points.y[:, columns], self.index, self.squares, grid)


@dataclass(frozen=True)
class Knn:
    """K nearest neighbours of each nuisance, the nearer weighing more; k and the space are chosen out of fold.

    Args:
        rows: known rows to search, at most, drawn by source.
    """

    rows: int = 20_000
    name: ClassVar = "knn"
    title: ClassVar = PROBES["knn"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """One search in each space and fold serves all nuisances, controls and k."""
        sample, spaces = draw_sample(task, self.rows, numpy_rng(task.seed, 2)), task_spaces(task)
        points = [_points(task, sample.fit(k)) for k in task.fits]
        grid = neighbour_grid(min(len(each.rows) for each in points))
        of_space = _choose(task, sample, grid)
        for s in sorted(set(of_space.values())):
            folds = [
                _nearest(task, spaces[k][s], points[k], task.x["known"], task.folds.held(k), grid)
                for k in range(task.folds.count)
            ]
            test = _nearest(task, spaces[-1][s], points[-1], task.x["test"], np.arange(len(task.x["test"])), grid)
            for target in (t for t in task.targets if of_space[t] == s):
                paths = np.concatenate([near.means(target.true, grid) for near in folds], 1)
                best = int(np.argmax([task.validation_r2(path, target) for path in paths]))
                true, control = (test.means(c, grid[best : best + 1])[0] for c in (target.true, target.control))
                choices = {"k": grid[best], "space": spaces[-1][s].name}
                yield Reading(target, paths[best], true, control, len(sample.rows), choices)


def _choose(task: Task, sample: Sample, grid: tuple[int, ...]) -> dict[Target, int]:
    """The space in which each nuisance is read best, each at its best k, by some of the rows where they are many."""
    squared: dict[Target, np.ndarray] = {}
    for k in range(task.folds.count):
        points = _points(task, sample.fit(k, SEARCH_ROWS))
        rows = numpy_rng(task.seed, 2, k).permutation(task.folds.held(k))[: CHOICE_ROWS // task.folds.count]
        for s, space in enumerate(task_spaces(task)[k]):
            near = _nearest(task, space, points, task.x["known"], rows, grid)
            for target in task.targets:
                errors = near.means(target.true, grid) - task.y["known"][rows][:, target.true]
                total = squared.setdefault(target, np.zeros((len(task_spaces(task)[k]), len(grid))))
                total[s] += (errors**2).sum((1, 2))
    return {target: int(errors.min(1).argmin()) for target, errors in squared.items()}


def _points(task: Task, rows: np.ndarray) -> _Points:
    first, y = merge_equal(task.x["known"][rows], task.y["known"][rows])
    return _Points(rows[first], y)


def _nearest(
    task: Task, space: Space, points: _Points, features: np.ndarray, rows: np.ndarray, grid: tuple[int, ...]
) -> _Near:
    """`nearest` block by block: the coordinates of all rows together may be more than there is memory."""
    fit = space.transform(task.x["known"], points.rows)
    wanted = min(grid[-1] + 1, len(fit))
    index, squares = np.empty((len(rows), wanted), np.int32), np.empty((len(rows), wanted), np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        index[block], squares[block] = nearest(fit, space.transform(features, rows[block]), wanted)
    return _Near(points, index, squares)
