"""What is done to programs, and what they promise then: to complete, or to stop with one line, and nothing lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moments import Sign, wait_for
from trial import Impossible
from whole import Work, differences, readable

from programs import ROOT, Forked, environment, start

__all__ = ["End", "assert_same", "assert_sound", "begin", "end_of", "fill", "finish", "free", "real", "small_disk"]

CACHE = {"INVARIANTNETS_CACHE": "cache"}
LONGEST = 240.0  # seconds; a program that is longer at it hangs


@dataclass(frozen=True)
class End:
    """How a program ended: its exit status, and what it said."""

    status: int
    out: str
    err: str

    def __str__(self) -> str:
        traced = self.out[self.out.find("Traceback") :][:3000] if "Traceback" in self.out else ""
        return f"status {self.status}: {self.err[-3000:]}{traced}"


def begin(work: Work, folder: Path, *words: str, **env: str) -> Forked:
    """Start a work in a folder, with more words."""
    return start(*work.line(folder.parent), *words, cwd=folder, **{**CACHE, **env})


def real(work: Work, folder: Path, *words: str, before: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
    """The same as a process of its own from the first instruction on, by way of another command such as ``unshare``."""
    program, *line = work.line(folder.parent)
    command = [*before, sys.executable, str(ROOT / program), *line, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(**{**CACHE, **env}), **pipes)


def end_of(process: Forked | subprocess.Popen[str]) -> End:
    """Wait for it; what hangs is ended."""
    try:
        out, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired as hangs:
        process.send_signal(signal.SIGKILL)
        raise AssertionError(f"it has not ended in {LONGEST:.0f} s") from hangs
    assert process.returncode is not None
    return End(process.returncode, out, err)


def finish(work: Work, folder: Path, *words: str, **env: str) -> End:
    """Run a work in a folder to its end."""
    return end_of(begin(work, folder, *words, **env))


def disturbed(work: Work, folder: Path, sign: Sign, disturb: Callable[[], object]) -> End:
    """A run to which something is done in the middle."""
    process = begin(work, folder)
    came = wait_for(sign, process, folder / "run")
    if came:
        disturb()
    end = end_of(process)
    assert came, f"its moment did not come; {end}"
    return end


def assert_sound(end: End, run: Path | None, *named: str, refused: bool = False) -> None:
    """It completed, or stopped with one line that holds these words, and whatever is in the folder can be read."""
    assert "Traceback" not in end.err + end.out, f"a trace: {end}"
    if end.status or refused:
        lines = [line for line in end.err.splitlines() if line.startswith("error: ")]
        assert end.status == 2, f"it ended with {end}"
        assert len(lines) == 1 and "(unexpected; " not in lines[0], f"not one line of ours: {end}"
        missing = [word for word in named if word not in lines[0]]
        assert not missing, f"the line does not say {' nor '.join(missing)}: {lines[0]}"
    damaged = list(readable(run)) if run is not None else []
    assert not damaged, f"{'; '.join(damaged)}; {end}"


def assert_same(work: Work, folder: Path, run: Path | None = None) -> None:
    """What lies in a folder is what the work comes to when nothing disturbs it."""
    found = list(differences(work.done(folder.parent), run or folder / "run"))
    assert not found, "; ".join(found[:8])


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own, of the size that mount's options say, while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Impossible(f"mount: {error}") from error
    if done.returncode:
        raise Impossible(f"no small disk can be mounted ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Use all that is left of a small disk."""
    with (folder / "filler").open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def free(folder: Path) -> None:
    """Give it back."""
    (folder / "filler").unlink(missing_ok=True)
