"""One fold of kernel ridge regression: its rows, their coordinates in each space and metric, and what is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from invariantnets.probes.sample import task_spaces
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.kernel_ridge import Kernel, KernelPath, Name, fit_kernel_ridge
from invariantnets.statistics.spaces import Space, sample_sources

__all__ = ["HELD_ROWS", "PENALTIES", "Fitted", "Fold", "Limits", "Source", "View", "width_of"]

PENALTIES = tuple(np.logspace(-8, 0, 9).tolist())
# Up to so many rows the solution is exact; beyond, landmarks of more rows read more at the same cost.
EXACT_ROWS = 3_000
# Rows that spaces and widths are compared on, before the best are fitted to all: exactly, or on landmarks.
FEW_EXACT, FEW_ROWS, FEW_LANDMARKS = 600, 3_000, 400
# Rows held out that they are compared by, and rows that gradients are taken at.
HELD_ROWS, GRADIENT_ROWS = 1_000, 2_000
# Of many targets, each takes one in so many of these rows, others than its neighbours.
FEWEST = 10
# What is left of a metric: its share of the trace.
KEPT = 1 - 1e-4


class Limits(NamedTuple):
    """How many rows.

    Attributes:
        rows: that are fitted at most, drawn by source.
        landmarks: where a regressor is a sum of kernels, if it is not exact.
    """

    rows: int
    landmarks: int

    def exact(self, task: Task) -> bool:
        """Of few rows; the same in every fold, as a penalty chosen for one solution is not that of the other."""
        return min(len(task.source), self.rows) <= EXACT_ROWS


class View(NamedTuple):
    """In what some targets are read, but for the penalty.

    Attributes:
        targets: which.
        space: coordinates.
        width: of the kernel, see `WIDTHS`.
        learned: from the gradients of what a metric is learned; None for the coordinates as they are.
    """

    targets: tuple[Target, ...]
    space: int
    width: float
    learned: Source | None = None

    @property
    def columns(self) -> np.ndarray:
        """Of the design matrix: those of each target, true and shuffled, in turn."""
        return np.concatenate([np.r_[t.true, t.control] for t in self.targets])

    def places(self, target: Target) -> tuple[slice, slice]:
        """Where the true and the shuffled columns of a target stand among `columns`."""
        width = width_of(target)
        start = 2 * sum(width_of(t) for t in self.targets[: self.targets.index(target)])
        return slice(start, start + width), slice(start + width, start + 2 * width)


class Source(NamedTuple):
    """Whose gradients say what matters: a view, and some of its targets, each with its place in `PENALTIES`."""

    view: View
    penalties: tuple[tuple[Target, int], ...]


class Fitted(NamedTuple):
    """Regressors of the columns of a view on one fold.

    Attributes:
        space: whose coordinates they read.
        metric: ``(R, d)`` that these are seen through, if any.
        penalties: places in `PENALTIES`.
        path: at these penalties.
    """

    space: Space
    metric: np.ndarray | None
    penalties: Sequence[int]
    path: KernelPath

    def seen(self, x: np.ndarray) -> np.ndarray:
        """``(N, R)`` coordinates in the metric."""
        return x if self.metric is None else x @ self.metric


def _typical(name: Name, x: np.ndarray) -> float:
    """The squared length that widths are multiples of; of rows that are all the same, one."""
    if name == "quadratic":
        found = float((x.astype(np.float64) ** 2).sum(1).mean())
    else:
        half = min(len(x) // 2, 2_000)
        found = float(np.median(((x[:half] - x[half : 2 * half]).astype(np.float64) ** 2).sum(1))) if half else 0.0
    return found if found > 0 else 1.0


def _metric(relevance: np.ndarray) -> np.ndarray | None:
    """``(R, d)`` so that distances of ``x @ metric`` are those of the matrix; None where there is nothing to it."""
    sizes, vectors = np.linalg.eigh(relevance)
    sizes, vectors = np.maximum(sizes[::-1], 0), vectors[:, ::-1]
    if not sizes[:1].sum() > 0:
        return None
    kept = 1 + int(np.searchsorted(np.cumsum(sizes) / sizes.sum(), KEPT))
    found: np.ndarray = (vectors[:, :kept] * np.sqrt(sizes[:kept] / sizes[0])).astype(np.float32)
    return found


@dataclass(frozen=True)
class Fold:
    """Rows that a fold is fitted to, and what was fitted to them.

    Attributes:
        task: whose rows they are.
        kernel: of all regressors.
        limits: of rows.
        fit: rows, in random order.
        held: rows held out.
        spaces: made of the rows that the fold is fitted to.
    """

    task: Task
    kernel: Name
    limits: Limits
    fit: np.ndarray
    held: np.ndarray
    spaces: list[Space]
    _x: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    _fitted: dict[tuple[View, int], Fitted] = field(default_factory=dict)

    @classmethod
    def draw(cls, task: Task, kernel: Name, limits: Limits, k: int | None) -> Fold:
        """As many rows as the limits say, whole sources; of all known rows for None."""
        rows = task.folds.fit(k)
        rng = numpy_rng(task.seed, 30, task.folds.count if k is None else k)
        fit = rows[sample_sources(task.source[rows], limits.rows, rng)]
        held = fit[:0] if k is None else task.folds.held(k)
        return cls(task, kernel, limits, fit, held, task_spaces(task)[-1 if k is None else k])

    @property
    def exact(self) -> bool:
        """Whether no landmarks are needed."""
        return self.limits.exact(self.task)

    @property
    def few(self) -> int:
        """Rows that views are compared on."""
        return min(len(self.fit), FEW_EXACT if self.exact else FEW_ROWS)

    def x(self, space: int, count: int) -> np.ndarray:
        """Coordinates of the first rows."""
        if (space, count) not in self._x:
            self._x[space, count] = self.spaces[space].transform(self.task.x["known"], self.fit[:count])
        return self._x[space, count]

    def fitted(self, view: View, penalties: Sequence[int], count: int | None = None) -> Fitted:
        """To the first ``count`` rows, at these penalties at least; once."""
        count = len(self.fit[:count])
        done = self._fitted.get((view, count))
        if not done or not set(penalties) <= set(done.penalties):
            metric = self._metric(view.learned, count) if view.learned else None
            x = self.x(view.space, count)
            x = x if metric is None else x @ metric
            y = self.task.y["known"][self.fit[:count, None], view.columns]
            kernel = Kernel(self.kernel, view.width * _typical(self.kernel, x))
            landmarks = None if self.exact else self.limits.landmarks if count == len(self.fit) else FEW_LANDMARKS
            path = fit_kernel_ridge(kernel, x, y, [PENALTIES[p] for p in penalties], landmarks)
            self._fitted[view, count] = Fitted(self.spaces[view.space], metric, penalties, path)
        return self._fitted[view, count]

    def _metric(self, source: Source, count: int) -> np.ndarray | None:
        """``(R, d)`` so that what does not matter to the targets of a view is not seen."""
        view = source.view
        fitted = self.fitted(view, sorted({penalty for _, penalty in source.penalties}), count)
        x = fitted.seen(self.x(view.space, count)[:GRADIENT_ROWS])
        total = np.zeros((x.shape[1], x.shape[1]))
        step = min(len(source.penalties), FEWEST)
        for i, (target, penalty) in enumerate(source.penalties):
            variance = self.task.y["known"][self.fit[:count], target.true].var(0).sum()
            if variance > 0:
                at, columns = fitted.penalties.index(penalty), np.r_[view.places(target)[0]]
                total += fitted.path.relevance(x[i % step :: step], at, columns) / variance
        found = _metric(total)
        return found if found is None or fitted.metric is None else fitted.metric @ found

    def errors(self, view: View, penalties: Sequence[int], count: int | None = None) -> np.ndarray:
        """``(L, targets)`` squared error of the rows held out."""
        fitted = self.fitted(view, penalties, count)
        held = self.held if count is None else self.held[:: max(1, len(self.held) // HELD_ROWS)]
        x = fitted.seen(fitted.space.transform(self.task.x["known"], held))
        error = fitted.path.errors(x, self.task.y["known"][held[:, None], view.columns])
        return np.stack([error[:, view.places(target)[0]].sum(1) for target in view.targets], 1)


def width_of(target: Target) -> int:
    """How many columns encode a nuisance."""
    return target.true.stop - target.true.start
