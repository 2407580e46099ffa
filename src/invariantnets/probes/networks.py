"""Many small networks trained side by side: the features are read once, and no network knows of another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["BATCH_ROWS", "PAUSES", "Networks", "train"]

BATCH_ROWS, LEAST_ROWS = 256, 64  # of a step
BLOCK_ROWS = 1024
LEARNING_RATE = 0.04  # at the peak of its cycle, over the root of the width
LOWEST = (1 / 25, 1 / 250_000)  # of the peak, at the cycle's start and end
WEIGHT_DECAY = 1.0  # a step, times the rate: noise is not learned by heart, and hardly anything is lost
PAUSES = 8  # of a training, to see how far it has come


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

    def _hidden(self, x: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both hidden layers, ``(K, B, H)``; the first lies in memory as ``(B, K, H)``, as one product makes it."""
        w1, b1, w2, b2, _, _ = self.weights
        first = (x @ w1.flatten(0, 1).T).view(len(x), len(w1), -1).transpose(0, 1).add_(b1).relu_()
        if kept is not None:
            first.mul_(kept[0])
        second = torch.baddbmm(b2, first, w2).relu_()
        return first, second if kept is None else second.mul_(kept[1])

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, D)`` → ``(K, N, C)``."""
        *_, w3, b3 = self.weights
        return torch.cat([torch.baddbmm(b3, self._hidden(block)[1], w3) for block in x.split(BLOCK_ROWS)], 1)

    def gradient(self, x: Tensor, y: Tensor, kept: Tensor | None = None) -> list[Tensor]:
        """Of the squared error of each network, a mean over rows, ``(B, D)`` and ``(K, B, C)`` → as `weights`.

        Written out: what autograd keeps and moves for it costs a third of the time.

        Args:
            x: features.
            y: targets.
            kept: ``(2, B, H)`` what both hidden layers of all networks are multiplied by (dropout); None for 1.
        """
        _, _, w2, _, w3, b3 = self.weights
        first, second = self._hidden(x, kept)
        out = torch.baddbmm(b3, second, w3).sub_(y).mul_(2 / len(x))
        back = torch.bmm(out, w3.mT).mul_(second > 0)
        if kept is not None:
            back.mul_(kept[1])
        to_first = torch.empty_like(first)  # as `first` lies in memory
        torch.mul(torch.bmm(back, w2.mT), first > 0, out=to_first)
        if kept is not None:
            to_first.mul_(kept[0])
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

    def copy(self) -> Networks:
        """As they are now."""
        return Networks(tuple(w.clone() for w in self.weights))


def _cycle(peak: float, steps: int) -> list[float]:
    """One cycle of the learning rate (Smith & Topin 2017): up in three tenths of it, then down, on half cosines."""
    turn = max(0.3 * steps - 1, 1e-9)
    place = np.arange(steps)
    up, down = np.minimum(place / turn, 1), np.clip((place - turn) / max(steps - 1 - turn, 1e-9), 0, 1)
    rising = LOWEST[0] + (1 - LOWEST[0]) * (1 - np.cos(np.pi * up)) / 2
    falling = LOWEST[1] + (1 - LOWEST[1]) * (1 + np.cos(np.pi * down)) / 2
    rates: list[float] = (peak * np.where(place <= turn, rising, falling)).tolist()
    return rates


def batch_rows(rows: int, steps: int) -> int:
    """Of a step: many cost less each, but of few rows a batch is not a large part."""
    return int(min(rows, max(LEAST_ROWS, min(BATCH_ROWS, rows * 60 // max(steps, 1)))))


@torch.no_grad()
def train(
    networks: Networks, data: tuple[Tensor, Tensor], steps: int, dropout: float, generator: torch.Generator
) -> Iterator[Networks]:
    """Train with AdamW on squared error, one cycle of the learning rate.

    Args:
        networks: K, as they start.
        data: ``(N, D)`` float32 coordinates and ``(K, N, C)`` float32 targets of each network, standardised. A
            column of zeros is as good as none.
        steps: of the cycle.
        dropout: share of the hidden units that a step leaves out (Srivastava et al. 2014), the same in all networks.
        generator: of the order of rows, and of what is left out.

    Yields:
        the networks as they are, `PAUSES` times; they are trained on in place when the next are asked for.
    """
    x, y = data
    now = Networks(tuple(nn.Parameter(w.clone()) for w in networks.weights))
    width, batch = networks.weights[1].shape[2], batch_rows(len(x), steps)
    peak = LEARNING_RATE / width**0.5
    optimizer = torch.optim.AdamW(now.weights, peak, weight_decay=WEIGHT_DECAY, fused=True)
    pauses = {round(steps * (i + 1) / PAUSES) for i in range(PAUSES)}
    space = x.new_empty(batch, x.shape[1])  # fresh memory costs more than what is copied into it
    rows, place = torch.randperm(len(x), generator=generator), 0
    for step, rate in enumerate(_cycle(peak, steps), 1):
        if place + batch > len(x):
            rows, place = torch.randperm(len(x), generator=generator), 0
        some, place = rows[place : place + batch], place + batch
        here = torch.index_select(x, 0, some, out=space)
        kept = (torch.rand(2, batch, width, generator=generator) >= dropout) / (1 - dropout) if dropout else None
        for weight, gradient in zip(now.weights, now.gradient(here, y[:, some], kept), strict=True):
            weight.grad = gradient
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        if step in pauses:
            yield Networks(tuple(w.detach() for w in now.weights))
