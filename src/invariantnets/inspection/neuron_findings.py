"""Results on neurons and nuisances: the one that follows most, and how many it takes to tell what all tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.inspection.layers_seen import LayerSeen
from invariantnets.inspection.neuron_lines import read
from invariantnets.inspection.neuron_rows import Coded, Seen
from invariantnets.inspection.neuron_sums import luck_of
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["R2", "Findings", "interval_of", "r2_of"]

R2 = Number("below_one", (2,))
_WHAT = {
    "channels": "a neuron is a channel, by its mean over all places",
    "tokens": "a neuron is a number of a token, by its mean over tokens",
    "numbers": "a neuron is each number",
}


def r2_of(sums: np.ndarray) -> np.ndarray:
    """``(R, Q)`` sums of squared errors and squared deviations → ``(R, 1)``."""
    found: np.ndarray = 1 - sums[:, :1] / sums[:, 1:2]
    return found


def _share_of(sums: np.ndarray) -> np.ndarray:
    """Errors of the few and of all, and deviations → what the few explain, of what all do."""
    found: np.ndarray = (sums[:, 2:3] - sums[:, :1]) / (sums[:, 2:3] - sums[:, 1:2])
    return found


def interval_of(
    people: Resampling, columns: Sequence[np.ndarray], statistic: Callable[[np.ndarray], np.ndarray], number: Number
) -> dict[str, Any]:
    """``value``, ``low`` and ``high`` of one number made of sums over rows; a column of ones is put behind them."""
    quantities = np.stack([*columns, np.ones(len(columns[0]))], 1)
    value, low, high = (float(x[0]) for x in people.interval(quantities, statistic, [number]))
    known = np.isfinite(low) and np.isfinite(high)
    return {"value": value, "low": low if known else None, "high": high if known else None}


@dataclass(frozen=True)
class Findings:
    """What results are made of.

    Attributes:
        material: whose they are.
        name: of the inspection.
        title: of its first table.
        seen: pictures of train and val, and of test.
        coded: their nuisances.
        over: what intervals resample, in words.
        cannot: sentences on what is missing.
        nulls: how often nuisances were shuffled.
    """

    material: Material
    name: str
    title: str
    seen: tuple[Seen, Seen]
    coded: tuple[Coded, Coded]
    over: str
    cannot: Sequence[str]
    nulls: int

    def note(self, *said: str) -> str:
        """What stands below a table."""
        fit, test = self.seen
        rows = (
            f"shown were {len(test):,} test images, one view of each; neurons are chosen and lines fitted on "
            f"{len(fit):,} of train and val"
        )
        return "; ".join([rows, *said, f"intervals over {self.over}", *self.cannot])

    def best(self, layer: LayerSeen) -> list[Result]:
        """Of each nuisance the neuron that follows it most, on rows that it was not chosen on."""
        fit, test = self.coded
        make = partial(measured, self.material, title=self.title, where={"layer": layer.name})
        luck = luck_of(layer.followed)
        note = self.note(
            f"{layer.name}: {_WHAT[layer.kind]}",
            f"by luck: the largest R² of all neurons, where it was chosen, in {self.nulls} shuffles of the nuisance, "
            "pictures of a person or class together; the share of neurons above luck is of those that vary",
        )
        results = []
        for t, nuisance in enumerate(fit.nuisances):
            unit, tested = int(layer.order[t, 0]), np.flatnonzero(test.known[:, t])
            rows = np.flatnonzero(fit.known[:, t])
            people = Resampling(self.seen[1].source[tested])
            fields: dict[str, Any] = {"target": nuisance.name, "note": note}
            chosen = {**fields, "n": len(rows), "sources": len(np.unique(self.seen[0].source[rows])), "split": "train"}
            fields |= {"n": len(tested), "sources": people.sources, "n_fit": len(rows)}
            on_test = interval_of(people, self._errors(layer, t, tested), r2_of, R2)
            share = layer.followed.share[t]
            above = float((share > luck[t]).sum() / max(layer.live, 1))
            results += [
                make(metric="neurons", value=layer.width, probe=self.name, **chosen),
                make(metric="dead_fraction", value=1 - layer.live / layer.width, probe=self.name, **chosen),
                make(metric="neuron_number", value=unit, probe=f"{self.name}/the best", **chosen),
                make(metric="r2", probe=f"{self.name}/the best", chance=0.0, **on_test, **fields),
                make(metric="r2", value=share[unit], probe=f"{self.name}/where it was chosen", **chosen),
                make(metric="r2_by_luck", value=luck[t], probe=self.name, **chosen),
                make(metric="neuron_share", value=above, probe=f"{self.name}/above luck", **chosen),
            ]
        return results

    def _errors(self, layer: LayerSeen, t: int, tested: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors and deviations of the best neuron's line, as in `neuron_sums.on_others`."""
        unit, columns = layer.order[t, 0], self.coded[1].columns[t]
        x = layer.best(t, 1)[1][tested, 0].astype(np.float64) - layer.followed.mean[unit, t]
        y, slope = self.coded[1].y[tested, columns], layer.followed.slope[unit, columns]
        if y.shape[1] == 1:
            return (y[:, 0] - slope[0] * x) ** 2, y[:, 0] ** 2
        return (x - y @ slope) ** 2, x**2

    def lines(self, layer: LayerSeen) -> tuple[list[Result], list[float]]:
        """What a line reads from all neurons, and the share of it that the few best give.

        Returns:
            results, and for each nuisance the R² of all neurons on the rows held out of train and val.
        """
        fit, test = self.coded
        results: list[Result] = []
        readable = [0.0] * len(fit.nuisances)
        every, every_test = layer.lines()
        fields: dict[str, Any] = {"title": "How many neurons tell a nuisance", "where": {"layer": layer.name}}
        said = ["lines: ridge regression; shares: R² of the neurons that follow most, over that of all"]
        if every.shape[1] < layer.width:
            said.append(
                f"{layer.name}: of its {layer.width:,} neurons a random projection to {every.shape[1]:,} is read, a "
                "lower bound of what all tell"
            )
        fields["note"] = self.note(*said, "no share is given where all together tell nothing")
        make = partial(measured, self.material, **fields)
        for rows, chosen in fit.alike():
            part = fit.of(chosen)
            whole = read(every, part, rows, self.seen[0].held)
            for t, r2, columns in zip(chosen, whole.held_r2, part.columns, strict=True):
                readable[t] = r2
                tested = np.flatnonzero(test.known[:, t])
                y = test.y[tested, test.columns[t]]
                deviation, people = (y**2).sum(1), Resampling(self.seen[1].source[tested])
                error = ((whole.model.predict(every_test[tested])[:, columns] - y) ** 2).sum(1)
                of: dict[str, Any] = {"target": fit.nuisances[t].name, "n": len(tested), "sources": people.sources}
                of["n_fit"] = len(rows)
                value = interval_of(people, (error, deviation), r2_of, R2)
                results.append(make(metric="r2", probe=f"{self.name}/all neurons", chance=0.0, **value, **of))
                if value["low"] is None or value["low"] <= 0:
                    continue
                for name, count in layer.sizes.items():
                    known, tests = layer.best(t, count)
                    line = read(known, fit.of([t]), rows, self.seen[0].held)
                    few = ((line.model.predict(tests[tested]) - y) ** 2).sum(1)
                    share = interval_of(people, (few, error, deviation), _share_of, Number("any", (3,)))
                    results.append(make(metric="readable_share", probe=f"{self.name}/{name}", **share, **of))
        return results, readable
