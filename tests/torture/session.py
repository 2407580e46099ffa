"""All trials, and what came of them: run one, count them, write the table."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import faults
import hostile
import kills
from trial import Impossible, Trial, draw


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        kind, name: the trial's.
        seconds: how long it took.
        broken: what was seen where the promise did not hold; None if it held.
        impossible: why it could not be tried here; None if it was.
    """

    kind: str
    name: str
    seconds: float
    broken: str | None = None
    impossible: str | None = None


def all_trials() -> list[Trial]:
    """Those of every file, in a fixed order."""
    return [trial for module in (kills, hostile, faults) for trial in module.trials()]


def attempt(trial: Trial, session: Path, seed: int) -> Outcome:
    """Run a trial in a folder of the session, which is kept if the promise did not hold."""
    folder = session / slug(trial.kind, trial.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start, broken, impossible = time.monotonic(), None, None
    try:
        trial.run(folder, draw(trial, seed))
    except Impossible as why:
        impossible = str(why)
    except Exception as seen:  # whatever it is, the others are tried as well
        broken = (
            f"{'' if isinstance(seen, AssertionError) else f'{type(seen).__name__}: '}{seen}".strip() or "it failed"
        )
    if broken is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        (folder / "seen.txt").write_text(broken, encoding="utf-8")
    return Outcome(trial.kind, trial.name, time.monotonic() - start, broken, impossible)


def number(index: int, session: Path, seed: int) -> Outcome:
    """In a process of its own: attempt one of all trials."""
    return attempt(all_trials()[index], session, seed)


def together(chosen: Iterable[int], session: Path, seed: int, jobs: int) -> Iterator[Outcome]:
    """Attempt trials, several at a time; their outcomes as they come."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(number, index, session, seed) for index in chosen]):
            yield done.result()


def slug(kind: str, name: str) -> str:
    """The name of a trial's folder."""
    return "".join(c if c.isalnum() else "_" for c in f"{kind}-{name}")


def table(outcomes: Iterable[Outcome]) -> str:
    """How many of each kind were tried and held, as markdown."""
    rows: dict[str, list[int]] = {}
    for outcome in outcomes:
        row = rows.setdefault(outcome.kind, [0, 0, 0])
        row[0] += outcome.impossible is None
        row[1] += outcome.impossible is None and outcome.broken is None
        row[2] += outcome.impossible is not None
    total = [sum(column) for column in zip(*rows.values(), strict=True)]
    left_out = any(row[2] for row in rows.values())  # a column that says nothing is none
    lines = ["| kind | tried | held |" + " not possible here |" * left_out, "|---|---:|---:|" + "---:|" * left_out]
    for kind, row in [*rows.items(), ("**all**", total)]:
        lines.append(f"| {kind} | " + " | ".join(map(str, row if left_out else row[:2])) + " |")
    return "\n".join(lines) + "\n"
