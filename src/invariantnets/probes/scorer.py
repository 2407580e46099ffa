"""From predictions on the test split to results with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.probes.probe import ClassReading, Probe, Reading
from invariantnets.probes.targets import FEW_VALUES, Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.results.words import PROBES
from invariantnets.statistics.resampling import Resampling, ratio

__all__ = ["Scorer", "strongest"]

# The probes whose predictions are shown at each true value, as in figure 3 of Rudd et al. (2016).
SHOWN_BY_VALUE = ("ridge", "ridge/per_label")


class Scorer:
    """Turns predictions on the test rows into results."""

    def __init__(self, test: FeatureTable, layer: str, seed: int, replicates: int) -> None:
        """Draw the bootstrap, once for all results.

        Args:
            test: the test part of the table.
            layer: the layer probed.
            seed: goes into every result.
            replicates: number of bootstrap replicates.
        """
        self.test, self.layer, self.seed = test, layer, seed
        self.bootstrap = Resampling(test.source, replicates, numpy_rng(seed, 1))

    def result(self, rows: np.ndarray | None = None, **fields: Any) -> Result:
        """A result on some (boolean mask) or all test rows."""
        source = self.test.source if rows is None else self.test.source[rows]
        n, sources = len(source), self.bootstrap.sources if rows is None else len(np.unique(source))
        return Result(layer=self.layer, split="test", n=n, sources=sources, seed=self.seed, **fields)

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
        value, low, high = self.bootstrap.interval(np.concatenate([hits, subsets], 1), ratio)
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
            )
            for i, where in enumerate(wheres)
        ]

    def nuisance(self, task: Task, reading: Reading, probe: Probe) -> list[Result]:
        """R², and RMSE and MAE (continuous) or accuracy (categorical, binary); and some predictions by true value.

        Args:
            task: what was read.
            reading: by the probe.
            probe: whose name, title and honesty go into every result.
        """
        target, y = reading.target, task.y["test"]
        true, shuffled, mean = y[:, target.true], y[:, target.control], task.mean(target.true)
        value, low, high = self.bootstrap.interval(*self._errors(target, reading.test, true, mean))
        control = self._plain(target, reading.control, shuffled, mean)
        chance = self._plain(target, np.broadcast_to(mean, true.shape), true, mean)
        fields: dict[str, Any] = {
            "target": target.nuisance.name,
            "probe": probe.name,
            "title": "" if probe.name in PROBES else probe.title,
            "n_fit": reading.n_fit,
            "status": "failed" if reading.failed else "ok",
            "uses_answer": probe.told,
        }
        found = [
            self.result(
                metric=metric,
                value=float(value[i]),
                low=float(low[i]),
                high=float(high[i]),
                chance=chance[i],
                control=control[i],
                validation=reading.validation,
                chosen=reading.chosen,
                note=reading.note,
                **fields,
            )
            for i, metric in enumerate(_metrics(target))
        ]
        if target.nuisance.kind == "continuous" and probe.name in SHOWN_BY_VALUE:
            found += self._by_value(target, reading.test[:, :1], true[:, 0], fields)
        return found

    def _errors(
        self, target: Target, predicted: np.ndarray, true: np.ndarray, mean: np.ndarray
    ) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        squared, deviation = ((true - predicted) ** 2).sum(1), ((true - mean) ** 2).sum(1)
        columns = [squared, deviation, np.ones(len(true))]
        kind = target.nuisance.kind
        if kind == "continuous":
            columns.append(np.abs(true - predicted)[:, 0])
        elif kind != "circular":
            columns.append(predicted.argmax(1) == true.argmax(1))

        def statistic(sums: np.ndarray) -> np.ndarray:
            squared, deviation, n = sums[:, :3].T
            numbers = [1 - squared / deviation]
            if kind == "continuous":
                numbers.append(np.sqrt(squared / n))
            return np.stack([*numbers, *(extra / n for extra in sums[:, 3:].T)], 1)

        return np.stack(columns, 1).astype(np.float64), statistic

    def _plain(self, target: Target, predicted: np.ndarray, true: np.ndarray, mean: np.ndarray) -> list[float]:
        quantities, statistic = self._errors(target, predicted, true, mean)
        return [float(v) for v in statistic(quantities.sum(0, keepdims=True))[0]]

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
            numbers = self.bootstrap.interval(quantities, _mean_and_std)
            for i, metric in enumerate(("predicted_mean", "predicted_std")):
                value, low, high = (float(part[i]) for part in numbers)
                where, note = {target.nuisance.name: float(at)}, "within each label, averaged over labels"
                results.append(
                    self.result(rows, metric=metric, value=value, low=low, high=high, where=where, note=note, **fields)
                )
        return results


def _metrics(target: Target) -> tuple[str, ...]:
    return {"continuous": ("r2", "rmse", "mae"), "circular": ("r2",)}.get(target.nuisance.kind, ("r2", "accuracy"))


def _mean_and_std(sums: np.ndarray) -> np.ndarray:
    """``(R, 3L)`` counts, sums and sums of squares per label → ``(R, 2)``; labels without rows are left out."""
    count, total, squares = np.split(sums, 3, axis=1)
    present = count > 0
    mean = total / np.where(present, count, 1)
    std = np.sqrt(np.maximum(squares / np.where(present, count, 1) - mean**2, 0))
    return np.stack([mean.sum(1), std.sum(1)], 1) / present.sum(1, keepdims=True)


def strongest(scorer: Scorer, target: Target, found: list[Result]) -> Result:
    """The one number of a layer: test R² of the honest probe that is best on validation.

    Args:
        scorer: of the test rows.
        target: the nuisance.
        found: R² of each probe.
    """
    honest = [r for r in found if not r.uses_answer and r.status == "ok"]
    fields: dict[str, Any] = {"metric": "r2", "target": target.nuisance.name, "probe": "strongest", "chance": 0.0}
    if not honest:
        return scorer.result(value=float("nan"), status="failed", note="every honest probe failed", **fields)
    best = max(honest, key=lambda r: r.validation or 0.0)
    return scorer.result(
        value=best.value,
        low=best.low,
        high=best.high,
        control=best.control,
        n_fit=best.n_fit,
        validation=best.validation,
        chosen={"probe": best.probe, **best.chosen},
        **fields,
    )
