"""A small multi-layer perceptron: what a non-linear reader finds."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn

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
