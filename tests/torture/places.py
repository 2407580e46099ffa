"""Faults of the folder: two runs in one, a copied or moved one, a damaged or foreign checkpoint in it."""

from __future__ import annotations

import random
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
from doing import End, assert_same, assert_sound, begin, end_of, finish
from kills import FACE, LENET, SWEEP
from moments import replaced, wait_for
from PIL import Image
from trial import Trial
from whole import Work

LAST = "ckpt_path=last"


def bytes_of(folder: Path, pattern: str = "**/*") -> dict[str, bytes]:
    """What files in a folder hold, but for locks and logs."""
    found = (p for p in sorted(folder.glob(pattern)) if p.is_file() and p.suffix not in (".lock", ".log"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if ".hydra" not in path.parts}


def assert_refused(end: End, run: Path, *named: str, before: dict[str, bytes]) -> None:
    """It stopped with one line, and what was there is as it was."""
    assert_sound(end, run, *named, refused=True)
    now = bytes_of(run)
    changed = [name for name, content in before.items() if now.get(name) != content]
    assert not changed, f"refused, but changed: {changed[:5]}"


def broken_off(work: Work, folder: Path, epochs: int = 2) -> Path:
    """A run that was killed after some epochs."""
    process, run = begin(work, folder), folder / "run"
    came = wait_for(replaced("checkpoints/last.ckpt", epochs)(random.Random(0), 0), process, run)
    process.send_signal(signal.SIGKILL)
    _, err = process.communicate()
    assert came, f"it was over before: {err[-500:]}"
    return run


def of_a_whole(folder: Path, work: Work = LENET) -> Path:
    """A copy of a run that came to its end."""
    shutil.copytree(work.done(folder.parent), folder / "run")
    return folder / "run"


def two_runs(folder: Path, rng: random.Random) -> None:
    """The second is refused, and the first does not feel it."""
    first, run = begin(LENET, folder), folder / "run"
    assert wait_for(replaced("checkpoints/last.ckpt", 1)(rng, 0), first, run), "it was over before"
    for words in ((), (LAST,)):
        assert_sound(finish(LENET, folder, *words), None, "run", refused=True)
    end = end_of(first)
    assert end.status == 0, f"the first: {end}"
    assert_same(LENET, folder)


def two_sweeps(folder: Path, rng: random.Random) -> None:
    """The same of sweeps."""
    first, run = begin(SWEEP, folder), folder / "run"
    assert wait_for(replaced("0/checkpoints/last.ckpt", 1)(rng, 0), first, run), "it was over before"
    assert_sound(finish(SWEEP, folder), None, "run", refused=True)
    end = end_of(first)
    assert end.status == 0, f"the first: {end}"
    assert_same(SWEEP, folder)


def used_sweep(folder: Path, rng: random.Random) -> None:
    """A sweep of one other job into the folder of a sweep of two: nothing of the old one is overwritten."""
    run = of_a_whole(folder, SWEEP)
    before = {name: content for name, content in bytes_of(run).items() if name.startswith(("0/", "1/"))}
    assert_refused(finish(SWEEP, folder, "seed=7"), run, "run", before=before)


def used_run(folder: Path, rng: random.Random) -> None:
    """A run that begins in the folder of another."""
    run = of_a_whole(folder)
    assert_refused(finish(LENET, folder, "seed=7"), run, "run", before=bytes_of(run))


def resumed_elsewhere(folder: Path, rng: random.Random, how: str, whole: bool) -> None:
    """A run was copied or moved, at its end or before, and goes on in its new place."""
    run, new = of_a_whole(folder) if whole else broken_off(LENET, folder), folder / "elsewhere"
    shutil.move(run, new) if how == "moved" else shutil.copytree(run, new)
    old = bytes_of(run)
    end = finish(LENET, folder, LAST, f"hydra.run.dir={new}")
    assert end.status == 0, f"{end}"
    assert_same(LENET, folder, new)
    assert bytes_of(run) == old, "where it was copied from is not as it was"


def finished(folder: Path, rng: random.Random) -> None:
    """A finished run goes on to itself."""
    run = of_a_whole(folder)
    before = bytes_of(run, "checkpoints/*")
    end = finish(LENET, folder, LAST)
    assert end.status == 0, f"{end}"
    assert_same(LENET, folder)
    assert bytes_of(run, "checkpoints/*") == before, "its checkpoints were written again"


def stale_lock(folder: Path, rng: random.Random) -> None:
    """Locks of processes that are no more do not keep anybody out."""
    run = broken_off(LENET, folder)
    for name in (".running.lock", "checkpoints/.lock"):
        (run / name).write_text("4194304")
    end = finish(LENET, folder, LAST)
    assert end.status == 0, f"{end}"
    assert_same(LENET, folder)


def damaged(folder: Path, rng: random.Random, name: str, cut: bool) -> None:
    """One of the two checkpoints is damaged: said in a line that names it, or made good; the other is as it was."""
    run = broken_off(LENET, folder)
    path, other = (run / "checkpoints" / f"{n}.ckpt" for n in (name, {"best": "last", "last": "best"}[name]))
    content, kept = path.read_bytes(), other.read_bytes()
    place = rng.randrange(1000, len(content) - 1000)
    path.write_bytes(content[:place] if cut else content[:place] + bytes(64) + content[place + 64 :])
    end = finish(LENET, folder, LAST)
    if end.status == 0:
        assert_same(LENET, folder)
    else:
        assert_sound(end, None, f"{name}.ckpt", refused=True)
        assert other.read_bytes() == kept, f"{other.name} is not as it was"


def other_words(folder: Path, rng: random.Random, word: str) -> None:
    """A run is to go on as another: it is refused, and the difference named."""
    run = broken_off(LENET, folder)
    end = finish(LENET, folder, LAST, word)
    assert_refused(end, run, word.rpartition(".")[2].partition("=")[0], before=bytes_of(run, "checkpoints/*"))


def without_last(folder: Path, rng: random.Random) -> None:
    """The checkpoint to go on from is gone; the best one is as good."""
    run = broken_off(LENET, folder)
    (run / "checkpoints" / "last.ckpt").unlink()
    end = finish(LENET, folder, LAST)
    assert end.status == 0, f"{end}"
    assert_same(LENET, folder)


def another_run(folder: Path, rng: random.Random) -> None:
    """There is nothing to continue in the folder that was named: the run begins, and another, elsewhere, is let be."""
    other = folder / "outputs" / "rotated_digits-lenet" / "earlier"
    other.parent.mkdir(parents=True)
    shutil.move(broken_off(LENET, folder), other)
    before = bytes_of(other)
    end = finish(LENET, folder, LAST)
    assert end.status == 0, f"{end}"
    assert_same(LENET, folder)
    assert bytes_of(other) == before, "the other run is not as it was"


def faces(folder: Path, brightness: int = 0) -> Path:
    """Pictures of thirty people, and their table."""
    folder.mkdir(exist_ok=True)
    rng, lines = np.random.default_rng(0), ["path,person,brightness"]
    for person in range(30):
        face = rng.integers(40, 160, (8, 8, 3))
        for number in range(4):
            light = int(rng.integers(-40, 60))
            pixels = np.kron(face + light + brightness, np.ones((5, 5, 1))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{person}_{number}.png")
            lines.append(f"{person}_{number}.png,person {person},{light}")
    (folder / "faces.csv").write_text("\n".join(lines))
    return folder


def exchanged(folder: Path, rng: random.Random) -> None:
    """Between a kill and its continuation the pictures are replaced by others of the same names."""
    where = faces(folder / "faces")
    own = ("data=faces_table", f"data.table={where}/faces.csv", f"data.root={where}", "data.test_fraction=0.45")
    words = tuple(word for word in FACE if not word.startswith("data.") or "image_shape" in word)
    work = Work("-", "train.py", (*words, *own, "data.num_classes=16", "trainer.max_epochs=4", "evaluate=false"))
    run = broken_off(work, folder, epochs=1)
    faces(where, brightness=20)
    end = finish(work, folder, LAST)
    assert_refused(end, run, "other images", before=bytes_of(run, "checkpoints/*"))


def trials() -> list[Trial]:
    """All of them."""
    place = partial(Trial, kind="folder")
    elsewhere = [
        place(f"{how} and resumed, {when}", run=partial(resumed_elsewhere, how=how, whole=whole))
        for how in ("copied", "moved")
        for when, whole in (("in the middle", False), ("at its end", True))
    ]
    return [
        place("two runs at once", run=two_runs),
        place("two sweeps at once", run=two_sweeps),
        place("a sweep into a used one", run=used_sweep),
        place("a run into a used one", run=used_run),
        *elsewhere,
        place("a finished run is resumed", run=finished),
        place("locks are stale", run=stale_lock),
        place("last.ckpt is cut", run=partial(damaged, name="last", cut=True)),
        place("best.ckpt is damaged", run=partial(damaged, name="best", cut=False)),
        place("another model goes on", run=partial(other_words, word="model.backbone.embedding_dim=64")),
        place("another seed goes on", run=partial(other_words, word="seed=5")),
        place("another rate goes on", run=partial(other_words, word="model.optimizer.lr=0.02")),
        place("last.ckpt is deleted", run=without_last),
        place("another run is the newest", run=another_run),
        place("the pictures are exchanged", run=exchanged),
    ]
