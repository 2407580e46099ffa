"""A few small multi-layer perceptrons: what a non-linear reader finds."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from invariantnets.probes.networks import Networks, fit_networks
from invariantnets.probes.probe import Reading
from invariantnets.probes.sample import Sample, draw_sample
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng, torch_rng
from invariantnets.results.words import PROBES
from invariantnets.statistics.moments import BLOCK_ROWS
from invariantnets.statistics.spaces import transform_to

__all__ = ["Mlp"]

# Nuisances that are read side by side: more of them no longer fit into a processor's cache.
TOGETHER = 8


class _Network(NamedTuple):
    """One network: what it learns, from what, and how it begins."""

    target: Target
    space: int
    width: int
    member: int
    control: bool = False

    @property
    def columns(self) -> slice:
        """Of the design matrix."""
        return self.target.control if self.control else self.target.true

    def generator(self, seed: int) -> torch.Generator:
        """Of its first weights, whatever else is read."""
        name = zlib.crc32(self.target.nuisance.name.encode())
        return torch_rng(seed, 3, name, self.space, self.width, self.member, int(self.control))


@dataclass(frozen=True)
class Mlp:
    """The mean of a few small networks for each nuisance; the space, the width and the epoch are chosen on validation.

    Three of 48 units read more than one of 512 does, at a tenth of the cost.

    Args:
        rows: training rows, at most, drawn by source.
        epochs: of its one cycle of the learning rate.
        widths: of the two hidden layers, to choose from.
        networks: whose mean is the prediction.
    """

    rows: int = 50_000
    epochs: int = 10
    widths: Sequence[int] = (48,)
    networks: int = 3
    name: ClassVar = "mlp"
    title: ClassVar = PROBES["mlp"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """A few nuisances at a time, each by networks of its own, on the same rows."""
        sample = draw_sample(task, self.rows, numpy_rng(task.seed, 3))
        for start in range(0, len(task.targets), TOGETHER):
            yield from self._read(task, sample, task.targets[start : start + TOGETHER])

    def _read(self, task: Task, sample: Sample, targets: Sequence[Target]) -> Iterator[Reading]:
        """One network in each space and width says which is the best; the others and the controls are trained there."""
        options = list(itertools.product(range(len(sample.spaces)), self.widths))
        fitted = self._fit(task, sample, [_Network(t, *option, 0) for t in targets for option in options])
        chosen: dict[int, _Network] = {}
        for target in targets:
            scores = {n: _validation(task, sample, fitted, [n]) for n in fitted if n.target is target}
            chosen[target.true.start] = max(scores, key=scores.__getitem__)
        rest = [
            best._replace(member=member, control=control)
            for best in chosen.values()
            for control in (False, True)
            for member in range(0 if control else 1, self.networks)
        ]
        fitted |= self._fit(task, sample, rest)
        every = [
            [best._replace(member=member, control=control) for member in range(self.networks)]
            for best in chosen.values()
            for control in (False, True)
        ]
        tested = _test(task, sample, fitted, every)
        for target, members, true, control in zip(targets, every[::2], tested[::2], tested[1::2], strict=True):
            best, epoch = members[0], max(fitted[n][1] for n in members)
            choices = {"width": best.width, "networks": self.networks, "epoch": epoch, "epochs": self.epochs}
            choices |= sample.chosen(best.space)
            yield Reading(target, _validation(task, sample, fitted, members), true, control, len(sample.fit), choices)

    def _fit(self, task: Task, sample: Sample, wanted: Sequence[_Network]) -> dict[_Network, tuple[Networks, int]]:
        """Those that read the same space and have one shape side by side."""

        def shape(network: _Network) -> tuple[int, int, int]:
            # A number is filled up with zeros, to go beside an angle or a yes and no.
            return network.space, network.width, max(2, network.columns.stop - network.columns.start)

        found = {}
        for (space, width, outputs), alike in itertools.groupby(sorted(wanted, key=shape), shape):
            group = list(alike)
            x_fit, x_choice = (torch.from_numpy(x[space]) for x in (sample.x_fit, sample.x_choice))
            y_fit, y_choice = (
                torch.from_numpy(np.stack([_standardised(task, split, rows, n.columns, outputs) for n in group]))
                for split, rows in (("train", sample.fit), ("val", sample.choice))
            )
            start = Networks.draw(x_fit.shape[1], outputs, width, [n.generator(task.seed) for n in group])
            order = torch_rng(task.seed, 3, space)
            networks, epochs = fit_networks(start, (x_fit, y_fit), (x_choice, y_choice), order, self.epochs)
            for i, network in enumerate(group):
                found[network] = networks.of(slice(i, i + 1)), epochs[i]
        return found


Fitted = dict[_Network, tuple[Networks, int]]


def _scale(task: Task, columns: slice) -> np.ndarray:
    """Targets are standardised going in, which is undone coming out."""
    std = np.sqrt(task.train_all.yy[columns] / task.train_all.n)
    return np.where(std > 0, std, 1)


def _standardised(task: Task, split: str, rows: np.ndarray, columns: slice, outputs: int) -> np.ndarray:
    y = ((task.y[split][rows, columns] - task.mean(columns)) / _scale(task, columns)).astype(np.float32)
    return np.pad(y, ((0, 0), (0, outputs - y.shape[1])))


def _predict(task: Task, fitted: Fitted, members: Sequence[_Network], x: np.ndarray) -> np.ndarray:
    """``(N, R)`` coordinates → ``(N, K)``, the mean of some networks."""
    together = Networks.join([fitted[network][0] for network in members])
    columns = members[0].target.true
    read = together(torch.from_numpy(x)).mean(0).numpy()[:, : columns.stop - columns.start]
    return read * _scale(task, columns) + task.mean(columns)


def _validation(task: Task, sample: Sample, fitted: Fitted, members: Sequence[_Network]) -> float:
    predicted = _predict(task, fitted, members, sample.x_choice[members[0].space])
    return task.validation_r2(predicted, members[0].target, sample.choice)


def _test(task: Task, sample: Sample, fitted: Fitted, every: Sequence[Sequence[_Network]]) -> list[np.ndarray]:
    """Of each group of networks; the test rows are read once."""
    spaces, found = sorted({members[0].space for members in every}), []
    for start in range(0, len(task.x["test"]), BLOCK_ROWS):
        block = task.x["test"][start : start + BLOCK_ROWS]
        x = dict(zip(spaces, transform_to([sample.spaces[space] for space in spaces], block), strict=True))
        found.append([_predict(task, fitted, members, x[members[0].space]) for members in every])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]
