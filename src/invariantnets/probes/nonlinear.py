"""kNN and MLP regressors of every nuisance: "not linearly readable" is not "gone"."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from invariantnets.probes.mlp import fit_mlp, predict_mlp
from invariantnets.probes.scorer import Regression
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Problem
from invariantnets.randomness import numpy_rng, torch_rng
from invariantnets.statistics.neighbours import merge_equal, nearest, neighbour_grid, neighbour_means
from invariantnets.statistics.spaces import Space, sample_sources, spaces

# Validation rows that are enough to choose k, a space and an epoch.
CHOICE_ROWS = 10_000


@dataclass(frozen=True)
class Sample:
    """Random sources of train to fit on and of validation to choose on, in each space.

    Attributes:
        fit: rows of train.
        choice: rows of validation.
        spaces: to choose from.
        x_fit: coordinates of ``fit`` in each space.
        x_choice: coordinates of ``choice`` in each space.
    """

    fit: np.ndarray
    choice: np.ndarray
    spaces: list[Space]
    x_fit: list[np.ndarray]
    x_choice: list[np.ndarray]

    def note(self, space: int) -> str:
        """What was chosen, and on what."""
        return f"{self.spaces[space].name} features (chosen on {len(self.choice)} validation rows)"


def draw_sample(problem: Problem, max_rows: int, rng: np.random.Generator) -> Sample:
    """Whole sources, at most ``max_rows`` rows to fit and ``CHOICE_ROWS`` to choose."""
    fit = sample_sources(problem.parts["train"].source, max_rows, rng)
    choice = sample_sources(problem.parts["val"].source, CHOICE_ROWS, rng)
    options = spaces(problem.train_all)
    return Sample(
        fit,
        choice,
        options,
        [space.transform(problem.x["train"], fit) for space in options],
        [space.transform(problem.x["val"], choice) for space in options],
    )


def knn_probes(problem: Problem, max_rows: int) -> list[Regression]:
    """K nearest neighbours of each nuisance; k and the space are chosen on validation.

    Args:
        problem: the layer.
        max_rows: training rows to search, drawn by source.
    """
    sample = draw_sample(problem, max_rows, numpy_rng(problem.seed, 2))
    points, y = merge_equal(problem.x["train"][sample.fit], problem.y["train"][sample.fit])
    grid = neighbour_grid(len(points))
    x = [coordinates[points] for coordinates in sample.x_fit]
    near = [nearest(fit, choice, grid[-1]) for fit, choice in zip(x, sample.x_choice, strict=True)]
    near_test: dict[int, np.ndarray] = {}
    probes = []
    for target in problem.targets:
        scores = {
            (s, k): problem.validation_r2(predicted, target, sample.choice)
            for s, index in enumerate(near)
            for k, predicted in zip(grid, neighbour_means(y[:, target.true], index, grid), strict=True)
        }
        s, k = max(scores, key=scores.__getitem__)
        if s not in near_test:
            near_test[s] = nearest(x[s], sample.spaces[s].transform(problem.x["test"]), grid[-1])
        test, control = (neighbour_means(y[:, c], near_test[s], (k,))[0] for c in (target.true, target.control))
        note = f"k={k}, {sample.note(s)}"
        probes.append(Regression("knn", scores[s, k], test, control, len(sample.fit), note))
    return probes


class _MLPFitter:
    """Networks on one sample: targets standardised going in, undone coming out."""

    def __init__(self, problem: Problem, sample: Sample, epochs: int, widths: Sequence[int]) -> None:
        self.problem, self.sample, self.epochs, self.widths = problem, sample, epochs, widths

    def _scale(self, columns: slice) -> np.ndarray:
        std = np.sqrt(self.problem.train_all.yy[columns] / self.problem.train_all.n)
        return np.where(std > 0, std, 1)

    def fit(self, space: int, width: int, columns: slice) -> tuple[nn.Sequential, int]:
        mean, scale = self.problem.mean(columns), self._scale(columns)
        y_fit, y_choice = (
            ((self.problem.y[split][rows][:, columns] - mean) / scale).astype(np.float32)
            for split, rows in (("train", self.sample.fit), ("val", self.sample.choice))
        )
        generator = torch_rng(self.problem.seed, 3, space, columns.start, width)
        train, val = (self.sample.x_fit[space], y_fit), (self.sample.x_choice[space], y_choice)
        return fit_mlp(train, val, width, generator, self.epochs)

    def predict(self, model: nn.Sequential, x: np.ndarray, columns: slice) -> np.ndarray:
        return predict_mlp(model, x) * self._scale(columns) + self.problem.mean(columns)

    def probe(self, target: Target) -> Regression:
        sample, scores, models = self.sample, {}, {}
        for space, width in itertools.product(range(len(sample.spaces)), self.widths):
            models[space, width] = model, _ = self.fit(space, width, target.true)
            predicted = self.predict(model, sample.x_choice[space], target.true)
            scores[space, width] = self.problem.validation_r2(predicted, target, sample.choice)
        space, width = best = max(scores, key=scores.__getitem__)
        (model, epoch), (control, _) = models[best], self.fit(space, width, target.control)
        x_test = sample.spaces[space].transform(self.problem.x["test"])
        return Regression(
            "mlp",
            scores[best],
            self.predict(model, x_test, target.true),
            self.predict(control, x_test, target.control),
            len(sample.fit),
            f"2 hidden layers of {width}, epoch {epoch} of {self.epochs}, {sample.note(space)}",
        )


def mlp_probes(problem: Problem, max_rows: int, epochs: int, widths: Sequence[int]) -> list[Regression]:
    """A small network for each nuisance; its width, the space and the epoch are chosen on validation.

    Args:
        problem: the layer.
        max_rows: training rows, drawn by source.
        epochs: of its one cycle.
        widths: of the hidden layers, to choose from.
    """
    fitter = _MLPFitter(problem, draw_sample(problem, max_rows, numpy_rng(problem.seed, 3)), epochs, widths)
    return [fitter.probe(target) for target in problem.targets]
