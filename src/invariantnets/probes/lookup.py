"""What a table of codes tells: of features of few different rows no reader is better, given rows enough."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar

import numpy as np

from invariantnets.probes.class_mean import group_means
from invariantnets.probes.probe import Reading
from invariantnets.probes.task import Task
from invariantnets.results.words import PROBES

__all__ = ["Lookup", "codes_of"]

# Rows that are looked at first: of features that are not codes, no two of them are alike.
FIRST = 4_000


@dataclass(frozen=True)
class Lookup:
    """The mean of the nuisance over the known rows of each code, pulled towards that of all as held out rows ask.

    A code is a row of features, be it of one number or of hundreds: those that equal one another have one code. What
    was released as few codes is read by nothing better than this as rows grow: the mean of the nuisance given the code
    is the least squares reader of all. A code that no known row has is read as the mean of all.

    Args:
        least: known rows for each code, on average. Where codes are more (features that were not quantised), nothing
            is read, and nothing is said.
    """

    least: float = 2.0
    name: ClassVar = "lookup"
    title: ClassVar = PROBES["lookup"]
    reads: ClassVar = frozenset({"continuous", "circular", "categorical", "binary"})
    told: ClassVar = False

    def __call__(self, task: Task) -> Iterable[Reading]:
        """All nuisances and controls at once."""
        known, test = task.x["known"], task.x["test"]
        codes = codes_of([known, test], int(len(known) / self.least))
        if codes is not None:
            count = int(max(map(np.max, codes))) + 1
            yield from group_means(task, codes[0], count, codes[0][task.choice], codes[1])


def codes_of(parts: list[np.ndarray], most: int) -> list[np.ndarray] | None:
    """Numbers of the different rows, from 0, in the order in which they come.

    Args:
        parts: each ``(N, D)``, the first of one row at least.
        most: codes of the first.

    Returns:
        ``(N,)`` of each part; None where the first has more.
    """
    first = parts[0][:: -(-len(parts[0]) // FIRST)]
    if most < 1 or (len(first) > 1 and len({_key(row) for row in first}) == len(first)):
        return None
    known: dict[bytes, int] = {}
    found: list[np.ndarray] = []
    for part in parts:
        code = np.empty(len(part), np.int64)
        for i, row in enumerate(part):
            code[i] = known.setdefault(_key(row), len(known))
            if not found and len(known) > most:
                return None
        found.append(code)
    return found


def _key(row: np.ndarray) -> bytes:
    """What rows share that equal one another, -0 and 0 included, and no others; as long for rows of any width."""
    return blake2b((row + 0.0).tobytes(), digest_size=16).digest()
