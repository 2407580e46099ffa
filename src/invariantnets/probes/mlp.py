"""A few small multi-layer perceptrons: what a non-linear reader finds."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from invariantnets.probes.networks import BATCH_ROWS, PAUSES, Networks, train
from invariantnets.probes.probe import Reading
from invariantnets.probes.sample import Principal, Sample, draw_sample, principal, task_spaces
from invariantnets.probes.targets import Target, r2
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng, torch_rng
from invariantnets.results.words import PROBES
from invariantnets.statistics.moments import BLOCK_ROWS

__all__ = ["Mlp"]

# Nuisances that are read side by side: more of them no longer fit into a processor's cache.
TOGETHER = 8
# Where there are more, so many share a network of this width: one each would take ten times as long.
SHARED, SHARED_WIDTH = 20, 64
# To choose by: rows to fit and to ask, and the part of the steps that is enough to compare spaces, then all else.
SEARCH_ROWS, CHOICE_ROWS, SHORT, LONGER = 20_000, 4_000, 0.1, 0.25
# So many spaces come into the second round.
FINALISTS = 2
DROPOUT, DROPOUTS = 0.2, (0.1, 0.4)
# See `Principal.factors`. Whitened is standardised with a power of 1.
POWERS = {"standardised": (0.0, 0.5, 1.0), "raw": (0.0, 0.5), "unit": (0.0, 0.5)}


class _Option(NamedTuple):
    """What is chosen out of fold: a space (its place among those of a task), see `Principal`, and how to train."""

    space: int
    power: float
    width: int
    dropout: float
    steps: int


class _Group(NamedTuple):
    """Nuisances that share networks, most often one alone; or their shuffled columns."""

    targets: tuple[Target, ...]
    control: bool = False

    @property
    def columns(self) -> np.ndarray:
        """Of the design matrix."""
        slices = [t.control if self.control else t.true for t in self.targets]
        return np.concatenate([np.arange(s.start, s.stop) for s in slices])

    def places(self, target: Target) -> slice:
        """Where the columns of one of them stand among those of all."""
        widths = [t.true.stop - t.true.start for t in self.targets]
        i = self.targets.index(target)
        return slice(sum(widths[:i]), sum(widths[: i + 1]))


@dataclass(frozen=True)
class _Fitted:
    """The networks of one group, which learn what it is by how many standard deviations a target is off its mean."""

    networks: Networks
    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``(N, Q)`` coordinates → ``(N, K)``, the mean of all networks."""
        read = self.networks(torch.from_numpy(x)).mean(0).numpy()[:, : len(self.mean)]
        predicted: np.ndarray = read * self.scale + self.mean
        return predicted

    def copy(self) -> _Fitted:
        """As it is now."""
        return replace(self, networks=self.networks.copy())


class _Kept(NamedTuple):
    """What was trained in one space and one way: the networks of each group after some pauses."""

    turned: Principal
    fitted: dict[tuple[_Group, int], _Fitted]

    def predict(self, option: _Option, features: np.ndarray) -> dict[tuple[_Group, int], np.ndarray]:
        """Block by block: the coordinates of all rows together may be more than there is memory."""
        found: dict[tuple[_Group, int], list[np.ndarray]] = {key: [] for key in self.fitted}
        for start in range(0, len(features), BLOCK_ROWS):
            x = self.turned.transform(features[start : start + BLOCK_ROWS]) * self.turned.factors(option.power)
            for key, fitted in self.fitted.items():
                found[key].append(fitted(x))
        return {key: np.concatenate(blocks) for key, blocks in found.items()}


@dataclass(frozen=True)
class Mlp:
    """The mean of a few small networks for each nuisance; space, width, dropout and steps are chosen out of fold.

    Args:
        rows: known rows to fit to, at most, drawn by source.
        epochs: of the one cycle of the learning rate.
        steps: of it, at least: few rows are gone through more often.
        widths: of the two hidden layers, to choose from.
        networks: whose mean is the prediction.
    """

    rows: int = 50_000
    epochs: int = 8
    steps: int = 1_500
    widths: Sequence[int] = (48,)
    networks: int = 3
    name: ClassVar = "mlp"
    title: ClassVar = PROBES["mlp"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """A few nuisances at a time, each by networks of its own, on the same rows; of many, some share theirs."""
        many = len(task.targets) > TOGETHER
        share, widths = (SHARED, (SHARED_WIDTH,)) if many else (1, tuple(self.widths))
        groups = [_Group(tuple(task.targets[i : i + share])) for i in range(0, len(task.targets), share)]
        sample = draw_sample(task, self.rows, numpy_rng(task.seed, 3))
        for start in range(0, len(groups), TOGETHER):
            yield from self._read(task, sample, groups[start : start + TOGETHER], widths)

    def _read(self, task: Task, sample: Sample, groups: Sequence[_Group], widths: Sequence[int]) -> Iterator[Reading]:
        chosen = self._choose(task, sample, groups, widths)
        paths, kept = self._held_out(task, sample, chosen)
        pauses: dict[Target, int] = {}
        every = [(group, target) for group in groups for target in group.targets]
        for group, target in every:
            scores = [task.validation_r2(path[:, group.places(target)], target) for path in paths[group]]
            pauses[target] = int(np.argmax(scores))
        tested = self._test(task, sample, chosen, pauses, kept)
        for group, target in every:
            option, pause = chosen[group], pauses[target]
            choices = {
                "space": task_spaces(task)[-1][option.space].name,
                "power": option.power,
                "width": option.width,
                "dropout": option.dropout,
                "steps": option.steps * pause // PAUSES,
                "networks": self.networks,
            }
            read = paths[group][pause][:, group.places(target)]
            yield Reading(target, read, tested[target, False], tested[target, True], len(sample.rows), choices)

    def _choose(
        self, task: Task, sample: Sample, groups: Sequence[_Group], widths: Sequence[int]
    ) -> dict[_Group, _Option]:
        """By one network each on the first fold: spaces by a short training, the best of them by a longer one.

        There, width and dropout are compared, too.
        """
        fit, held = sample.fit(0, SEARCH_ROWS), task.folds.held(0)
        held = held[:: max(1, len(held) // CHOICE_ROWS)]
        scores: dict[_Group, dict[_Option, float]] = {group: {} for group in groups}

        def judge(wanted: Mapping[_Group, Sequence[_Option]]) -> None:
            every = sorted({option for options in wanted.values() for option in options})
            for space, options in itertools.groupby(every, lambda option: option.space):
                turned = principal(task_spaces(task)[0][space], task.x["known"], fit)
                plain, plain_held = (turned.transform(task.x["known"], rows) for rows in (fit, held))
                for option in options:
                    x, x_held = (of * turned.factors(option.power) for of in (plain, plain_held))
                    some = [group for group in groups if option in wanted[group]]
                    for _, group, fitted in _trained(task, x, option, some, fit, 1):
                        score = _score(task, group, fitted(x_held), held)
                        scores[group][option] = max(scores[group].get(option, -np.inf), score)

        def best(group: _Group) -> list[_Option]:
            return sorted(scores[group], key=scores[group].__getitem__, reverse=True)

        whole, short, longer = (
            max(PAUSES, round(part * max(self.steps, self.epochs * len(sample.rows) // BATCH_ROWS)))
            for part in (1, SHORT, LONGER)
        )
        names = [space.name for space in task_spaces(task)[0]]
        spaces = [(names.index(name), power) for name in POWERS if name in names for power in POWERS[name]]
        judge({group: [_Option(*space, widths[0], DROPOUT, short) for space in spaces] for group in groups})
        ways = list(itertools.product(widths, DROPOUTS))
        judge({g: [_Option(*o[:2], *way, longer) for o in best(g)[:FINALISTS] for way in ways] for g in groups})
        # Where more steps helped, all may; how many of them is seen when all folds are fitted.
        return {g: o._replace(steps=whole) if (o := best(g)[0]).steps == longer else o for g in groups}

    def _held_out(
        self, task: Task, sample: Sample, chosen: Mapping[_Group, _Option]
    ) -> tuple[dict[_Group, np.ndarray], dict[_Option, _Kept]]:
        """Out-of-fold predictions, ``(1 + PAUSES, C, K)``, of the first one the mean.

        And, where all that is fitted are these rows, the networks of each pause, and those of the control: they read
        test, too.
        """
        kept: dict[_Option, _Kept] = {}
        found = {group: np.empty((1 + PAUSES, len(task.choice), len(group.columns))) for group in chosen}
        once = sample.fitted_once(task.folds.count)
        for k, option in itertools.product(range(task.folds.count), sorted(set(chosen.values()))):
            fit, held = sample.fit(k), task.folds.held(k)
            turned = principal(task_spaces(task)[k][option.space], task.x["known"], fit)
            x, x_held = (turned.transform(task.x["known"], r) * turned.factors(option.power) for r in (fit, held))
            kept[option] = _Kept(turned, {})
            sides = (False, True) if once else (False,)
            for pause, group, fitted in _trained(task, x, option, _groups(chosen, option, sides), fit, self.networks):
                if not group.control:
                    found[group][pause, task.folds.places(k)] = fitted(x_held)
                if once:
                    kept[option].fitted[group, pause] = fitted.copy()
        return found, kept if once else {}

    def _test(
        self,
        task: Task,
        sample: Sample,
        chosen: Mapping[_Group, _Option],
        pauses: Mapping[Target, int],
        kept: dict[_Option, _Kept],
    ) -> dict[tuple[Target, bool], np.ndarray]:
        """Predictions of networks of all known rows, true or shuffled, trained for as long as was best out of fold."""
        found: dict[tuple[Target, bool], np.ndarray] = {}
        for option in sorted(set(chosen.values())):
            groups = _groups(chosen, option, (False, True))
            wanted = {group: {pauses[target] for target in group.targets} for group in groups}
            if option in kept:
                turned, every = kept[option]
                fitted = {key: of for key, of in every.items() if key[1] in wanted[key[0]]}
            else:
                turned = principal(task_spaces(task)[-1][option.space], task.x["known"], sample.rows)
                x = turned.transform(task.x["known"], sample.rows) * turned.factors(option.power)
                last = max(max(of) for of in wanted.values())
                training = _trained(task, x, option, groups, sample.rows, self.networks, last)
                fitted = {(g, pause): of.copy() for pause, g, of in training if pause in wanted[g]}
            for (group, pause), predicted in _Kept(turned, fitted).predict(option, task.x["test"]).items():
                some = [target for target in group.targets if pauses[target] == pause]
                found |= {(target, group.control): predicted[:, group.places(target)] for target in some}
        return found


def _groups(chosen: Mapping[_Group, _Option], option: _Option, controls: Sequence[bool]) -> list[_Group]:
    return [group._replace(control=c) for group in chosen if chosen[group] == option for c in controls]


def _score(task: Task, group: _Group, predicted: np.ndarray, rows: np.ndarray) -> float:
    """R² on some known rows, a mean over the nuisances of a group."""
    scores = [
        r2(predicted[:, group.places(target)], task.y["known"][rows][:, target.true], task.mean(target.true))
        for target in group.targets
    ]
    return float(np.mean(scores))


def _trained(
    task: Task,
    x: np.ndarray,
    option: _Option,
    groups: Sequence[_Group],
    rows: np.ndarray,
    members: int,
    last: int = PAUSES,
) -> Iterator[tuple[int, _Group, _Fitted]]:
    """Networks of each group side by side, at the start and at every pause up to the last asked for.

    Where the number of columns differs, there is more than one such training; a number is filled up with zeros, to go
    beside an angle or a yes and no.
    """
    outputs = {group: max(2, len(group.columns)) for group in groups}
    for width, alike in itertools.groupby(sorted(groups, key=outputs.__getitem__), outputs.__getitem__):
        some = list(alike)
        y = [task.y["known"][rows][:, group.columns] for group in some]
        means, scales = [of.mean(0) for of in y], [np.where(of.std(0) > 0, of.std(0), 1.0) for of in y]
        goal = torch.zeros(len(some) * members, len(rows), width)
        for i, (of, mean, scale) in enumerate(zip(y, means, scales, strict=True)):
            goal[i * members : (i + 1) * members, :, : len(mean)] = torch.from_numpy((of - mean) / scale)
        generators = [_generator(task.seed, group, option, member) for group in some for member in range(members)]
        start = Networks.draw(x.shape[1], width, option.width, generators)
        order = torch_rng(task.seed, 3, option.space)
        paused = train(start, (torch.from_numpy(x), goal), option.steps, option.dropout, order)
        for pause, now in itertools.islice(enumerate(itertools.chain([start], paused)), last + 1):
            for i, (group, mean, scale) in enumerate(zip(some, means, scales, strict=True)):
                yield pause, group, _Fitted(now.of(slice(i * members, (i + 1) * members)), mean, scale)


def _generator(seed: int, group: _Group, option: _Option, member: int) -> torch.Generator:
    """Of the first weights of one network, whatever else is read."""
    name = zlib.crc32("\n".join(target.nuisance.name for target in group.targets).encode())
    return torch_rng(seed, 3, name, option.space, round(10 * option.power), option.width, member, int(group.control))
