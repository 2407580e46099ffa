"""Pictures out of features: a network that draws them, and one that reads what was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.probes.probe import Reading
from invariantnets.probes.task import Task
from invariantnets.randomness import torch_rng

__all__ = ["PictureReader", "blocks_of", "drawing", "shrunk"]

BATCH, BLOCK, PEAK = 128, 2_048, 2e-3
LEAST_STEPS = 300, 100  # of the decoder and its reader
CHANNELS, HIDDEN = (16, 32, 32), 64


def blocks_of(rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows, some thousands at a time, and where they stand."""
    for start in range(0, len(rows), BLOCK):
        where = slice(start, min(start + BLOCK, len(rows)))
        yield where, rows[where]


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """Pictures whose longer side is ``side`` pixels at most, each pixel the mean of what it was made of.

    Args:
        pictures: ``(n, H, W)`` or ``(n, H, W, 3)`` uint8.
        side: pixels.

    Returns:
        ``(n, C, h, w)`` uint8.
    """
    x = torch.from_numpy(np.ascontiguousarray(pictures))
    x = x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)
    most = max(x.shape[2:])
    if most > side:
        size = [max(1, round(length * side / most)) for length in x.shape[2:]]
        x = F.interpolate(x.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255).byte()
    found: np.ndarray = x.contiguous().numpy()
    return found


def trained(
    network: nn.Module,
    count: int,
    passes: tuple[int, int],
    loss: Callable[[Tensor], Tensor],
    generator: torch.Generator,
) -> None:
    """Train by Adam, one cycle of the learning rate, in batches of rows in random order.

    Args:
        network: whose parameters are trained, in place.
        count: rows.
        passes: over them; and the steps that are needed for anything: of few rows there are more passes.
        loss: of some rows.
        generator: of their order.
    """
    batches = max(1, count // BATCH)
    epochs = max(passes[0], -(-passes[1] // batches))
    optimizer = torch.optim.Adam(network.parameters(), PEAK)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=epochs * batches)
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator)
        for rows in order[: batches * BATCH].chunk(batches):
            optimizer.zero_grad(set_to_none=True)
            loss(rows).backward()
            optimizer.step()
            cycle.step()


def drawing(
    features: np.ndarray, pictures: np.ndarray, epochs: int, width: int, seed: int, stream: int
) -> Callable[[np.ndarray], np.ndarray]:
    """A decoder: features through two hidden layers to pixels, of least squared error.

    Args:
        features: ``(N, D)`` of the rows that it is trained on.
        pictures: ``(N, P)`` uint8 of the same.
        epochs: passes over them.
        width: of both hidden layers.
        seed: of its weights and of the order of rows.
        stream: of random numbers.

    Returns:
        ``(M, D)`` features → ``(M, P)`` float32 pixels, of 255.
    """
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    live = scale > 1e-6 * max(float(scale.max(initial=0.0)), 1e-30)  # what never varies says nothing
    average = pictures.mean(0, dtype=np.float64) / 255

    def coordinates(rows: np.ndarray) -> Tensor:
        # One row of a feature that is all but dead in training would outweigh all others.
        z = np.clip((rows[:, live] - mean[live]) / scale[live], -10, 10)
        return torch.from_numpy(z.astype(np.float32))

    x, y = coordinates(features), torch.from_numpy(pictures)
    middle = torch.from_numpy(average.astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_rng(seed, stream, 0).initial_seed())
        first, last = nn.Linear(int(live.sum()), width), nn.Linear(width, len(middle))
        network = nn.Sequential(first, nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)
    nn.init.zeros_(last.weight)  # it begins with the mean picture
    nn.init.zeros_(last.bias)

    def loss(rows: Tensor) -> Tensor:
        return F.mse_loss(network(x[rows]), y[rows].float() / 255 - middle)

    trained(network, len(x), (epochs, LEAST_STEPS[0]), loss, torch_rng(seed, stream, 1))

    def draw(rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), len(middle)), np.float32)
        with torch.inference_mode():
            for where, some in blocks_of(rows):
                found[where] = (network(coordinates(some)) + middle).numpy()
        return found

    return draw


@dataclass(frozen=True)
class PictureReader:
    """A small convolutional network that reads every nuisance of pictures, and its shuffled control, at once.

    Args:
        shape: ``(C, h, w)`` that the features of the task are the pixels of.
        epochs: passes over the rows that it is fitted to.
    """

    shape: tuple[int, int, int]
    epochs: int = 6
    stream: int = 154
    name: ClassVar = "convolutional"
    title: ClassVar = "a small convolutional network"
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """As `Probe`."""
        calls = iter(range(len(task.fits)))

        def fit(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
            return self._fit(x, y, task.seed, next(calls))

        held_out, test = task.held_out(fit, task.regressed), task.on_test(fit, task.regressed)
        for t in task.targets:
            yield Reading(t, held_out[:, t.true], test[:, t.true], test[:, t.control], len(task.x["known"]))

    def _fit(self, x: np.ndarray, y: np.ndarray, seed: int, call: int) -> Callable[[np.ndarray], np.ndarray]:
        mean, scale = y.mean(0), np.maximum(y.std(0), 1e-12)
        goal = torch.from_numpy(((y - mean) / scale).astype(np.float32))
        centre, spread = float(x.mean(dtype=np.float64)), max(float(x.std(dtype=np.float64)), 1e-6)

        def seen(rows: np.ndarray) -> Tensor:
            return ((torch.from_numpy(np.ascontiguousarray(rows)) - centre) / spread).view(-1, *self.shape)

        pixels = torch.from_numpy(np.ascontiguousarray(x))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_rng(seed, self.stream, call, 0).initial_seed())
            network = self._network(y.shape[1])

        def loss(rows: Tensor) -> Tensor:
            return F.mse_loss(network(((pixels[rows] - centre) / spread).view(-1, *self.shape)), goal[rows])

        trained(network, len(x), (self.epochs, LEAST_STEPS[1]), loss, torch_rng(seed, self.stream, call, 1))

        def predict(rows: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                parts = [network(seen(some)).double().numpy() for _, some in blocks_of(rows)]
            found: np.ndarray = np.concatenate([np.zeros((0, y.shape[1])), *parts]) * scale + mean
            return found

        return predict

    def _network(self, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        before, high, wide = self.shape
        for channels in CHANNELS:
            layers += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.ReLU()]
            before, high, wide = channels, (high + 1) // 2, (wide + 1) // 2
        head = [nn.Flatten(), nn.Linear(before * high * wide, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)]
        return nn.Sequential(*layers, *head)
