"""All honest readers together, weighted by what each adds on rows held out; and which reader is the strongest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import nnls

from invariantnets.probes.probe import Probe, Reading
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.results.words import PROBES

__all__ = ["Found", "Stack", "honest", "with_stack"]

# In how many parts the rows held out are divided, so that weights are judged on sources that they were not fitted to.
PARTS = 5
Found = tuple[Probe, Reading]


@dataclass(frozen=True)
class Stack:
    """Stacked regression (Breiman 1996): the sum of all honest readers, their weights the best that are not negative.

    It is made of readings, not of features, so that the suite adds it by itself.
    """

    name: ClassVar = "stack"
    title: ClassVar = PROBES["stack"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """Nothing by itself."""
        return ()


def honest(task: Task, found: Iterable[Found]) -> list[Found]:
    """The readings that were not told the answer and did not fail, the best out of fold first."""
    scored = [(task.validation_r2(r.held_out, r.target), p, r) for p, r in found if not p.told]
    return [(p, r) for score, p, r in sorted(scored, key=lambda each: -each[0]) if score > 0]


def with_stack(task: Task, target: Target, found: Sequence[Found]) -> list[Found]:
    """The readings of one nuisance, and last their stack, if any of them is honest and did not fail."""
    members = honest(task, found)
    if not members:
        return list(found)
    mean, truth = task.mean(target.true), task.y["known"][task.choice][:, target.true]
    held_out = np.stack([reading.held_out - mean for _, reading in members], -1)
    predicted = np.empty_like(truth)
    part = _parts(task)
    for p in np.unique(part):
        weights = _weights(held_out[part != p], (truth - mean)[part != p])
        predicted[part == p] = mean + held_out[part == p] @ weights
    weights = _weights(held_out, truth - mean)
    test, control = (
        mean_of + sum(w * (getattr(reading, name) - mean_of) for w, (_, reading) in zip(weights, members, strict=True))
        for name, mean_of in (("test", mean), ("control", task.mean(target.control)))
    )
    used = {probe.name: round(float(w), 3) for w, (probe, _) in zip(weights, members, strict=True) if w > 0}
    rows = max((reading.n_fit for probe, reading in members if probe.name in used), default=members[0][1].n_fit)
    return [*found, (Stack(), Reading(target, predicted, np.asarray(test), np.asarray(control), rows, used))]


def _parts(task: Task) -> np.ndarray:
    """``(C,)`` a part for each row of `Task.choice`, by source."""
    sources, index = np.unique(task.source[task.choice], return_inverse=True)
    place: np.ndarray = numpy_rng(task.seed, 8).permutation(len(sources))[index] % PARTS
    return place


def _weights(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``(J,)`` least squares, none negative, of ``(C, K, J)`` predictions and ``(C, K)`` truths about their means."""
    scale = np.sqrt((truth**2).mean()) or 1.0  # the solver's tolerances are absolute
    found: np.ndarray = nnls(predicted.reshape(-1, predicted.shape[-1]) / scale, truth.ravel() / scale)[0]
    return found
