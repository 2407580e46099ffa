"""Many small networks trained side by side: the features are read once, and no network knows of another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Networks", "fit_networks"]

BATCH_ROWS, STEPS = 256, 40  # rows of a step, but where they are few: so many steps an epoch, of 16 rows or more
BLOCK_ROWS = 1024
LEARNING_RATE = 0.04  # at the peak of its cycle, over the root of the width
LOWEST = (1 / 25, 1 / 250_000)  # of the peak, at the cycle's start and end
WEIGHT_DECAY = 1e-2
# A network that two epochs running is worse than its best by so much of the variance learns by heart: it is done.
WORSE, RUNNING = 0.02, 2


@dataclass(frozen=True)
class Networks:
    """K networks of two hidden layers of H units.

    Attributes:
        weights: of the three layers, each followed by its bias: ``(K, H, D)``, ``(K, 1, H)``, ``(K, H, H)``,
            ``(K, 1, H)``, ``(K, H, C)``, ``(K, 1, C)``.
    """

    weights: tuple[Tensor, ...]

    @classmethod
    def draw(cls, inputs: int, outputs: int, width: int, generators: Sequence[torch.Generator]) -> Networks:
        """One from each generator (He et al. 2015). The last layer starts at zero: untrained, it predicts the mean."""
        k = len(generators)
        first, second = torch.empty(k, width, inputs), torch.empty(k, width, width)
        for layer, fan in ((first, inputs), (second, width)):
            for weight, generator in zip(layer, generators, strict=True):
                weight.uniform_(-math.sqrt(6 / fan), math.sqrt(6 / fan), generator=generator)
        bias, last = torch.zeros(2, k, 1, width), torch.zeros(k, width + 1, outputs)
        return cls((first, bias[0], second, bias[1], last[:, :width].clone(), last[:, width:].clone()))

    def _hidden(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both hidden layers, ``(K, B, H)``; the first lies in memory as ``(B, K, H)``, as one product makes it."""
        w1, b1, w2, b2, _, _ = self.weights
        first = (x @ w1.flatten(0, 1).T).view(len(x), len(w1), -1).transpose(0, 1)
        return first.add_(b1).relu_(), torch.baddbmm(b2, first, w2).relu_()

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, D)`` → ``(K, N, C)``."""
        *_, w3, b3 = self.weights
        return torch.cat([torch.baddbmm(b3, self._hidden(block)[1], w3) for block in x.split(BLOCK_ROWS)], 1)

    def gradient(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Of the squared error of each network, a mean over rows, ``(B, D)`` and ``(K, B, C)`` → as `weights`.

        Written out: what autograd keeps and moves for it costs a third of the time.
        """
        _, _, w2, _, w3, b3 = self.weights
        first, second = self._hidden(x)
        out = torch.baddbmm(b3, second, w3).sub_(y).mul_(2 / len(x))
        back = torch.bmm(out, w3.mT).mul_(second > 0)
        to_first = torch.empty_like(first)  # as `first` lies in memory
        torch.mul(torch.bmm(back, w2.mT), first > 0, out=to_first)
        inner = to_first.transpose(0, 1).flatten(1)
        return [
            (inner.T @ x).view(*self.weights[0].shape),
            to_first.sum(1, keepdim=True),
            torch.bmm(first.mT, back),
            back.sum(1, keepdim=True),
            torch.bmm(second.mT, out),
            out.sum(1, keepdim=True),
        ]

    def of(self, which: Tensor | slice) -> Networks:
        """Some of them."""
        return Networks(tuple(w[which] for w in self.weights))

    @classmethod
    def join(cls, parts: Sequence[Networks]) -> Networks:
        """Several sets as one."""
        return cls(tuple(torch.cat(weights) for weights in zip(*(p.weights for p in parts), strict=True)))


def _errors(networks: Networks, x: Tensor, y: Tensor) -> Tensor:
    """``(K,)`` squared error of each, a mean over rows."""
    return (networks(x) - y).square_().sum(2).mean(1)


def _cycle(peak: float, steps: int) -> list[float]:
    """One cycle of the learning rate (Smith & Topin 2017): up in three tenths of it, then down, on half cosines."""
    turn = max(0.3 * steps - 1, 1e-9)
    place = np.arange(steps)
    up, down = np.minimum(place / turn, 1), np.clip((place - turn) / max(steps - 1 - turn, 1e-9), 0, 1)
    rising = LOWEST[0] + (1 - LOWEST[0]) * (1 - np.cos(np.pi * up)) / 2
    falling = LOWEST[1] + (1 - LOWEST[1]) * (1 + np.cos(np.pi * down)) / 2
    rates: list[float] = (peak * np.where(place <= turn, rising, falling)).tolist()
    return rates


@torch.no_grad()
def fit_networks(
    networks: Networks, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], order: torch.Generator, epochs: int
) -> tuple[Networks, list[int]]:
    """Train with Adam on squared error, one cycle of the learning rate, and keep each one's best epoch on validation.

    Epoch 0, which predicts the mean, takes part: a network that learns nothing useful reports chance
    instead of an accident of its initialisation.

    Args:
        networks: K, as they start.
        train: ``(N, D)`` float32 coordinates and ``(K, N, C)`` float32 targets of each network, standardised. A
            column of zeros is as good as none.
        val: the same for validation.
        order: of the rows.
        epochs: of the cycle.

    Returns:
        the networks and the epoch of each.
    """
    (x, y), (x_val, y_val) = train, val
    best, epoch_of = networks.of(torch.arange(len(y))), torch.zeros(len(y), dtype=torch.int64)
    least = _errors(networks, x_val, y_val)
    worst = WORSE * least
    now = Networks(tuple(nn.Parameter(w.clone()) for w in networks.weights))
    at, worse = torch.arange(len(y)), torch.zeros(len(y), dtype=torch.int64)  # those that go on
    batch = min(BATCH_ROWS, max(16, len(x) // STEPS))
    peak, steps = LEARNING_RATE / networks.weights[1].shape[2] ** 0.5, epochs * math.ceil(len(x) / batch)
    optimizer = torch.optim.AdamW(now.weights, peak, weight_decay=WEIGHT_DECAY, fused=True)
    rates = iter(_cycle(peak, steps))
    space = x.new_empty(batch, x.shape[1])  # fresh memory costs more than what is copied into it
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(x), generator=order).split(batch):
            here = torch.index_select(x, 0, rows, out=space[: len(rows)])
            for weight, gradient in zip(now.weights, now.gradient(here, y[:, rows]), strict=True):
                weight.grad = gradient
            optimizer.param_groups[0]["lr"] = next(rates)
            optimizer.step()
        errors = _errors(now, x_val, y_val)
        better = errors < least[at]
        for kept, weight in zip(best.weights, now.weights, strict=True):
            kept[at[better]] = weight[better]
        least[at[better]], epoch_of[at[better]] = errors[better], epoch
        worse = torch.where(errors > least[at] + worst[at], worse + 1, 0)
        going = worse < RUNNING
        if not going.any():
            break
        if not going.all():
            _keep(optimizer, going)
            at, worse, y, y_val = at[going], worse[going], y[going], y_val[going]
    return best, epoch_of.tolist()


def _keep(optimizer: torch.optim.Optimizer, going: Tensor) -> None:
    """Leave out the networks that are done, in place: the others go on as if alone."""
    for weight, state in optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = state[name][going]
        weight.grad = None
        weight.data = weight.data[going]
