"""What is run, what it comes to if nothing disturbs it, and whether a run that was disturbed came to the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from programs import run

__all__ = ["Work", "differences", "leftovers", "readable"]

KEPT = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
# What a run that was continued has more of: its logs, and locks, which are files.
MORE = ("csv", ".hydra")


@dataclass(frozen=True)
class Work:
    """A command that ends in a folder.

    Attributes:
        name: of the folder in which what it comes to is kept.
        program: ``train.py`` or ``evaluate.py``.
        words: the command line, without the folder.
        given: makes what it reads, once a session, in the session's folder; ``{given}`` in the words is its path.
    """

    name: str
    program: str
    words: tuple[str, ...]
    given: Callable[[Path], Path] | None = None

    @property
    def many(self) -> bool:
        """Whether it is a sweep."""
        return "-m" in self.words

    def line(self, session: Path) -> list[str]:
        """The whole command line: it writes to ``run`` in the folder in which it is started."""
        given = str(self.given(session)) if self.given else ""
        words = [word.replace("{given}", given) for word in self.words]
        return [self.program, *words, f"hydra.{'sweep' if self.many else 'run'}.dir=run"]

    def done(self, session: Path) -> Path:
        """The folder of an undisturbed run, made once a session."""
        folder = session / "whole" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / "seconds").is_file():
                line, start = self.line(session), time.monotonic()
                run(*line, cwd=folder, INVARIANTNETS_CACHE="cache")
                (folder / "seconds").write_text(str(time.monotonic() - start))
        return folder / "run"

    def seconds(self, session: Path) -> float:
        """How long an undisturbed run takes here."""
        return float((self.done(session).parent / "seconds").read_text())


def checkpoints(folder: Path) -> dict[str, Path]:
    """All of them below, by their paths."""
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.ckpt"))}


def differences(whole: Path, other: Path) -> Iterator[str]:
    """In what a run came to something else than the undisturbed one; nothing if in nothing that counts."""
    expected, found = files(whole), files(other)
    yield from (f"{name} is missing" for name in sorted(expected - found))
    yield from (f"{name} is left over" for name in sorted(found - expected))
    for name, path in checkpoints(whole).items():
        if (other / name).is_file():
            one, two = (torch.load(p, weights_only=True) for p in (path, other / name))
            yield from (f"{name}: {what}" for key in KEPT for what in unlike(one[key], two[key], key))
    for path in sorted(whole.rglob("results.jsonl")):
        name = path.relative_to(whole)
        if (other / name).is_file():
            one, two = (sorted((folder / name).read_text(encoding="utf-8").splitlines()) for folder in (whole, other))
            if one != two:
                yield f"{name}: {len(set(one) ^ set(two))} lines of {len(one)} and {len(two)} differ"


def files(folder: Path) -> set[str]:
    """Of a run, but for logs and locks."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(p) for p in found if not set(MORE) & set(p.parts) and not p.name.endswith((".lock", ".log"))}


def leftovers(folder: Path) -> list[str]:
    """Temporary files of killed runs."""
    return sorted(name for name in files(folder) if Path(name).name.startswith(".") or name.endswith(".part"))


def unlike(one: Any, two: Any, where: str) -> Iterator[str]:
    """Where two nested values differ, in a bit."""
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        for key in one:
            yield from unlike(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        for i, (a, b) in enumerate(zip(one, two, strict=True)):
            yield from unlike(a, b, f"{where}.{i}")
    elif isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
        if not (one.dtype == two.dtype and torch.equal(one, two)):
            yield f"{where} differs"
    elif one != two and not (one != one and two != two):
        yield f"{where} is {str(two)[:60]} where {str(one)[:60]} was expected"


def readable(folder: Path) -> Iterator[str]:
    """What of a run that was disturbed cannot be read; nothing if all that is there is whole."""
    from invariantnets.checkpoint import load_checkpoint
    from invariantnets.results import read_jsonl

    for path in [*checkpoints(folder).values(), *sorted(folder.rglob("results.jsonl"))]:
        try:
            load_checkpoint(path) if path.suffix == ".ckpt" else read_jsonl(path)
        except Exception as error:
            yield f"{path.relative_to(folder)}: {error}"
    for path in sorted(folder.rglob("report.html")):
        if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            yield f"{path.relative_to(folder)}: no end"
