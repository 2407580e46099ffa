"""Faults of the cache of pictures: damaged, cut, of something else, in the way, half made."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from doing import assert_same, assert_sound, begin, end_of, finish
from kills import FACE
from moments import wait_for
from trial import Trial
from whole import Work

CACHED = Work("cached", "train.py", (*FACE, "data.cache=true", "trainer.max_epochs=1", "evaluate=false"))
OTHER = Work("other_pictures", "train.py", (*CACHED.words, "data.sample_seed=1"))
Damage = Callable[[Path, random.Random], object]


def damaged(name: str, damage: Damage) -> Trial:
    """A file of the cache is spoilt: the pictures are made anew, or refused in one line, but never used."""

    def trial(folder: Path, rng: random.Random) -> None:
        kept = CACHED.done(folder.parent).parent / "cache"
        shutil.copytree(kept, folder / "cache")
        for path in sorted((folder / "cache").glob("*.u8")):
            damage(path, rng)
        end = finish(CACHED, folder)
        assert_sound(end, folder / "run", "cache")
        if end.status == 0:
            assert_same(CACHED, folder)

    return Trial(name, "cache", trial)


def flipped(path: Path, rng: random.Random) -> None:
    """Three bytes, anywhere."""
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[rng.randrange(len(content) - 32)] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def flipped_sum(path: Path, rng: random.Random) -> None:
    """A byte of what the file ends with."""
    content = bytearray(path.read_bytes())
    content[-rng.randrange(1, 33)] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    """Anywhere."""
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def zeroed(path: Path, rng: random.Random) -> None:
    """From anywhere on, as a crash of the machine leaves files."""
    content = path.read_bytes()
    start = rng.randrange(len(content))
    path.write_bytes(content[:start] + bytes(len(content) - start))


def a_folder(path: Path, rng: random.Random) -> None:
    """In its place."""
    path.unlink()
    path.mkdir()


def another(folder: Path, rng: random.Random) -> None:
    """The file of other pictures has this one's name."""
    own, other = (work.done(folder.parent).parent / "cache" for work in (CACHED, OTHER))
    shutil.copytree(own, folder / "cache")
    mine, theirs = ([p for p in sorted(place.glob("*.u8"))] for place in (folder / "cache", other))
    new = [p for p in theirs if p.name not in {path.name for path in mine}]
    taken = [(path, p) for path in mine for p in new if p.stat().st_size == path.stat().st_size]
    assert taken, "no file of this size"
    for path, p in taken:
        shutil.copy(p, path)
    end = finish(CACHED, folder)
    assert_sound(end, folder / "run", "cache")
    if end.status == 0:
        assert_same(CACHED, folder)


def in_the_way(folder: Path, rng: random.Random) -> None:
    """A file lies where the folder of the cache should be."""
    (folder / "cache").write_text("x")
    assert_sound(finish(CACHED, folder), folder / "run", "cache", refused=True)


def killed(folder: Path, rng: random.Random) -> None:
    """A run is killed while it writes the cache: the next one makes it, and tidies up."""
    process = begin(CACHED, folder)
    came = wait_for(lambda run, over: any((folder / "cache").glob(".*.part")), process, folder / "run")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert came, "it was not seen to write"
    end = finish(CACHED, folder)
    assert end.status == 0, f"{end}"
    assert_same(CACHED, folder)
    left = [path.name for path in (folder / "cache").iterdir() if not path.name.endswith((".u8", ".lock"))]
    assert not left, f"left in the cache: {left}"


def two_writers(folder: Path, rng: random.Random) -> None:
    """Two runs make the same pictures at once."""
    processes = [begin(CACHED, folder, f"hydra.run.dir={name}") for name in ("run", "other")]
    for name, process in zip(("run", "other"), processes, strict=True):
        end = end_of(process)
        assert end.status == 0, f"{name}: {end}"
        assert_same(CACHED, folder, folder / name)


def trials() -> list[Trial]:
    """All of them."""
    return [
        damaged("bytes are flipped", flipped),
        damaged("its checksum is damaged", flipped_sum),
        damaged("it is cut", cut),
        damaged("it is zero from somewhere on", zeroed),
        damaged("it is a folder", a_folder),
        Trial("it is of other pictures", "cache", another),
        Trial("its folder is a file", "cache", in_the_way),
        Trial("its writer was killed", "cache", killed),
        Trial("it has two writers", "cache", two_writers),
    ]
