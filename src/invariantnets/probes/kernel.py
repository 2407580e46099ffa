"""Kernel ridge regression: what smooth functions of distances, or products of two coordinates, read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from invariantnets.probes.kernel_fold import HELD_ROWS, PENALTIES, Fold, Limits, Source, View, width_of
from invariantnets.probes.probe import Reading
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.results.words import PROBES
from invariantnets.statistics.kernel_ridge import Name
from invariantnets.statistics.moments import BLOCK_ROWS
from invariantnets.statistics.spaces import transform_to

__all__ = ["KernelRidge"]

# Of the median squared distance, or of the mean squared length; the first is tried in every space.
WIDTHS: Mapping[Name, Sequence[float]] = {"rbf": (0.5, 0.2, 2.0), "quadratic": (0.3, 0.03, 3.0)}
LEARNED_WIDTHS: Mapping[Name, Sequence[float]] = {"rbf": (0.03, 0.1, 0.3, 1.0), "quadratic": (0.1, 1.0)}
# How often a metric is learned, each from the one before, where all is fitted once; products are found at once.
ROUNDS: Mapping[Name, int] = {"rbf": 2, "quadratic": 1}
# Of spaces and widths, so many serve all targets, if the last lowers their errors by this share.
POOL, WORTH = 2, 0.01

Judged = list[tuple[View, Sequence[int], np.ndarray]]  # penalties and (L, targets) squared errors of each view


@dataclass(frozen=True)
class KernelRidge:
    """Kernel ridge regression of every nuisance: space, width and penalty are chosen out of fold.

    Coordinates are seen as they are, and in a metric learned from the gradients of a first fit, where what has nothing
    to do with a nuisance no longer tells rows apart; each nuisance is read in what is best for it.

    Args:
        kernel: ``rbf`` for smooth functions of distance, ``quadratic`` for products of two coordinates.
        rows: known rows, at most, drawn by source.
        landmarks: rows at which the regressor is a sum of kernels, where it is fitted to more than 3,000.
    """

    kernel: Name
    rows: int = 40_000
    landmarks: int = 1_000
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    @property
    def name(self) -> Name:
        """That of the kernel."""
        return self.kernel

    @property
    def title(self) -> str:
        """What reports call it."""
        return PROBES[self.kernel]

    def __call__(self, task: Task) -> Iterable[Reading]:
        """Few rows compare spaces and widths; what serves best is fitted to all, then seen in a learned metric."""
        limits = Limits(self.rows, self.landmarks)
        folds = [Fold.draw(task, self.kernel, limits, k) for k in range(task.folds.count)]
        # Where rows are left out anyway, those of the one fold may be as well: what is judged is what reads.
        once = len(folds) == 1 and len(folds[0].fit) + len(folds[0].held) < len(task.source)
        judged = self._as_they_are(folds, tuple(task.targets))
        for _ in range(ROUNDS[self.kernel] if once else 1):
            judged += self._learned(folds, tuple(task.targets), judged)
        chosen = {target: _best(judged, target) for target in task.targets}
        last = folds[0] if once else Fold.draw(task, self.kernel, limits, None)
        held_out = [_read(fold, chosen, task.x["known"], fold.held) for fold in folds]
        test = _read(last, chosen, task.x["test"], None)
        for target, (view, penalty) in chosen.items():
            choices: dict[str, Any] = {"space": last.spaces[view.space].name, "width": view.width}
            choices |= {"lambda": PENALTIES[penalty], "metric": "learned" if view.learned else "as it is"}
            true = np.concatenate([found[target][0] for found in held_out])
            yield Reading(target, true, *test[target], len(last.fit), choices)

    def _as_they_are(self, folds: Sequence[Fold], targets: tuple[Target, ...]) -> Judged:
        """A few views that serve all targets: every space at one width, then the best spaces at the others."""
        first, *others = WIDTHS[self.kernel]
        every, some = _coarse(folds[0]), _some(folds)
        judged: Judged = []
        wanted = [View(targets, space, first) for space in range(len(folds[0].spaces))]
        for _ in range(2):
            judged += [(view, every, _errors(some, view, every)) for view in wanted]
            wanted = [view._replace(width=width) for view in _serving(judged, POOL) for width in others]
        pool = _serving(judged, POOL)
        if folds[0].exact and folds[0].few == len(folds[0].fit):
            return [each for each in judged if each[0] in pool]
        return [(view, near := _near(judged, view, folds[0]), folds[0].errors(view, near)) for view in pool]

    def _learned(self, folds: Sequence[Fold], targets: tuple[Target, ...], judged: Judged) -> Judged:
        """The same in a metric learned for all targets that are best in one view."""
        best = {target: _best(judged, target) for target in targets}
        found: Judged = []
        for view in dict.fromkeys(view for view, _ in best.values()):
            group = tuple(target for target in targets if best[target][0] is view)
            source = Source(view, tuple((target, best[target][1]) for target in group))
            wanted = [View(group, view.space, width, source) for width in LEARNED_WIDTHS[self.kernel]]
            found += self._compared(folds, wanted)
        return found

    def _compared(self, folds: Sequence[Fold], wanted: Sequence[View]) -> Judged:
        """The best of a few widths."""
        every = _coarse(folds[0])
        judged: Judged = [(view, every, _errors(_some(folds), view, every)) for view in wanted]
        (view,) = _serving(judged, 1)
        if folds[0].exact and folds[0].few == len(folds[0].fit):
            return [each for each in judged if each[0] is view]
        near = _near(judged, view, folds[0])
        return [(view, near, folds[0].errors(view, near))]


def _errors(folds: Sequence[Fold], view: View, penalties: Sequence[int]) -> np.ndarray:
    """``(L, targets)`` of few rows of some folds."""
    return np.sum([fold.errors(view, penalties, fold.few) for fold in folds], 0)


def _some(folds: Sequence[Fold]) -> Sequence[Fold]:
    """As many folds as hold enough rows to choose by."""
    held = np.cumsum([len(fold.held) for fold in folds])
    return folds[: 1 + int(np.searchsorted(held, HELD_ROWS))]


def _serving(judged: Judged, most: int) -> list[View]:
    """Views, at most so many, of which each target takes the best: one by one what lowers all errors the most."""
    lowest = np.stack([error.min(0) for _, _, error in judged])
    lowest = lowest / np.maximum(lowest.max(0), np.finfo(float).tiny)
    found: list[int] = []
    reached = np.full(lowest.shape[1], np.inf)
    for _ in range(min(most, len(judged))):
        total = np.minimum(lowest, reached).sum(1)
        if total.min() > (1 - WORTH) * reached.sum():
            break
        found.append(int(total.argmin()))
        reached = np.minimum(lowest[found[-1]], reached)
    return [judged[at][0] for at in found]


def _coarse(fold: Fold) -> Sequence[int]:
    """Penalties that few rows are tried at: without landmarks every second, if more rows follow."""
    return range(0, len(PENALTIES), 2 if fold.exact and fold.few < len(fold.fit) else 1)


def _near(judged: Judged, view: View, fold: Fold) -> Sequence[int]:
    """Penalties to try with all rows: without landmarks those next to the best of few rows."""
    if not fold.exact:
        return range(len(PENALTIES))
    ((tried, error),) = ((tried, error) for other, tried, error in judged if other is view)
    best = np.asarray(tried)[error.argmin(0)]
    return [p for p in range(len(PENALTIES)) if np.abs(best - p).min() <= 1]


def _best(judged: Judged, target: Target) -> tuple[View, int]:
    """The view and penalty of the least error."""
    options = [
        (float(error[at, view.targets.index(target)]), i, view, penalty)
        for i, (view, penalties, error) in enumerate(judged)
        if target in view.targets
        for at, penalty in enumerate(penalties)
    ]
    return min(options)[2:]


def _read(
    fold: Fold, chosen: Mapping[Target, tuple[View, int]], features: np.ndarray, rows: np.ndarray | None
) -> dict[Target, tuple[np.ndarray, np.ndarray]]:
    """``(N, K)`` predictions of each target, and of the same shuffled, block by block."""
    views = list(dict.fromkeys(view for view, _ in chosen.values()))
    fitted = []
    for view in views:
        mine = {target: penalty for target, (of, penalty) in chosen.items() if of is view}
        one = fold.fitted(view, sorted(set(mine.values())))
        places = [
            one.penalties.index(mine.get(t, one.penalties[0])) for t in view.targets for _ in range(2 * width_of(t))
        ]
        fitted.append(one._replace(path=one.path.at(places)))
    count = len(features) if rows is None else len(rows)
    found: list[list[np.ndarray]] = [[] for _ in views]
    for start in range(0, count, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        x = features[block] if rows is None else features[rows[block]]
        coordinates = transform_to([one.space for one in fitted], x)
        for parts, one, z in zip(found, fitted, coordinates, strict=True):
            parts.append(one.path.predict(one.seen(z))[0])
    every = [np.concatenate(parts) for parts in found]
    read = {target: (every[views.index(view)], *view.places(target)) for target, (view, _) in chosen.items()}
    return {target: (columns[:, true], columns[:, control]) for target, (columns, true, control) in read.items()}
