"""How far a probe has come, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["watched"]

SOON = 2.0  # seconds that need no word
T = TypeVar("T")


def watched(
    readings: Iterable[T],
    title: str,
    every: int,
    step: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[T]:
    """Pass readings on as they come, and say how many there are.

    Args:
        readings: of a probe, one for each nuisance.
        title: of the probe.
        every: how many will come.
        step: is told.
        clock: in seconds.
    """
    began = clock()
    for done, reading in enumerate(readings, 1):
        yield reading
        spent = clock() - began
        if spent > SOON and done < every:
            step(f"{title}, {done} of {every} nuisances, {_about(spent / done * (every - done))} left")


def _about(seconds: float) -> str:
    return f"about {round(seconds / 60)} min" if seconds > 90 else f"about {max(1, round(seconds))} s"
