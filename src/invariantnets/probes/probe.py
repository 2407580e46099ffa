"""What a probe is: a layer made ready to read in, readings out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task

__all__ = ["ClassReading", "Probe", "Reading"]


@dataclass(frozen=True)
class Reading:
    """What one probe reads of one nuisance.

    Attributes:
        target: the nuisance.
        held_out: ``(C, K)`` predictions of the encoded nuisance on the rows of `Task.choice`, each by a probe that was
            fitted to none of the rows that the same fold holds out.
        test: ``(N, K)`` predictions on the test rows, by a probe fitted to all known rows.
        control: ``(N, K)`` predictions of the same probe, fitted on the shuffled nuisance.
        n_fit: rows it was fitted on.
        chosen: what was chosen out of fold, e.g. ``{"k": 8}``; it goes into every result.
        note: anything else that a reader must know.
    """

    target: Target
    held_out: np.ndarray
    test: np.ndarray
    control: np.ndarray
    n_fit: int
    chosen: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class ClassReading:
    """The classes that a probe names.

    Attributes:
        test: ``(N,)`` of the test rows.
        n_fit: rows it was fitted on, None if unknown.
        probe: its name, where it is another than the probe's own.
        told: whether this reading was given part of the answer, where the probe as such is not.
        validation: accuracy on the rows held out, where something was chosen by it.
        chosen: what was chosen out of fold.
        note: anything else that a reader must know.
    """

    test: np.ndarray
    n_fit: int | None
    probe: str = ""
    told: bool = False
    validation: float | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


class Probe(Protocol):
    """Reads the class, or nuisances, from features. A class with these four members is one; nothing is inherited.

    Attributes:
        name: in `Result.probe`.
        title: what reports call it.
        reads: kinds of target: ``label``, and those of `Nuisance.kind`. It is asked for no others.
        told: whether it is given part of the answer at test time, so that it is no honest reader.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def title(self) -> str: ...  # noqa: D102

    @property
    def reads(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def told(self) -> bool: ...  # noqa: D102

    def __call__(self, task: Task) -> Iterable[Reading | ClassReading]:
        """Choose out of fold, fit to all known rows, predict on test: all targets in one pass over the features.

        Args:
            task: `Task.targets` are the nuisances to read, `Task.label` says whether the class is to be.
        """
        ...
