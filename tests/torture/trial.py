"""A trial: something bad is done to a program, and what was promised of that must hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Impossible", "Trial", "draw"]


class Impossible(Exception):
    """This machine cannot do what the trial needs (no root, no tmpfs); its text says what."""


@dataclass(frozen=True)
class Trial:
    """One of them.

    Attributes:
        name: unique within its kind; a file name.
        kind: the row of the table that it is counted in.
        run: does it, in an empty folder of its own, with randomness of its own. It raises AssertionError, with what was
            seen, where the promise does not hold, and Impossible where this machine cannot try. What trials of a
            session share lies beside the folder (``folder.parent``).
    """

    name: str
    kind: str
    run: Callable[[Path, random.Random], None]


def draw(trial: Trial, seed: int) -> random.Random:
    """The randomness of a trial: a function of the seed and its name, whichever trials are run beside it."""
    return random.Random(f"{seed}/{trial.kind}/{trial.name}")
