"""When something is done to a run: as soon as its folder shows a sign, or at a random moment."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection
from pathlib import Path

from programs import Forked

__all__ = ["Moment", "Sign", "after", "appears", "best_alone", "count", "replaced", "temporary", "wait_for"]

Sign = Callable[[Path, bool], bool]  # whether the folder of a run shows it, which may be over by now
Moment = Callable[[random.Random, float], Sign]  # drawn for a run that takes so many seconds

POLL = 0.001  # seconds; a file that is written and renamed is there for some


def wait_for(sign: Sign, process: Forked, run: Path) -> bool:
    """Wait until a run shows the sign; False if it ended without."""
    while not sign(run, False):
        if process.poll() is not None:
            return sign(run, True)
        time.sleep(POLL)
    return True


def names(folder: Path) -> Collection[str]:
    """What is in a folder, if it is there."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return ()


def after(low: float, high: float) -> Moment:
    """A random moment between two fractions of the whole run; its end, where this run is so much faster."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        end = time.monotonic() + seconds * rng.uniform(low, high)
        return lambda run, over: over or time.monotonic() >= end

    return draw


def appears(path: str, without: str | None = None, most: float = 0.0) -> Moment:
    """A file appears, while another is not there yet; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        wait = rng.uniform(0, most)
        return later(lambda run, over: (run / path).exists() and not (without and (run / without).exists()), wait)

    return draw


def later(sign: Sign, wait: float) -> Sign:
    """So many seconds after the first sign."""
    first: list[float] = []

    def shown(run: Path, over: bool) -> bool:
        if not first and sign(run, over):
            first.append(time.monotonic())
        return bool(first) and (over or time.monotonic() >= first[0] + wait)

    return shown


def temporary(folder: str = "checkpoints", count: int = 1, most: float = 0.0) -> Moment:
    """The file that is to take another's place appears, the ``count``-th time; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        seen: set[str] = set()

        def written(run: Path, over: bool) -> bool:
            seen.update(name for name in names(run / folder) if name.endswith(".part"))
            return len(seen) >= count

        return later(written, rng.uniform(0, most))

    return draw


def count(folder: str, files: int, most: float = 0.0) -> Moment:
    """A folder holds so many files; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        return later(lambda run, over: len(names(run / folder)) >= files, rng.uniform(0, most))

    return draw


def replaced(path: str, count: int, most: float = 0.0) -> Moment:
    """A file has been written ``count`` times; and up to ``most`` seconds more."""

    def draw(rng: random.Random, seconds: float) -> Sign:
        seen: set[int] = set()

        def written(run: Path, over: bool) -> bool:
            if (run / path).exists():
                seen.add((run / path).stat().st_mtime_ns)
            return len(seen) >= count

        return later(written, rng.uniform(0, most))

    return draw


def best_alone(rng: random.Random, seconds: float) -> Sign:
    """The best checkpoint has just been replaced, and the last one not yet."""

    def shown(run: Path, over: bool) -> bool:
        best, last = (run / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
        return best.exists() and last.exists() and best.stat().st_mtime_ns > last.stat().st_mtime_ns

    return shown
