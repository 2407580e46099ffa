"""From predictions on the test split to results with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.probes.metrics import judge
from invariantnets.probes.probe import ClassReading, Probe, Reading
from invariantnets.probes.targets import FEW_VALUES, Target
from invariantnets.probes.task import Task
from invariantnets.results.result import Result
from invariantnets.results.words import PROBES
from invariantnets.statistics.intervals import NOT_KNOWN, Number
from invariantnets.statistics.resampling import Resampling, ratio, shares

__all__ = ["Scorer"]

# The probes whose predictions are shown at each true value, as in figure 3 of Rudd et al. (2016).
SHOWN_BY_VALUE = ("ridge", "ridge/per_label")


class Scorer:
    """Turns predictions on the test rows into results."""

    def __init__(self, test: FeatureTable, layer: str, seed: int) -> None:
        """Number the sources, once for all results.

        Args:
            test: the test part of the table.
            layer: the layer probed.
            seed: goes into every result.
        """
        self.test, self.layer, self.seed = test, layer, seed
        self.images = Resampling(test.source)

    @cached_property
    def people(self) -> Resampling:
        """Of whole classes."""
        return Resampling(self.test.label)

    def result(self, rows: np.ndarray | None = None, *, fixed: bool = False, **fields: Any) -> Result:
        """A result on some (boolean mask) or all test rows; ``fixed``: of what classes, not sources, are draws."""
        draws = self.people if fixed else self.images
        n = len(self.test) if rows is None else int(np.count_nonzero(rows))
        sources = draws.sources if rows is None else int(np.count_nonzero(np.bincount(draws.group[rows])))
        fields |= {"n": n, "sources": sources, "seed": self.seed, "fixed": fixed}
        ends: dict[str, Any] = {
            end: None if not np.isfinite(fields[end]) else fields[end] for end in ("low", "high") if end in fields
        }
        if None in ends.values() and np.isfinite(fields["value"]):
            fields["note"] = "; ".join(filter(None, (fields.get("note"), NOT_KNOWN)))
        fields |= ends
        return Result(layer=self.layer, split="test", **fields)

    def classes(
        self, reading: ClassReading, probe: str, chance: float, *, told: bool = False, title: str = ""
    ) -> list[Result]:
        """Accuracy over all rows and per class (figure 4).

        Args:
            reading: classes that were named.
            probe: by which probe, unless the reading says another.
            chance: accuracy without looking.
            told: whether the probe was given part of the answer.
            title: what the probe calls itself, where no one else knows.
        """
        label, names = self.test.label, self.test.classes
        classes = np.unique(label)
        subsets = np.concatenate([np.ones((len(label), 1)), label[:, None] == classes], 1)
        hits = subsets * (reading.test == label)[:, None]
        quantities = np.concatenate([hits, subsets], 1)
        value, low, high = self.images.interval(quantities, ratio, shares(hits.shape[1]))
        draws = self.images.drawn(quantities[:, [0, hits.shape[1]]], ratio)[:, 0].tolist()
        wheres: list[Mapping[str, Any]] = [{}, *({"label": names[c] if names else int(c)} for c in classes)]
        return [
            self.result(
                subsets[:, i] > 0,
                metric="accuracy",
                value=float(value[i]),
                low=float(low[i]),
                high=float(high[i]),
                target="label",
                about="class",
                probe=reading.probe or probe,
                chance=chance,
                n_fit=reading.n_fit,
                where=where,
                uses_answer=told or reading.told,
                validation=reading.validation,
                chosen=reading.chosen,
                note=reading.note,
                title=title,
                draws=draws if not where else [],
            )
            for i, where in enumerate(wheres)
        ]

    def nuisance(self, task: Task, reading: Reading, probe: Probe, drawn: bool = False) -> list[Result]:
        """The metrics of `judge`; and some predictions by true value.

        Of a nuisance that never varies within a class, a class is one draw, however many its rows: intervals resample
        classes.

        Args:
            task: what was read.
            reading: by the probe.
            probe: whose name, title and honesty go into every result.
            drawn: whether R² keeps its `Result.draws`.
        """
        target, y = reading.target, task.y["test"]
        validation = task.validation_r2(reading.held_out, target)
        true, shuffled, mean = y[:, target.true], y[:, target.control], task.mean(target.true)
        judged = judge(target, reading.test, true, mean)
        control = judge(target, reading.control, shuffled, task.mean(target.control)).plain()
        chance = judge(target, np.broadcast_to(mean, true.shape), true, mean).plain() | judged.chance
        resampling = self.people if target.nuisance.fixed else self.images
        value, low, high = resampling.interval(judged.quantities, judged.statistic, judged.numbers)
        draws = resampling.drawn(judged.quantities, judged.statistic)[:, 0].tolist() if drawn else []
        fields: dict[str, Any] = {
            "target": target.nuisance.name,
            "probe": probe.name,
            "title": "" if probe.name in PROBES else probe.title,
            "n_fit": reading.n_fit,
            "status": "ok" if validation > 0 else "failed",  # what predicts the mean has found nothing
            "uses_answer": probe.told,
            "fixed": target.nuisance.fixed,
        }
        found = [
            self.result(
                judged.rows.get(metric),
                metric=metric,
                value=float(value[i]),
                low=float(low[i]),
                high=float(high[i]),
                chance=_known(chance[metric]),
                control=_known(control[metric]),
                validation=validation,
                chosen=reading.chosen,
                note=reading.note,
                draws=draws if metric == "r2" else [],
                **fields,
            )
            for i, metric in enumerate(judged.metrics)
        ]
        positive = f"positive is {target.nuisance.categories[1]!r}" if judged.rows else ""
        found = [
            replace(r, note="; ".join(filter(None, (r.note, positive)))) if r.metric in judged.rows else r
            for r in found
        ]
        if target.nuisance.kind == "continuous" and probe.name in SHOWN_BY_VALUE:
            found += self._by_value(target, reading.test[:, :1], true[:, 0], fields)
        return found

    def strongest(self, target: Target, best: str | None, found: Sequence[Result]) -> list[Result]:
        """The one number of a layer: test R² of the honest probe that is best out of fold; and that probe's AUC.

        Args:
            target: the nuisance.
            best: the name of that probe; None: all have failed.
            found: what each probe reads of it.
        """
        nuisance = target.nuisance
        fields: dict[str, Any] = {"target": nuisance.name, "probe": "strongest", "fixed": nuisance.fixed}
        if best is None:
            fields |= {"value": float("nan"), "status": "failed", "note": "every honest probe failed", "chance": 0.0}
            return [self.result(metric="r2", **fields)]
        return [
            replace(r, probe="strongest", title="", chosen={"probe": best, **r.chosen})
            for r in found
            if r.probe == best and r.metric in ("r2", "auc")
        ]

    def _by_value(
        self, target: Target, predicted: np.ndarray, true: np.ndarray, fields: Mapping[str, Any]
    ) -> list[Result]:
        """Mean and standard deviation of the predictions at each true value (figure 3), of nuisances with few of them.

        Both are taken within each label and then averaged over labels, as in Rudd et al. (2016).
        """
        values = np.unique(true)
        if len(values) > FEW_VALUES:
            return []
        results, is_label = [], self.test.label[:, None] == np.unique(self.test.label)
        for at in values:
            rows = true == at
            cell = (is_label & rows[:, None]).astype(np.float64)
            quantities = np.concatenate([cell, cell * predicted, cell * predicted**2], 1)
            of_labels = tuple(np.flatnonzero(cell.any(0)).tolist())
            kinds = [Number("any", of_labels), Number("positive", of_labels)]
            numbers = self.images.interval(quantities, _mean_and_std, kinds)
            for i, metric in enumerate(("predicted_mean", "predicted_std")):
                value, low, high = (float(part[i]) for part in numbers)
                where, note = {target.nuisance.name: float(at)}, "within each label, averaged over labels"
                results.append(
                    self.result(rows, metric=metric, value=value, low=low, high=high, where=where, note=note, **fields)
                )
        return results


def _mean_and_std(sums: np.ndarray) -> np.ndarray:
    """``(R, 3L)`` counts, sums and sums of squares per label → ``(R, 2)``; labels without rows are left out."""
    count, total, squares = np.split(sums, 3, axis=1)
    present = count > 0
    mean = total / np.where(present, count, 1)
    std = np.sqrt(np.maximum(squares / np.where(present, count, 1) - mean**2, 0))
    return np.stack([mean.sum(1), std.sum(1)], 1) / present.sum(1, keepdims=True)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
