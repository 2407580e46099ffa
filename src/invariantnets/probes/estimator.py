"""Any estimator of scikit-learn as a probe: a reader that is not here needs no code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.probes.probe import ClassReading, Reading
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.spaces import sample_sources

if TYPE_CHECKING:  # imported where it is used: other probes do without
    from sklearn.base import BaseEstimator

__all__ = ["Estimator"]

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimator:
    """A scikit-learn estimator on standardised features, its grid searched out of fold.

    A regressor reads every kind of nuisance by its encoding, a column at a time; a classifier the class, and categories
    by their probabilities.

    Args:
        estimator: anything with ``fit`` and ``predict`` that scikit-learn can clone; it should have a seed of its own.
        grid: parameter → values to choose from; empty for the estimator as it is.
        rows: known rows to fit, at most, drawn by source.
        name: in results.
        title: in reports; the estimator's class if empty.

    Raises:
        InvariantNetsError: when it reads, a grid with a parameter that the estimator lacks.
    """

    estimator: BaseEstimator
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    rows: int = 10_000
    name: str = "estimator"
    title: str = ""
    told: ClassVar = False

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", type(self.estimator).__name__)

    @property
    def reads(self) -> frozenset[str]:
        """Kinds of target that an estimator of its kind can read."""
        numbers = frozenset() if self._classifies() else frozenset({"continuous", "circular"})
        label = frozenset({"label"}) if self._classifies() else frozenset()
        return numbers | label | {"categorical", "binary"}

    def __call__(self, task: Task) -> Iterable[Reading | ClassReading]:
        """One target after the other, on the same rows."""
        fits = self._fits(task)
        if task.label:
            yield self._classes(task, fits)
        for target in task.targets:
            every = [
                self._held_out(task, fits, partial(self._read, task, target, target.true, chosen))
                for chosen in self._choices()
            ]
            best = int(np.argmax([task.validation_r2(predicted, target) for predicted in every]))
            chosen, rows = self._choices()[best], fits[-1]
            test, control = (
                self._read(task, target, columns, chosen, rows)(task.x["test"])
                for columns in (target.true, target.control)
            )
            yield Reading(target, every[best], test, control, len(rows), chosen)

    def _read(self, task: Task, target: Target, columns: slice, chosen: Mapping[str, Any], rows: np.ndarray) -> Predict:
        """Fitted to some known rows, the true or the control columns of a target."""
        x, encoded = task.x["known"][rows], task.y["known"][rows, columns]
        if target.nuisance.kind != "binary" or self._classifies():
            return self._predictor(chosen, x, encoded)
        yes = self._predictor(chosen, x, encoded[:, 1:])  # the other column is 1 less this one
        return lambda features: yes(features) @ [[-1.0, 1.0]] + [1.0, 0.0]

    def _fits(self, task: Task) -> list[np.ndarray]:
        """Known rows, at most `rows`, that each of `Task.fits` is fitted to."""
        fits = [task.folds.fit(k) for k in task.fits]
        return [f[sample_sources(task.source[f], self.rows, numpy_rng(task.seed, 20, i))] for i, f in enumerate(fits)]

    def _classes(self, task: Task, fits: Sequence[np.ndarray]) -> ClassReading:
        """The classes, chosen by accuracy out of fold."""
        x, label = task.x["known"], task.parts["known"].label

        def fitted(chosen: Mapping[str, Any], rows: np.ndarray) -> Predict:
            predict: Predict = self._model(chosen).fit(x[rows], label[rows]).predict
            return predict

        every = [self._held_out(task, fits, partial(fitted, chosen)) for chosen in self._choices()]
        scores = [float((predicted == label[task.choice]).mean()) for predicted in every]
        best = int(np.argmax(scores))
        chosen = self._choices()[best]
        test = fitted(chosen, fits[-1])(task.x["test"])
        return ClassReading(test, len(fits[-1]), validation=scores[best], chosen=chosen)

    def _held_out(self, task: Task, fits: Sequence[np.ndarray], fit: Callable[[np.ndarray], Predict]) -> np.ndarray:
        """Predictions of the rows of `Task.choice`, each by what was fitted to the rows of its fold."""
        x = task.x["known"]
        return np.concatenate([fit(fits[k])(x[task.folds.held(k)]) for k in range(task.folds.count)])

    def _classifies(self) -> bool:
        from sklearn.base import is_classifier

        return bool(is_classifier(self.estimator))

    def _choices(self) -> list[dict[str, Any]]:
        from sklearn.model_selection import ParameterGrid

        return list(ParameterGrid(dict(self.grid)))

    def _model(self, chosen: Mapping[str, Any]) -> Any:
        from sklearn.base import clone
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        try:
            return make_pipeline(StandardScaler(), clone(self.estimator).set_params(**chosen))
        except ValueError as error:
            raise InvariantNetsError(f"probe.{self.name}.grid: {error}") from None

    def _predictor(self, chosen: Mapping[str, Any], x: np.ndarray, encoded: np.ndarray) -> Predict:
        """From features to ``(N, K)`` predictions of the encoding."""
        from sklearn.multioutput import MultiOutputRegressor

        model = self._model(chosen)
        if self._classifies():
            model.fit(x, encoded.argmax(1))

            def predict(features: np.ndarray) -> np.ndarray:
                found = np.zeros((len(features), encoded.shape[1]))
                found[:, model.classes_] = model.predict_proba(features)
                return found

            return predict
        model = MultiOutputRegressor(model).fit(x, encoded)
        predicted: Predict = model.predict
        return predicted
