"""A yard in which programs are given hostile files: what is outside of it must stay as it was, and unread."""

from __future__ import annotations

import base64
import contextlib
import io
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from doing import CACHE, LONGEST
from PIL import Image

from invariantnets.errors import InvariantNetsError
from programs import start

__all__ = ["SECRET", "Yard", "yard"]

SECRET = "correct-horse-battery-staple"
MEMORY = 16 << 30  # of addresses; a program that loads torch takes some six of them
WORDS = ("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.run.dir=run")


class Yard:
    """A folder to work in, and beside it somebody's home with secrets.

    Attributes:
        work: where programs run; they may write into ``work/run`` and ``work/cache``.
        home: what nobody has named.
        canary: what hostile code would make.
    """

    def __init__(self, folder: Path):
        self.work, self.home, self.canary = folder / "work", folder / "home", folder / "canary"
        for made in (self.work, self.home / "pictures"):
            made.mkdir(parents=True)
        (self.home / "secret.txt").write_text(f"{SECRET}\n" * 40)
        (self.home / "secret.json").write_text(f'{{"{SECRET}": "{SECRET}"}}\n')
        rows = ["path,person,yaw,note"]
        rng = np.random.default_rng(0)
        for number in range(18):
            picture = f"{number}.png"
            Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(self.home / "pictures" / picture)
            rows.append(f"{picture},{SECRET}-{number % 3},{number},{SECRET}")
        (self.home / "secret.csv").write_text("\n".join(rows))

    def seen(self) -> dict[str, tuple[int, int]]:
        """Every file and folder but what programs may write: size and time."""
        root, own = self.work.parent, [self.work / "run", self.work / "cache"]
        paths = [p for p in root.rglob("*") if not any(p == one or one in p.parents for one in own)]
        return {
            str(p.relative_to(root)): (p.lstat().st_size, p.lstat().st_mtime_ns)
            for p in paths
            if not p.is_dir() or p.is_symlink() or p != self.work
        }

    def program(self, name: str, *words: str, ok: bool = False) -> str:
        """Run a program in ``work``, bounded in memory; the line with which it refuses, or what it printed."""
        before = self.seen()
        process = start(f"{name}.py", *WORDS, *words, cwd=self.work, **CACHE)
        resource.prlimit(process._process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired as hangs:
            process.send_signal(signal.SIGKILL)
            raise AssertionError(f"it has not ended in {LONGEST:.0f} s") from hangs
        self.assert_unchanged(before)
        assert "Traceback" not in out + err, f"a trace: {err[-900:]}"
        assert SECRET not in out + err, f"the secret is told: {err[-900:]}"
        if ok:
            assert process.returncode == 0, f"status {process.returncode}: {err[-900:]}"
            return out
        assert process.returncode == 2, f"status {process.returncode}: {err[-900:]}"
        return one_line(err)

    def refusal(self, load: Callable[[], object]) -> str:
        """The line with which a function of ours refuses, as a program would say it."""
        before = self.seen()
        with contextlib.redirect_stderr(io.StringIO()), contextlib.chdir(self.work):
            try:
                load()
            except InvariantNetsError as error:
                assert SECRET not in str(error), f"the secret is told: {error}"
                self.assert_unchanged(before)
                return one_line(f"error: {' '.join(str(error).split())}")
        raise AssertionError("it was taken")

    def assert_unchanged(self, before: dict[str, tuple[int, int]]) -> None:
        """What is outside of ``work/run`` and ``work/cache`` is as it was."""
        after = self.seen()
        assert after == before, f"changed outside: {sorted(set(after.items()) ^ set(before.items()))[:4]}"


def one_line(text: str) -> str:
    """The one line of ours in what a program said."""
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "(unexpected; " not in lines[0], f"not one line of ours: {text[-900:]}"
    assert lines[0].isprintable(), f"a line that a terminal obeys: {lines[0]!r}"
    return lines[0]


@contextlib.contextmanager
def yard(folder: Path) -> Iterator[Yard]:
    """A yard for as long as the block runs; then nothing outside has changed, and nothing inside tells a secret."""
    place = Yard(folder)
    yield place
    assert not place.canary.exists(), "code of the file was run"
    assert not list(folder.glob("*canary*")), "code of the file was run"
    told = base64.b64encode((place.home / "secret.txt").read_bytes())[:60]
    for path in (place.work / "run").rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 30:
            content = path.read_bytes()
            assert SECRET.encode() not in content and told not in content, f"{path.name} tells the secret"
