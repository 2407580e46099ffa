"""How far off a line is, by how far a nuisance is from the middle (Rudd et al. 2016, section 3, table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.linear_readings import read_blind
from invariantnets.probes.suite import probable
from invariantnets.probes.task import Task, prepare, refuse_collapsed, too_few
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling, ratio

__all__ = ["Bins"]


@dataclass(frozen=True)
class Bins:
    """Ridge regression of a number, its mean absolute error in bins, and that of who always answers the mean.

    A small error says little by itself: where most images are near the middle, the mean errs by little, too.

    Args:
        nuisance: which, a number; None for every one.
        edges: of the bins of its magnitude, in its unit, ascending, the last one open; None: those of the known rows
            that hold a quarter each.
    """

    nuisance: str | None = None
    edges: Sequence[float] | None = None
    name: ClassVar[str] = "bins"
    title: ClassVar[str] = "How far off a line is, by bins"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table, results = material.table, []
        for nuisance in self._wanted(table):
            material.progress(f"{self.title}: {nuisance.name}")
            known = np.isfinite(table.nuisance[nuisance.name])
            part = replace(table.rows(known), nuisances=(nuisance,))
            closed = probable(part, material.layer)
            if why := too_few(part, closed):
                raise InvariantNetsError(f"nuisance {nuisance.name!r}: where it is known, {why}")
            task = prepare(part, material.layer, material.seed, closed)
            refuse_collapsed(task, material.layer)
            results += self._in_bins(material, task)
        return results

    def _wanted(self, table: FeatureTable) -> list[Nuisance]:
        numbers = [n for n in table.nuisances if n.kind == "continuous"]
        found = [n for n in numbers if self.nuisance in (None, n.name)]
        if not found:
            asked = f"analysis.bins.nuisance={self.nuisance}: no number of that name" if self.nuisance else "no number"
            named = ", ".join(n.name for n in numbers) or "none"
            raise InvariantNetsError(f"{asked} among the nuisances (numbers: {named})")
        cannot = unprobable(table)
        able = [n for n in found if n.name not in cannot]
        if not able:
            raise InvariantNetsError(f"nuisance {found[0].name!r} cannot be read: {cannot[found[0].name]}")
        return able

    def _in_bins(self, material: Material, task: Task) -> list[Result]:
        (target,), test = task.targets, task.parts["test"]
        true = task.y["test"][:, target.true][:, 0]
        off = {
            "bins/line": np.abs(read_blind(task).test[:, target.true][:, 0] - true),
            "bins/always the mean": np.abs(task.mean(target.true)[0] - true),
        }
        edges = self._edges(np.abs(task.y["known"][:, target.true][:, 0]))
        place = np.searchsorted(edges[1:-1], np.abs(true), side="right")
        inside = np.concatenate([np.ones((len(true), 1)), place[:, None] == np.arange(len(edges) - 1)], 1)
        names = ["all", *(f"{a:g} to {b:g}" if np.isfinite(b) else f"above {a:g}" for a, b in pairwise(edges))]
        people = Resampling(test.source if task.closed else test.label)
        results = []
        for probe, errors in off.items():
            kinds = [Number("positive", (inside.shape[1] + i,)) for i in range(inside.shape[1])]
            found = people.interval(np.concatenate([inside * errors[:, None], inside], 1), ratio, kinds)
            for name, value, low, high, rows in zip(names, *found, inside.T, strict=True):
                if rows.any():
                    results.append(
                        measured(
                            material,
                            "mae",
                            value,
                            low=float(low),
                            high=float(high),
                            target=target.nuisance.name,
                            probe=probe,
                            where={f"|{target.nuisance.name}|": name},
                            n=int(rows.sum()),
                            sources=len(np.unique(people.group[rows > 0])),
                            n_fit=len(task.parts["known"]),
                            title=self.title,
                            note="ridge regression beside the mean of the known rows; bins are of the true magnitude",
                        )
                    )
        return results

    def _edges(self, magnitude: np.ndarray) -> np.ndarray:
        """From 0 to infinity."""
        inner = np.unique(np.quantile(magnitude, [0.25, 0.5, 0.75])) if self.edges is None else np.asarray(self.edges)
        if self.edges is not None and (len(inner) < 1 or (np.diff(inner) <= 0).any() or inner[0] < 0):
            raise InvariantNetsError(f"analysis.bins.edges={list(self.edges)}: they must ascend from 0 or more")
        return np.array([0.0, *inner[inner > 0], np.inf])
