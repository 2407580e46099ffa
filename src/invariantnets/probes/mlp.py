"""A small multi-layer perceptron: what a non-linear reader finds."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from invariantnets.probes.probe import Reading
from invariantnets.probes.sample import Sample, draw_sample
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng, torch_rng
from invariantnets.results.words import PROBES

__all__ = ["Mlp", "fit_mlp", "predict_mlp"]

BATCH_ROWS = 512
LEARNING_RATE = 0.04  # at the peak of its cycle, over the root of the width
WEIGHT_DECAY = 1e-2


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer initialised from the generator alone: torch's own initialisation would use the global one."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def build_mlp(inputs: int, outputs: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """Two hidden layers of a width. The last layer starts at zero: untrained, the network predicts the mean."""
    last = _linear(width, outputs, generator)
    nn.init.zeros_(last.weight)
    first, second = _linear(inputs, width, generator), _linear(width, width, generator)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)


def _error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(nn.functional.mse_loss(model(x), y))


def fit_mlp(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    width: int,
    generator: torch.Generator,
    epochs: int,
) -> tuple[nn.Sequential, int]:
    """Train with Adam on squared error, one cycle of the learning rate, and keep the epoch that is best on validation.

    Epoch 0, which predicts the mean, takes part: a network that learns nothing useful reports chance
    instead of an accident of its initialisation.

    Args:
        train: ``(N, R)`` float32 coordinates and ``(N, K)`` float32 targets, standardised.
        val: the same for validation.
        width: of the hidden layers.
        generator: of the initial weights and the order of the rows.
        epochs: of the cycle.

    Returns:
        the network and its epoch.
    """
    x, y = (torch.from_numpy(a) for a in train)
    x_val, y_val = (torch.from_numpy(a) for a in val)
    model = build_mlp(x.shape[1], y.shape[1], width, generator)
    peak, steps = LEARNING_RATE / width**0.5, epochs * math.ceil(len(x) / BATCH_ROWS)
    optimizer = torch.optim.AdamW(model.parameters(), peak, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, steps, cycle_momentum=False)
    best, best_epoch, best_state = _error(model, x_val, y_val), 0, copy.deepcopy(model.state_dict())
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH_ROWS):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
        error = _error(model, x_val, y_val)
        if error < best:
            best, best_epoch, best_state = error, epoch, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    return model, best_epoch


def predict_mlp(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """``(N, R)`` float32 → ``(N, K)`` float32."""
    with torch.no_grad():
        return torch.cat([model(block) for block in torch.from_numpy(x).split(8192)]).numpy()


@dataclass(frozen=True)
class Mlp:
    """A small network for each nuisance; its width, the space and the epoch are chosen on validation.

    Args:
        rows: training rows, at most, drawn by source.
        epochs: of its one cycle of the learning rate.
        widths: of the two hidden layers, to choose from.
    """

    rows: int = 50_000
    epochs: int = 10
    widths: Sequence[int] = (64, 512)
    name: ClassVar = "mlp"
    title: ClassVar = PROBES["mlp"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """One nuisance after the other, on the same rows."""
        sample = draw_sample(task, self.rows, numpy_rng(task.seed, 3))
        for target in task.targets:
            yield self._read(task, sample, target)

    def _read(self, task: Task, sample: Sample, target: Target) -> Reading:
        scores, models = {}, {}
        for space, width in itertools.product(range(len(sample.spaces)), self.widths):
            models[space, width] = model, _ = self._fit(task, sample, space, width, target.true)
            predicted = _predict(task, model, sample.x_choice[space], target.true)
            scores[space, width] = task.validation_r2(predicted, target, sample.choice)
        space, width = best = max(scores, key=scores.__getitem__)
        (model, epoch), (control, _) = models[best], self._fit(task, sample, space, width, target.control)
        x_test = sample.spaces[space].transform(task.x["test"])
        return Reading(
            target,
            scores[best],
            _predict(task, model, x_test, target.true),
            _predict(task, control, x_test, target.control),
            len(sample.fit),
            {"width": width, "epoch": epoch, "epochs": self.epochs, **sample.chosen(space)},
        )

    def _fit(self, task: Task, sample: Sample, space: int, width: int, columns: slice) -> tuple[nn.Sequential, int]:
        y_fit, y_choice = (
            ((task.y[split][rows][:, columns] - task.mean(columns)) / _scale(task, columns)).astype(np.float32)
            for split, rows in (("train", sample.fit), ("val", sample.choice))
        )
        generator = torch_rng(task.seed, 3, space, columns.start, width)
        train, val = (sample.x_fit[space], y_fit), (sample.x_choice[space], y_choice)
        return fit_mlp(train, val, width, generator, self.epochs)


def _scale(task: Task, columns: slice) -> np.ndarray:
    """Targets are standardised going in, which is undone coming out."""
    std = np.sqrt(task.train_all.yy[columns] / task.train_all.n)
    return np.where(std > 0, std, 1)


def _predict(task: Task, model: nn.Module, x: np.ndarray, columns: slice) -> np.ndarray:
    return predict_mlp(model, x) * _scale(task, columns) + task.mean(columns)
