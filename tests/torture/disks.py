"""Faults of the disk: full, read-only, gone, in the middle of whatever a run writes."""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from doing import (
    CACHE,
    assert_same,
    assert_sound,
    disturbed,
    end_of,
    fill,
    finish,
    free,
    real,
    small_disk,
)
from kills import DEEPFACE, LENET, MEASURING
from moments import Moment, after, appears, replaced
from trial import Trial
from whole import Work

from programs import ROOT, environment

LAST = "checkpoints/last.ckpt"


def fills_up(name: str, moment: Moment, work: Work = LENET) -> Trial:
    """The disk of the run is filled at a moment; when it has been freed the run goes on, and nothing is lost."""

    def trial(folder: Path, rng: random.Random) -> None:
        seconds = work.seconds(folder.parent)
        with small_disk(folder / "run", "size=40m") as disk:
            end = disturbed(work, folder, moment(rng, seconds), lambda: fill(disk))
            assert_sound(end, disk, "No space left", "run")
            free(disk)
            end = finish(work, folder, *["ckpt_path=last"] * (work.program == "train.py"))
            assert end.status == 0, f"once there is space again: {end}"
            assert_same(work, folder)

    return Trial(name, "disk", trial)


def too_small(folder: Path, rng: random.Random) -> None:
    """For two checkpoints and a third that takes the place of one of them: both are as they were."""
    with small_disk(folder / "run", "size=9m") as disk:
        end = finish(LENET, folder)
        assert_sound(end, disk, "No space left", "run/checkpoints")
        assert end.status == 2 and {p.name for p in disk.glob("checkpoints/*")} == {"best.ckpt", "last.ckpt"}
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        end = finish(LENET, folder, "ckpt_path=last")
        assert end.status == 0, f"once there is space: {end}"
        assert_same(LENET, folder)


def small_cache(folder: Path, rng: random.Random) -> None:
    """Less than the pictures need."""
    with small_disk(folder / "cache", "size=600k") as disk:
        end = finish(DEEPFACE, folder)
        assert_sound(end, folder / "run", "cache", "No space left", refused=True)
        left = [path.name for path in disk.rglob("*") if path.is_file() and path.suffix != ".lock"]
        assert all(path.endswith(".u8") for path in left), f"left in the cache: {left}"


def no_room_for_features(folder: Path, rng: random.Random) -> None:
    """The table of features is larger than the disk."""
    with small_disk(folder / "run", "size=8m") as disk:
        end = finish(LENET, folder, "save_features=true")
        assert_sound(end, disk, "No space left", "features", refused=True)
        assert (disk / LAST).is_file(), "and the network is gone"


def no_room_for(name: str, place: str) -> Trial:
    """A part of the run's folder is a disk that was full before."""

    def trial(folder: Path, rng: random.Random) -> None:
        with small_disk(folder / "run" / place, "size=8k") as disk:
            fill(disk)
            assert_sound(finish(LENET, folder), folder / "run", "No space left")

    return Trial(name, "disk", trial)


def temporary_folder(folder: Path, rng: random.Random, full: bool) -> None:
    """TMPDIR is full, or is not: no part of the run's folder depends on it."""
    with small_disk(folder / "tmp", "size=8k") as disk:
        fill(disk)
        end = end_of(real(LENET, folder, TMPDIR=str(disk if full else folder / "nowhere")))
    assert end.status == 0, f"{end}"
    assert_same(LENET, folder)


def read_only(folder: Path, rng: random.Random) -> None:
    """Nothing can be written."""
    with small_disk(folder / "run", "size=8k,ro"):
        assert_sound(finish(LENET, folder), None, "run", refused=True)


def removed(folder: Path, rng: random.Random) -> None:
    """The run's folder is removed while it runs."""
    run = folder / "run"
    sign = after(0.2, 0.8)(rng, LENET.seconds(folder.parent))
    assert_sound(disturbed(LENET, folder, sign, lambda: shutil.rmtree(run, ignore_errors=True)), run, "run")


def limited(folder: Path, rng: random.Random) -> None:
    """Files may not be larger than a limit, as a quota has it, and a checkpoint is."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    program, *line = LENET.line(folder.parent)
    command, pipes = [sys.executable, str(ROOT / program), *line], {"stdout": -1, "stderr": -1, "text": True}
    process = subprocess.Popen(command, cwd=folder, env=environment(**CACHE), preexec_fn=limit, **pipes)
    assert_sound(end_of(process), folder / "run", "checkpoints", refused=True)


def trials() -> list[Trial]:
    """All of them."""
    disk = partial(Trial, kind="disk")
    return [
        fills_up("full at a random moment", after(0.1, 0.9)),
        disk("too small for a third checkpoint", run=too_small),
        fills_up("full when the training is over", replaced(LAST, 4)),
        fills_up("full when the results have come", appears("results.jsonl")),
        fills_up("full when the figures are drawn", appears("figures/figures.json")),
        fills_up("full in an evaluation", after(0.2, 0.9), MEASURING),
        disk("no room for the cache", run=small_cache),
        disk("no room for the features", run=no_room_for_features),
        no_room_for("no room for the log of numbers", "csv"),
        no_room_for("no room for the record of the command", ".hydra"),
        disk("TMPDIR is full", run=partial(temporary_folder, full=True)),
        disk("TMPDIR is missing", run=partial(temporary_folder, full=False)),
        disk("the folder is read-only", run=read_only),
        disk("the folder is removed", run=removed),
        disk("files are limited in size", run=limited),
    ]
