"""When something is done to a run: as soon as its folder shows a sign, or at a random moment."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection
from pathlib import Path

from programs import Forked

__all__ = ["Moment", "Sign", "after", "appears", "best_alone", "count", "replaced", "temporary", "wait_for"]

Sign = Callable[[Path], bool]  # whether the folder of a run shows it
Moment = Callable[[random.Random, float], Sign]  # drawn for a run that takes so many seconds

POLL = 0.001  # seconds; a file that is written and renamed is there for some


def wait_for(sign: Sign, process: Forked, run: Path) -> bool:
    """Wait until a run shows the sign; False if it ended before."""
    while not sign(run):
        if process.poll() is not None:
            return False
        time.sleep(POLL)
    return True


def names(folder: Path) -> Collection[str]:
    """What is in a folder, if it is there."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return ()


def after(low: float, high: float) -> Moment:
    """A random moment between two fractions of the whole run."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        end = time.monotonic() + seconds * rng.uniform(low, high)
        return lambda run: time.monotonic() >= end

    return draw


def appears(path: str, without: str | None = None, most: float = 0.0) -> Moment:
    """A file appears, while another is not there yet; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        wait = rng.uniform(0, most)
        return later(lambda run: (run / path).exists() and not (without and (run / without).exists()), wait)

    return draw


def later(sign: Sign, wait: float) -> Sign:
    """So many seconds after the first sign."""
    first: list[float] = []

    def shown(run: Path) -> bool:
        if not first and sign(run):
            first.append(time.monotonic())
        return bool(first) and time.monotonic() >= first[0] + wait

    return shown


def temporary(folder: str = "checkpoints", count: int = 1, most: float = 0.0) -> Moment:
    """The file that is to take another's place appears, the ``count``-th time; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        seen: set[str] = set()

        def written(run: Path) -> bool:
            seen.update(name for name in names(run / folder) if name.endswith(".part"))
            return len(seen) >= count

        return later(written, rng.uniform(0, most))

    return draw


def count(folder: str, files: int, most: float = 0.0) -> Moment:
    """A folder holds so many files; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        return later(lambda run: len(names(run / folder)) >= files, rng.uniform(0, most))

    return draw


def replaced(path: str, count: int, most: float = 0.0) -> Moment:
    """A file has been written ``count`` times; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        seen: set[int] = set()

        def written(run: Path) -> bool:
            if (run / path).exists():
                seen.add((run / path).stat().st_mtime_ns)
            return len(seen) >= count

        return later(written, rng.uniform(0, most))

    return draw


def best_alone(rng: random.Random, seconds: float) -> Sign:
    """The best checkpoint has just been replaced, and the last one not yet."""

    def shown(run: Path) -> bool:
        best, last = (run / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
        return best.exists() and last.exists() and best.stat().st_mtime_ns > last.stat().st_mtime_ns

    return shown
