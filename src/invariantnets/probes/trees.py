"""Boosted trees: what a step, a logarithm or a fraction of a single feature tells, which no rotation of them keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from invariantnets.probes.boosting import Boosted, Option, Rows
from invariantnets.probes.linear_readings import read_blind
from invariantnets.probes.probe import Reading
from invariantnets.probes.targets import Target, r2
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.results.words import PROBES
from invariantnets.statistics.moments import BLOCK_ROWS
from invariantnets.statistics.spaces import sample_sources

__all__ = ["Trees"]

# Rows that are enough to compare options by, and to judge them on.
COMPARED, JUDGED = 4_000, 4_000
# Columns of a target that are read, the others by their mean; and by which options are compared: those that vary most.
READ, COMPARED_BY = 16, 3
# Rows times columns, rows at least, and numbers in the rows, 64 MB.
COLUMN_ROWS, FEW_ROWS, NUMBERS = 160_000, 2_500, 2**24
# Targets whose rows held out, and of test, are read in one pass.
TOGETHER = 8
# A difference of R² that is not worth more trees; and behind the ridge regressor, that options seldom make good.
SLACK, BEHIND = 5e-4, 0.05
# A few features, looked at closely or not; and many, with trees of few leaves and of more. The first is tried first.
OF_FEW = (Option(4, True, 31, 5), Option(4, False, 31, 5))
OF_MANY = (Option(32, False, 8, 20), Option(32, False, 4, 20), Option(32, False, 31, 5), Option(128, False, 8, 20))


class Judged(NamedTuple):
    """An option with as many trees as it needs, and its R² on the rows held out.

    Attributes:
        option: the option.
        r2: of all columns compared.
        models: of these columns, by place, if they were fitted to all rows.
    """

    option: Option
    r2: float
    models: dict[int, Boosted]


@dataclass(frozen=True)
class Contest:
    """Options for one target, judged on rows that the first fold holds out.

    Attributes:
        fit: rows that the fold is fitted to.
        y: ``(M, K)`` some columns of all known rows.
        best: of each its features.
        x_judged: ``(J, C)`` columns of the rows held out.
        y_judged: ``(J, K)``.
        linear: R² of the ridge regressor there.
    """

    fit: Rows
    y: np.ndarray
    best: list[np.ndarray]
    x_judged: np.ndarray
    y_judged: np.ndarray
    linear: float

    def judge(self, option: Option, fit: Rows) -> Judged:
        """Of the fewest trees that are next to as good as any number of them."""
        models = [fit.fit(option, y, best) for y, best in zip(self.y.T, self.best, strict=True)]
        total = ((self.y_judged - self.y.mean(0)) ** 2).sum() or 1.0
        error = np.zeros(option.trees)
        for model, y in zip(models, self.y_judged.T, strict=True):
            error += [((stage - y) ** 2).sum() for stage in model.stages(self.x_judged[:, model.view.index])]
        count = 1 + int(np.argmax(error <= error.min() + SLACK * total))
        done = {i: model._replace(used=count) for i, model in enumerate(models) if fit is self.fit}
        return Judged(option._replace(trees=count), float(1 - error[count - 1] / total), done)

    def choose(self) -> Judged:
        """The best option on some of the rows; then on all, and more trees at a third of the rate.

        Where the first is far behind a line no other is tried: what is spread over all features is not for trees.
        """
        few = self.fit.first(COMPARED)
        best = self.judge(OF_MANY[0], few)
        if best.r2 < self.linear - BEHIND:
            return best
        for option in (*OF_FEW, *OF_MANY[1:]):
            if option in OF_FEW or best.option.features > OF_FEW[0].features:
                best = max(best, self.judge(option, few), key=lambda each: each.r2)
        if best.r2 > 1 - 2 * SLACK:
            return best
        option = best.option
        slow = self.judge(option._replace(rate=option.rate / 3, trees=3 * option.trees + 20), self.fit)
        return max(best, slow, key=lambda each: each.r2)


class Fitted(NamedTuple):
    """What one target is read by.

    Attributes:
        target: the nuisance.
        columns: of its encoding, that are read.
        option: that was chosen.
        models: for each of `Task.fits` one for each column.
        control: one for each column.
    """

    target: Target
    columns: np.ndarray
    option: Option
    models: list[list[Boosted]]
    control: list[Boosted]

    def encoded(self, models: Sequence[Boosted], x: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """``(N, D)`` → ``(N, K)``: of yes and no the one is 1 less the other; what is not read is its mean."""
        found = np.tile(mean, (len(x), 1))
        found[:, self.columns] = np.stack([model.predict(x) for model in models], 1)
        if self.target.nuisance.kind == "binary":
            found[:, 0] = 1 - found[:, 1]
        return found


@dataclass(frozen=True)
class Trees:
    """Gradient boosting on histograms (scikit-learn).

    What they may see is each feature as it is, the length of the row, and where it lies along each principal axis. Of
    these those are found, on the rows fitted alone, that tell something of a target by themselves or in a product of
    two. How many are kept, the leaves, the rate and the number of trees are chosen on rows that the first fold holds
    out.

    Args:
        rows: known rows to fit, at most, drawn by source; fewer where there are many targets.
    """

    rows: int = 20_000
    name: ClassVar = "trees"
    title: ClassVar = PROBES["trees"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """The same rows for all targets; what is held out, and test, is read once for a few of them."""
        columns = [_columns(task, target) for target in task.targets]
        fits = _rows(task, self.rows, sum(map(len, columns)))
        place = numpy_rng(task.seed, 30, 1).permutation(task.folds.places(0).stop)[:JUDGED]
        x_judged = fits[0].columns.every(task.x["known"][task.choice[place]])
        for start in range(0, len(columns), TOGETHER):
            few = zip(task.targets[start : start + TOGETHER], columns[start : start + TOGETHER], strict=True)
            yield from _read(task, [_fit(task, fits, place, x_judged, *each) for each in few], len(fits[-1].rows))


def _columns(task: Task, target: Target) -> np.ndarray:
    """Of its encoding, that are read: those that vary most first; of yes and no the second."""
    if target.nuisance.kind == "binary":
        return np.array([1])
    return np.argsort(-task.y["known"][:, target.true].var(0), kind="stable")[:READ]


def _rows(task: Task, most: int, columns: int) -> list[Rows]:
    """Those of each of `Task.fits`: where so many are never held out, they serve every fold and the test alike."""
    most = min(most, max(FEW_ROWS, COLUMN_ROWS // columns), NUMBERS // (2 * task.x["known"].shape[1] + 1))
    group, count = task.folds.group, task.folds.count
    rows = np.flatnonzero(group == count)
    rows = rows if len(rows) >= most else np.arange(len(group))
    rows = rows[sample_sources(task.source[rows], most, numpy_rng(task.seed, 30, 0))]
    x = task.x["known"][rows]
    every = Rows.of(rows, x)
    kept = [group[rows] != k for k in range(count)]
    return [*(every if k.all() else Rows.of(rows[k], x[k]) for k in kept), every]


def _fit(
    task: Task, fits: Sequence[Rows], place: np.ndarray, x_judged: np.ndarray, target: Target, columns: np.ndarray
) -> Fitted:
    """One target: the options are judged on the rows at some places of `Task.choice`."""
    true, control = (task.y["known"][:, of][:, columns] for of in (target.true, target.control))
    rows, some = task.choice[place], true[:, :COMPARED_BY]
    line = task.once(read_blind).held_out[place][:, target.true][:, columns[:COMPARED_BY]]
    linear = r2(line, some[rows], some.mean(0))
    best = [fits[0].best(y) for y in true.T]
    option, _, judged = Contest(fits[0], some, best[: some.shape[1]], x_judged, some[rows], linear).choose()
    first = [judged.get(i) or fits[0].fit(option, y, b) for i, (y, b) in enumerate(zip(true.T, best, strict=True))]
    # The same rows, the same trees.
    models = [first if r is fits[0] else [r.fit(option, y, r.best(y)) for y in true.T] for r in fits]
    return Fitted(target, columns, option, models, [fits[-1].fit(option, y, fits[-1].best(y)) for y in control.T])


def _read(task: Task, fitted: Sequence[Fitted], rows: int) -> Iterable[Reading]:
    """Of the rows held out and of test, block by block, all of some targets."""
    held_out: list[list[np.ndarray]] = [[] for _ in fitted]
    for k in range(task.folds.count):
        held = task.folds.held(k)
        for start in range(0, len(held), BLOCK_ROWS):
            x = task.x["known"][held[start : start + BLOCK_ROWS]]
            for found, each in zip(held_out, fitted, strict=True):
                found.append(each.encoded(each.models[k], x, task.mean(each.target.true, k)))
    tested: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in fitted]
    for start in range(0, len(task.x["test"]), BLOCK_ROWS):
        x = task.x["test"][start : start + BLOCK_ROWS]
        for both, each in zip(tested, fitted, strict=True):
            true = each.encoded(each.models[-1], x, task.mean(each.target.true))
            both.append((true, each.encoded(each.control, x, task.mean(each.target.control))))
    for each, found, both in zip(fitted, held_out, tested, strict=True):
        test, control = (np.concatenate(parts) for parts in zip(*both, strict=True))
        yield Reading(each.target, np.concatenate(found), test, control, rows, _chosen(each.option))


def _chosen(option: Option) -> dict[str, Any]:
    return {**option._asdict(), "rate": round(option.rate, 3)}
