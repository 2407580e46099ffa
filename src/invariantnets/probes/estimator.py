"""Any estimator of scikit-learn as a probe: a reader that is not here needs no code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.probes.probe import ClassReading, Reading
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.spaces import sample_sources

if TYPE_CHECKING:  # imported where it is used: other probes do without
    from sklearn.base import BaseEstimator

__all__ = ["Estimator"]


@dataclass(frozen=True)
class Estimator:
    """A scikit-learn estimator on standardised features, its grid searched on validation rows.

    A regressor reads every kind of nuisance by its encoding, a column at a time; a classifier the class, and categories
    by their probabilities.

    Args:
        estimator: anything with ``fit`` and ``predict`` that scikit-learn can clone; it should have a seed of its own.
        grid: parameter → values to choose from; empty for the estimator as it is.
        rows: training rows, at most, drawn by source.
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
        fit = sample_sources(task.parts["train"].source, self.rows, numpy_rng(task.seed, 20))
        x = {"train": task.x["train"][fit], "val": task.x["val"], "test": task.x["test"]}
        if task.label:
            label = task.parts["train"].label[fit]
            models = [(chosen, self._model(chosen).fit(x["train"], label)) for chosen in self._choices()]
            scores = [float((m.predict(x["val"]) == task.parts["val"].label).mean()) for _, m in models]
            chosen, model = models[int(np.argmax(scores))]
            yield ClassReading(model.predict(x["test"]), len(fit), validation=max(scores), chosen=chosen)
        for target in task.targets:
            y = task.y["train"][fit]
            predict = [self._predictor(chosen, x["train"], y[:, target.true]) for chosen in self._choices()]
            scores = [task.validation_r2(p(x["val"]), target) for p in predict]
            best = int(np.argmax(scores))
            chosen = self._choices()[best]
            control = self._predictor(chosen, x["train"], y[:, target.control])
            yield Reading(target, scores[best], predict[best](x["test"]), control(x["test"]), len(fit), chosen)

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

    def _predictor(self, chosen: Mapping[str, Any], x: np.ndarray, encoded: np.ndarray) -> Any:
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
        return model.predict
