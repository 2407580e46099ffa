"""Random rows for the probes that can't see all, and the spaces in which they see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.moments import moments
from invariantnets.statistics.spaces import FLOOR, Space, sample_sources, spaces, unit_moments
from invariantnets.statistics.views import Rows

__all__ = ["Principal", "Sample", "draw_sample", "principal", "task_spaces"]

# Rows that are enough to know a scale, or axes.
SCALE_ROWS = 10_000


def task_spaces(task: Task) -> list[list[Space]]:
    """The spaces of each of `Task.fits`: of a fold, they are made of the rows that it is fitted to alone.

    In a space that was whitened on rows held out as well, these look like rows fitted to, and test rows do not.
    """
    return task.once(_spaces)


def _spaces(task: Task) -> list[list[Space]]:
    x, found = task.x["known"], []
    for k in task.fits:
        some = np.sort(numpy_rng(task.seed, 9).permutation(task.folds.fit(k))[:SCALE_ROWS])
        found.append(spaces(task.moments(k), unit_moments(x, some)))
    return found


@dataclass(frozen=True)
class Principal:
    """A space along its principal axes, where each coordinate may be divided by a power of its standard deviation.

    Adam takes steps of one size in each coordinate. Along principal axes it learns those too in which features hardly
    vary, and sooner if they are half whitened; along the features themselves it does not.

    Attributes:
        space: that is turned.
        axes: ``(R, R)`` float32; None where the space's own are principal axes.
        variances: ``(R,)`` along them, above 0.
    """

    space: Space
    axes: np.ndarray | None
    variances: np.ndarray

    def transform(self, features: Rows, rows: np.ndarray | None = None) -> np.ndarray:
        """As `Space.transform`, ``(N, D)`` → ``(len(rows), R)``."""
        x = self.space.transform(features, rows)
        return x if self.axes is None else x @ self.axes

    def factors(self, power: float) -> np.ndarray:
        """``(R,)`` float32 to multiply coordinates by: 0 keeps distances, 1 whitens; their mean variance is then 1."""
        mean = (self.variances ** (1 - power)).sum() / max(len(self.variances), 1)
        found: np.ndarray = (self.variances ** (-power / 2) / np.sqrt(mean)).astype(np.float32)
        return found


def principal(space: Space, features: Rows, rows: np.ndarray) -> Principal:
    """Turn a space.

    Args:
        space: any.
        features: ``(N, D)``.
        rows: to know the axes by, in random order; the first ten thousand will do.
    """
    x = space.transform(features, rows[:SCALE_ROWS])
    if space.kept is None:
        variances, axes = x.var(0, dtype=np.float64), None
    else:
        seen = moments(x, np.zeros((len(x), 0)))
        variances, vectors = np.linalg.eigh(seen.xx / seen.n)
        axes = vectors.astype(np.float32)
    # Of a collapsed layer a fold may see nothing that varies.
    return Principal(space, axes, np.maximum(variances, FLOOR * variances.max(initial=0) or 1.0))


@dataclass(frozen=True)
class Sample:
    """Random known sources, whole ones only.

    Attributes:
        rows: ``(M,)`` of the known rows, in random order.
        group: ``(M,)`` the fold that holds each of them out.
    """

    rows: np.ndarray
    group: np.ndarray

    def fit(self, k: int | None, most: int | None = None) -> np.ndarray:
        """Rows to fit fold k to (None: all there are), at most so many."""
        return (self.rows if k is None else self.rows[self.group != k])[:most]

    def fitted_once(self, folds: int) -> bool:
        """Whether no fold holds out any of them, so that every fold and the last fit see the same rows."""
        return bool((self.group == folds).all())


def draw_sample(task: Task, most: int, rng: np.random.Generator) -> Sample:
    """At most so many rows; where as many are never held out, of these: what is fitted to them is fitted once."""
    free = np.flatnonzero(task.folds.group == task.folds.count)
    rows = free if len(free) >= most else np.arange(len(task.source))
    rows = rows[sample_sources(task.source[rows], most, rng)]
    return Sample(rows, task.folds.group[rows])
