"""How far off a line is, by bins of the nuisance or of another (Rudd et al. 2016, section 3, table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance, both_signs
from invariantnets.probes.linear_readings import read_blind
from invariantnets.probes.suite import probable
from invariantnets.probes.task import Task, prepare, refuse_collapsed, too_few
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling, ratio

__all__ = ["Bins"]


class _By(NamedTuple):
    """What bins are of, in the rows that readers are fitted to and tested on.

    Attributes:
        name: as it is shown, ``|yaw|`` where its magnitude is meant.
        least: that it may be: 0 of a magnitude.
        known: ``(M,)``, NaN where it is not known.
        test: ``(N,)`` the same.
    """

    name: str
    least: float
    known: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Bins:
    """Ridge regression of a number, its mean absolute error in bins, and that of who always answers the mean.

    A small error says little by itself: where most images are near the middle, the mean errs by little, too.

    Args:
        nuisance: whose error, a number; None for every one.
        by: of which number the bins are; None: of the nuisance itself.
        magnitude: whether bins are of how far that number is from 0, to whichever side; None: where at least one in
            twenty of the known rows lies on either side.
        edges: of the bins, in the unit of that number, ascending, the last one open; None: those of the known rows that
            hold a quarter each.
    """

    nuisance: str | None = None
    by: str | None = None
    magnitude: bool | None = None
    edges: Sequence[float] | None = None
    name: ClassVar[str] = "bins"
    title: ClassVar[str] = "How far off a line is, by bins"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table, results = material.table, []
        wanted = self._wanted(table)
        if self.by is not None:
            _named(table, "by", self.by)
        for nuisance in wanted:
            material.progress(f"{self.title}: {nuisance.name}")
            known = np.isfinite(table.nuisance[nuisance.name])
            part = replace(table.rows(known), nuisances=(nuisance,))
            closed = probable(part, material.layer)
            if why := too_few(part, closed):
                raise InvariantNetsError(f"nuisance {nuisance.name!r}: where it is known, {why}")
            task = prepare(part, material.layer, material.seed, closed)
            by = self._by(task, self.by or nuisance.name)
            refuse_collapsed(task, material.layer)
            results += self._in_bins(material, task, by)
        return results

    def _wanted(self, table: FeatureTable) -> list[Nuisance]:
        found = _named(table, "nuisance", self.nuisance)
        cannot = unprobable(table)
        able = [n for n in found if n.name not in cannot]
        if not able:
            raise InvariantNetsError(f"nuisance {found[0].name!r} cannot be read: {cannot[found[0].name]}")
        return able

    def _by(self, task: Task, name: str) -> _By:
        known, test = (np.asarray(task.parts[part].nuisance[name], np.float64) for part in ("known", "test"))
        for splits, values in (("train and val", known), ("test", test)):
            if not np.isfinite(values).any():
                raise InvariantNetsError(
                    f"analysis.bins.by={name}: in split {splits} it is not known of any row of which "
                    f"{task.targets[0].nuisance.name!r} is; give another"
                )
        if both_signs(known) if self.magnitude is None else self.magnitude:
            return _By(f"|{name}|", 0.0, np.abs(known), np.abs(test))
        return _By(name, -np.inf, known, test)

    def _in_bins(self, material: Material, task: Task, by: _By) -> list[Result]:
        (target,), test, binned = task.targets, task.parts["test"], np.isfinite(by.test)
        true = task.y["test"][binned, target.true][:, 0]
        off = {
            "bins/line": np.abs(read_blind(task).test[binned, target.true][:, 0] - true),
            "bins/always the mean": np.abs(task.mean(target.true)[0] - true),
        }
        edges = self._edges(by)
        place = np.searchsorted(edges[1:-1], by.test[binned], side="right")
        inside = np.concatenate([np.ones((len(true), 1)), place[:, None] == np.arange(len(edges) - 1)], 1)
        names = ["all", *(_shown(a, b) for a, b in pairwise(edges))]
        shown = inside.any(0) & ((place != place[0]).any() | (np.arange(len(names)) == 0))  # of one bin, all are in it
        people = Resampling((test.source if task.closed else test.label)[binned])
        note = f"ridge regression beside the mean of the known rows; bins are of the true {by.name}"
        if unknown := np.count_nonzero(~binned):
            note += f", which is not known of {unknown} more test rows"
        results = []
        for probe, errors in off.items():
            kinds = [Number("positive", (inside.shape[1] + i,)) for i in range(inside.shape[1])]
            found = people.interval(np.concatenate([inside * errors[:, None], inside], 1), ratio, kinds)
            for name, value, low, high, rows, told in zip(names, *found, inside.T, shown, strict=True):
                if told:
                    results.append(
                        measured(
                            material,
                            "mae",
                            value,
                            low=float(low) if np.isfinite(low) else None,
                            high=float(high) if np.isfinite(high) else None,
                            target=target.nuisance.name,
                            probe=probe,
                            where={by.name: name},
                            n=int(rows.sum()),
                            sources=len(np.unique(people.group[rows > 0])),
                            n_fit=len(task.parts["known"]),
                            title=self.title,
                            note=note,
                        )
                    )
        return results

    def _edges(self, by: _By) -> np.ndarray:
        """Ascending, from the least that there may be to infinity."""
        known, least = by.known[np.isfinite(by.known)], by.least
        inner = np.unique(np.quantile(known, [0.25, 0.5, 0.75])) if self.edges is None else np.asarray(self.edges)
        if self.edges is not None and (len(inner) < 1 or (np.diff(inner) <= 0).any() or inner[0] < least):
            start = "" if np.isinf(least) else f" from 0 or more, for bins are of {by.name} (analysis.bins.magnitude)"
            raise InvariantNetsError(f"analysis.bins.edges={list(self.edges)}: they must ascend{start}")
        return np.array([least, *inner[inner > least], np.inf])


def _named(table: FeatureTable, knob: str, name: str | None) -> list[Nuisance]:
    """The number of that name, or all numbers.

    Raises:
        InvariantNetsError: there is none.
    """
    numbers = [n for n in table.nuisances if n.kind == "continuous"]
    found = [n for n in numbers if name in (None, n.name)]
    if not found:
        asked = f"analysis.bins.{knob}={name}: no number of that name" if name else "no number"
        raise InvariantNetsError(
            f"{asked} among the nuisances (numbers: {', '.join(n.name for n in numbers) or 'none'})"
        )
    return found


def _shown(low: float, high: float) -> str:
    if np.isinf(low):
        return f"below {high:.4g}"
    return f"{low:.4g} to {high:.4g}" if np.isfinite(high) else f"above {low:.4g}"
