"""From predictions on the test split to results with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.probes.targets import FEW_VALUES, Target
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.resampling import Resampling, ratio


@dataclass(frozen=True)
class Regression:
    """What one probe predicts of one nuisance.

    Attributes:
        probe: its name.
        validation_r2: R² on the validation rows: below 0 the probe has failed.
        test: ``(N, K)`` predictions of the encoded nuisance.
        control: ``(N, K)`` predictions of the same probe fitted on the shuffled nuisance.
        n_fit: rows it was fitted on.
        note: chosen hyper-parameters.
        uses_answer: the true label was given.
    """

    probe: str
    validation_r2: float
    test: np.ndarray
    control: np.ndarray
    n_fit: int
    note: str
    uses_answer: bool = False

    @property
    def failed(self) -> bool:
        """Whether it says nothing: not even the mean was matched."""
        return not self.validation_r2 >= 0


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

    def classification(
        self, probe: str, predicted: np.ndarray, chance: float, n_fit: int | None, **fields: Any
    ) -> list[Result]:
        """Accuracy over all rows and per class (figure 4).

        Args:
            probe: name of the classifier.
            predicted: ``(N,)`` classes.
            chance: accuracy without looking.
            n_fit: rows the classifier was fitted on, None if unknown.
            **fields: ``uses_answer`` and ``note``.
        """
        label = self.test.label
        classes = np.unique(label)
        subsets = np.concatenate([np.ones((len(label), 1)), label[:, None] == classes], 1)
        hits = subsets * (predicted == label)[:, None]
        value, low, high = self.bootstrap.interval(np.concatenate([hits, subsets], 1), ratio)
        wheres: list[Mapping[str, Any]] = [{}, *({"label": int(c)} for c in classes)]
        return [
            self.result(
                subsets[:, i] > 0,
                metric="accuracy",
                value=float(value[i]),
                low=float(low[i]),
                high=float(high[i]),
                target="label",
                about="class",
                probe=probe,
                chance=chance,
                n_fit=n_fit,
                where=where,
                **fields,
            )
            for i, where in enumerate(wheres)
        ]

    def regression(
        self, target: Target, prediction: Regression, true: np.ndarray, shuffled: np.ndarray, mean: np.ndarray
    ) -> list[Result]:
        """R², and RMSE and MAE (continuous) or accuracy (categorical, binary).

        Args:
            target: the nuisance.
            prediction: of the probe.
            true: ``(N, K)`` encoded nuisance.
            shuffled: ``(N, K)`` what the control should have predicted.
            mean: ``(K,)`` training mean: what chance predicts.
        """
        nothing = np.broadcast_to(mean, true.shape)
        value, low, high = self.bootstrap.interval(*self._errors(target, prediction.test, true, mean))
        control = self._plain(target, prediction.control, shuffled, mean)
        chance = self._plain(target, nothing, true, mean)
        return [
            self.result(
                metric=metric,
                value=float(value[i]),
                low=float(low[i]),
                high=float(high[i]),
                target=target.nuisance.name,
                probe=prediction.probe,
                chance=chance[i],
                control=control[i],
                n_fit=prediction.n_fit,
                status="failed" if prediction.failed else "ok",
                uses_answer=prediction.uses_answer,
                validation=prediction.validation_r2,
                note=prediction.note,
            )
            for i, metric in enumerate(_metrics(target))
        ]

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

    def per_value(self, target: Target, prediction: Regression, column: np.ndarray) -> list[Result]:
        """Mean and standard deviation of the predictions at each true value (figure 3).

        Both are taken within each label and then averaged over labels, as the chapter does.

        Args:
            target: a continuous nuisance.
            prediction: of the probe.
            column: ``(N,)`` true values; nothing is reported beyond ``FEW_VALUES`` distinct ones.
        """
        values = np.unique(column)
        if len(values) > FEW_VALUES:
            return []
        name, results = target.nuisance.name, []
        predicted, is_label = prediction.test[:, :1], self.test.label[:, None] == np.unique(self.test.label)
        for at in values:
            rows = column == at
            cell = (is_label & rows[:, None]).astype(np.float64)
            quantities = np.concatenate([cell, cell * predicted, cell * predicted**2], 1)
            numbers = self.bootstrap.interval(quantities, _mean_and_std)
            for i, metric in enumerate(("predicted_mean", "predicted_std")):
                value, low, high = (float(part[i]) for part in numbers)
                results.append(
                    self.result(
                        rows,
                        metric=metric,
                        value=value,
                        low=low,
                        high=high,
                        target=name,
                        probe=prediction.probe,
                        n_fit=prediction.n_fit,
                        where={name: float(at)},
                        status="failed" if prediction.failed else "ok",
                        uses_answer=prediction.uses_answer,
                        note="within each label, averaged over labels",
                    )
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


def strongest(scorer: Scorer, target: Target, scored: list[tuple[Regression, Result]]) -> Result:
    """The one number of a layer: test R² of the honest probe that is best on validation.

    Args:
        scorer: of the test rows.
        target: the nuisance.
        scored: each probe with its R² result.
    """
    honest = [pair for pair in scored if not pair[0].uses_answer and not pair[0].failed]
    fields: dict[str, Any] = {"metric": "r2", "target": target.nuisance.name, "probe": "strongest", "chance": 0.0}
    if not honest:
        return scorer.result(value=float("nan"), status="failed", note="every honest probe failed", **fields)
    prediction, best = max(honest, key=lambda pair: pair[0].validation_r2)
    return scorer.result(
        value=best.value,
        low=best.low,
        high=best.high,
        control=best.control,
        n_fit=best.n_fit,
        validation=prediction.validation_r2,
        chosen={"probe": prediction.probe, **best.chosen},
        title=best.title,
        **fields,
    )
