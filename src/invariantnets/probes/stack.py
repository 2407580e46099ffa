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

__all__ = ["Found", "Stack", "honest", "stack_of", "with_stack"]

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
    """The readings of one nuisance, and last the stack of those that were not told the answer.

    One that failed by itself may still say something: a weight below one is all that it lacks.
    """
    members = [(probe, reading) for probe, reading in found if not probe.told]
    return [*found, (Stack(), stack_of(task, target, members))] if members else list(found)


def stack_of(task: Task, target: Target, members: Sequence[Found]) -> Reading:
    """What some readers read of one nuisance together; on rows held out, by weights that were fitted to others."""
    mean, truth = task.mean(target.true), task.y["known"][task.choice][:, target.true]
    held_out = np.stack([reading.held_out - mean for _, reading in members], -1)
    predicted, part = np.empty_like(truth), _parts(task)
    for p in np.unique(part):
        weights = _weights(held_out[part != p], (truth - mean)[part != p])
        predicted[part == p] = mean + held_out[part == p] @ weights
    weights = _weights(held_out, truth - mean)
    used = {probe.name: round(float(w), 3) for w, (probe, _) in zip(weights, members, strict=True) if w > 0}
    rows = max(reading.n_fit for probe, reading in members if probe.name in used or not used)

    def together(parts: Sequence[np.ndarray], origin: np.ndarray) -> np.ndarray:
        found = np.broadcast_to(origin, parts[0].shape).copy()
        for weight, part in zip(weights, parts, strict=True):
            if weight > 0:
                found += weight * (part - origin)
        return found

    test = together([reading.test for _, reading in members], mean)
    control = together([reading.control for _, reading in members], task.mean(target.control))
    return Reading(target, predicted, test, control, rows, used)


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
