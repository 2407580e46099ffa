"""How well a line tells on which side a nuisance is, person by person: leakage by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from invariantnets.analysis.sides import Sided, Sides
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.linear_readings import read_blind
from invariantnets.probes.metrics import placements
from invariantnets.probes.suite import probable
from invariantnets.probes.task import prepare, refuse_collapsed
from invariantnets.statistics.intervals import Scatter, share_bounds

__all__ = ["SideReading", "read_side"]


@dataclass(frozen=True)
class SideReading:
    """Areas under the ROC by which the sides of each person are told apart, by one line for all.

    Attributes:
        areas: ``(I,)``.
        ends: ``(I, 2)`` of their 95 % intervals, over the images of that person.
        n_fit: rows that the line was fitted to.
        closed: whether these were other images of the same people.
    """

    areas: np.ndarray
    ends: np.ndarray
    n_fit: int
    closed: bool


def read_side(table: FeatureTable, layer: str, seed: int, sides: Sides, found: Sided) -> SideReading | str:
    """Ridge regression of the side, fitted to train and val, on the test rows of each.

    Args:
        table: rows whose side is known, of every split.
        layer: its layer.
        seed: of the folds.
        sides: of these rows.
        found: test rows and whose they are.

    Returns:
        Why not, where nothing can be fitted.
    """
    side = Nuisance("side", "binary", categories=("first", "second"))
    part = replace(table, nuisances=(side,), nuisance={"side": sides.code})
    try:
        closed = probable(part, layer)
        if why := unprobable(part).get("side"):
            return f"the side is not read: {why}"
        task = prepare(part, layer, seed, closed)
        refuse_collapsed(task, layer)
    except InvariantNetsError as error:
        return f"the side is not read: {error}"
    score = read_blind(task).test[:, task.every[0].true][:, 1][found.rows]
    areas, ends = np.empty(len(found.people)), np.empty((len(found.people), 2))
    order = np.argsort(found.who, kind="stable")
    for i, rows in enumerate(np.split(order, np.cumsum(found.images.sum(1))[:-1])):
        second = found.second[rows]
        placed = placements(score[rows], second)
        areas[i] = placed[second].mean()
        # DeLong et al. (1988): how far the placements of either side scatter.
        parts = [(placed[part].var(ddof=1), part.sum()) for part in (second, ~second)]
        variance, fewer = float(sum(v / n for v, n in parts)), float(min(n for _, n in parts))
        ends[i] = share_bounds(float(areas[i]), Scatter(variance, len(rows)), fewer, max(fewer - 1, 1.0))
    return SideReading(areas, ends, len(task.parts["known"]), closed)
