"""A small multi-layer perceptron: what a non-linear reader finds."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

HIDDEN = 256
BATCH_ROWS = 512
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
PATIENCE = 4


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A layer initialised from the generator alone: torch's own initialisation would use the global one."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def build_mlp(inputs: int, outputs: int, generator: torch.Generator) -> nn.Sequential:
    """Two hidden layers. The last layer starts at zero: untrained, the network predicts the mean."""
    last = _linear(HIDDEN, outputs, generator)
    nn.init.zeros_(last.weight)
    first, second = _linear(inputs, HIDDEN, generator), _linear(HIDDEN, HIDDEN, generator)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)


def _error(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float(nn.functional.mse_loss(model(x), y))


def fit_mlp(
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    generator: torch.Generator,
    epochs: int,
) -> tuple[nn.Sequential, int]:
    """Train with Adam on squared error and keep the epoch that is best on validation.

    Epoch 0, which predicts the mean, takes part: a network that learns nothing useful reports chance
    instead of an accident of its initialisation.

    Args:
        train: ``(N, R)`` float32 coordinates and ``(N, K)`` float32 targets, standardised.
        val: the same for validation.
        generator: of the initial weights and the order of the rows.
        epochs: at most so many; stops after ``PATIENCE`` without progress.

    Returns:
        the network and its epoch.
    """
    x, y = (torch.from_numpy(a) for a in train)
    x_val, y_val = (torch.from_numpy(a) for a in val)
    model = build_mlp(x.shape[1], y.shape[1], generator)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, best_epoch, best_state = _error(model, x_val, y_val), 0, copy.deepcopy(model.state_dict())
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH_ROWS):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        error = _error(model, x_val, y_val)
        if error < best:
            best, best_epoch, best_state = error, epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= PATIENCE:
            break
    model.load_state_dict(best_state)
    return model, best_epoch


def predict_mlp(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """``(N, R)`` float32 → ``(N, K)`` float32."""
    with torch.no_grad():
        return torch.cat([model(block) for block in torch.from_numpy(x).split(8192)]).numpy()
