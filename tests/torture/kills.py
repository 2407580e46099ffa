"""Runs that are killed at random and chosen moments, and continued: they end as if nothing had been."""

from __future__ import annotations

import random
import signal
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock
from moments import Moment, after, appears, best_alone, count, replaced, temporary, wait_for
from trial import Trial
from whole import Work, differences

from programs import FACES, FEW, LINEAR, NARROW, POOL, SMALL, Forked, start

KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
TRAIN = (*SMALL, *FEW, *LINEAR, "trainer.max_epochs=4")
LENET = Work("lenet", "train.py", TRAIN)
VALIDATING = Work("validating", "train.py", (*TRAIN, "data.epoch_batches=1", "trainer.max_epochs=12", "evaluate=false"))
PAIR = Work("pair_lenet", "train.py", (*TRAIN, "model=pair_lenet"))
MU = Work("mu_lenet", "train.py", (*TRAIN, "model=mu_lenet"))
# Its loss goes up and down, so that the last epoch is not the best one; and it has parameters of its own.
RISING = ("+constraint=adversary", "model.constraints.adversary.ramp=60", "callbacks.collapse_alarm=null")
ADVERSARY = Work("adversary", "train.py", (*TRAIN, *RISING, "trainer.max_epochs=6"))
SOON = ("trainer.max_epochs=12", "callbacks.early_stopping.patience=1", "model.optimizer.lr=0.03")
STOPPING = Work("stopping", "train.py", (*TRAIN, *SOON))
STOPPED_TEACHER = Work(
    "stopped_teacher",
    "train.py",
    (*TRAIN, "model=mu_lenet", *SOON[:2], "trainer.max_epochs=7", "recipes.teacher.model.optimizer.lr=0.03"),
)
FACE = (*SMALL, *FACES, *NARROW, "model=deepface_mini")
DEEPFACE = Work("deepface_mini", "train.py", (*FACE, "data.cache=true", "trainer.max_epochs=3"))
INITIAL = Work("initial", "train.py", (*FACE, "trainer.max_epochs=1", "evaluate=false"))
LOOK_ALIKES = ("data=bootstrap", "model=deepface_plus_mini", "data.features_from={given}/checkpoints/best.ckpt")
GROWING = Work("growing", "train.py", (*SMALL, *POOL, *LINEAR, *LOOK_ALIKES), INITIAL.done)
SWEEP = Work("sweep", "train.py", ("-m", *TRAIN, "trainer.max_epochs=2", "seed=0,1"))
LAYERS = [f"layer{i}" for i in range(6)]


def many_layers(session: Path) -> Path:
    """A table of six layers of 24 people."""
    path = session / "layers.npz"
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            rng = np.random.default_rng(0)
            layers = {name: rng.normal(size=(960, 24)).astype(np.float32) for name in LAYERS}
            split = np.repeat(["train", "val", "test"], 320)
            np.savez(path, **layers, label=np.arange(960) % 24, split=split, yaw=rng.normal(size=960))
    return path


MEASURING = Work(
    "measuring",
    "evaluate.py",
    (
        "features={given}",
        f"layers=[{','.join(LAYERS)}]",
        *LINEAR,
    ),
    many_layers,
)


STATUS = {KILL: -9, TERM: 143, INT: 130}


def killed(kind: str, name: str, work: Work, *moments: Moment, by: signal.Signals = KILL) -> Trial:
    """A trial: a run, and then its continuations, are ended, each at its moment; the last one may come to its end."""

    def trial(folder: Path, rng: random.Random) -> None:
        whole, run = work.done(folder.parent), folder / "run"
        seconds = work.seconds(folder.parent)
        for number, moment in enumerate(moments):
            process = go_on(work, folder, again=number > 0)
            came = wait_for(moment(rng, seconds), process, run)
            if process.poll() is None:
                process.send_signal(by)
            _, err = process.communicate(timeout=300)
            assert came, f"its moment did not come; status {process.returncode}: {err[-500:]}"
            if process.returncode == 0:  # or it says so
                assert_same(whole, run, "status 0, but ")
            else:
                assert_ended(process, by, err)
        process = go_on(work, folder, again=True)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, f"continued, it ends with status {process.returncode}: {err[-1000:]}"
        assert_same(whole, run, "continued: ")

    return Trial(name, kind, trial)


def go_on(work: Work, folder: Path, again: bool) -> Forked:
    """Start, or start again as a user would, who does not know how far it came."""
    words = ["ckpt_path=last"] if work.program == "train.py" and again else []
    return start(*work.line(folder.parent), *words, cwd=folder, INVARIANTNETS_CACHE="cache")


def assert_ended(process: Forked, by: signal.Signals, err: str) -> None:
    """As a signal ends a program; of those that it can answer it says one line."""
    assert process.returncode == STATUS[by], f"{by.name} ends it with status {process.returncode}: {err[-500:]}"
    if by != KILL:
        said = [line for line in err.splitlines() if line.startswith(("interrupted", "error"))]
        assert len(said) == 1 and "Traceback" not in err, f"{by.name}, and it says: {err[-1000:]}"


def assert_same(whole: Path, run: Path, when: str) -> None:
    """That of a run that nothing happened to."""
    found = list(differences(whole, run))
    assert not found, when + "; ".join(found[:8])


def trials() -> list[Trial]:
    """All of them, in a fixed order: every twentieth is of few works, for each is done once undisturbed."""
    training, measuring, growing, sweeping = (
        partial(killed, f"{what} is killed") for what in ("training", "an evaluation", "growing", "a sweep")
    )
    last, teacher = "checkpoints/last.ckpt", "teacher/checkpoints/last.ckpt"
    drawing = appears("figures", without="report.html", most=0.3)
    no_report = appears("figures/figures.json", without="report.html")
    return [
        training("at random", LENET, after(0, 0.9)),
        training("best.ckpt is there and last.ckpt is not yet", LENET, appears("checkpoints/best.ckpt", without=last)),
        training("at its start", LENET, after(0, 0.15)),
        training("before its first checkpoint", LENET, appears("csv", without="checkpoints/best.ckpt", most=0.05)),
        training("its first checkpoint is being written", LENET, temporary()),
        training("a later checkpoint is being written", LENET, temporary(count=4, most=0.01)),
        training("between two epochs", LENET, replaced(last, 2, most=0.1)),
        training("twice at random", LENET, after(0.2, 0.6), after(0.2, 0.8)),
        training("thrice", LENET, temporary(), replaced(last, 2), after(0.3, 0.9)),
        training("by SIGINT", LENET, after(0.1, 0.9), by=INT),
        #
        training("best.ckpt is new and last.ckpt is not", LENET, best_alone),
        training("in a validation", VALIDATING, replaced(last, 3, most=0.2)),
        training("in a later validation", VALIDATING, replaced(last, 8, most=0.2)),
        training("pairs, at random", PAIR, after(0, 0.9)),
        training("pairs, a checkpoint is being written", PAIR, temporary(count=3, most=0.01)),
        training("pairs, twice at random", PAIR, after(0.2, 0.6), after(0.2, 0.8)),
        training("pairs, by SIGTERM", PAIR, after(0.1, 0.9), by=TERM),
        training("an adversary, at random", ADVERSARY, after(0, 0.9)),
        training("an adversary, best.ckpt is new and last.ckpt is not", ADVERSARY, best_alone),
        training("an adversary, best.ckpt is older", ADVERSARY, replaced(last, 5, most=0.1)),
        #
        measuring("of a run, its results have come", LENET, appears("results.jsonl")),
        training("a teacher, at random", MU, after(0, 0.9)),
        training("a teacher, at random, again", MU, after(0, 0.9)),
        training("a teacher, in its training", MU, replaced(teacher, 2, most=0.1)),
        training("a teacher, its checkpoint is being written", MU, temporary("teacher/checkpoints", 3, most=0.01)),
        training("a teacher, when it is trained", MU, replaced(teacher, 4, most=0.05)),
        training("a teacher, in the training of its student", MU, replaced(last, 2, most=0.1)),
        training("a teacher, in both trainings", MU, replaced(teacher, 2), replaced(last, 2)),
        training("a teacher, by SIGTERM in its training", MU, replaced(teacher, 2), by=TERM),
        training("a teacher that stopped early, in the training of its student", STOPPED_TEACHER, replaced(last, 1)),
        #
        measuring("at random", MEASURING, after(0, 0.9)),
        measuring("at random, again", MEASURING, after(0, 0.9)),
        measuring("twice at random", MEASURING, after(0.3, 0.6), after(0.3, 0.6)),
        measuring("a layer is complete", MEASURING, count("finished", 1, most=0.1)),
        measuring("four layers are complete", MEASURING, count("finished", 4, most=0.1)),
        measuring("figures are being drawn", MEASURING, drawing),
        measuring("by SIGTERM", MEASURING, after(0.1, 0.9), by=TERM),
        measuring("of a run, figures are being drawn", LENET, drawing),
        measuring("of a run, the report is missing", LENET, no_report),
        measuring("of faces, its results have come", DEEPFACE, appears("results.jsonl")),
        #
        training("by SIGTERM", LENET, after(0.1, 0.9), by=TERM),
        training("stops early, at random", STOPPING, after(0, 0.9)),
        training("stops early, at its last epoch but one", STOPPING, replaced(last, 4)),
        measuring("of a run that stopped early", STOPPING, appears("results.jsonl")),
        measuring("of a run that stopped early, figures are being drawn", STOPPING, drawing),
        training("faces, pictures are being kept", DEEPFACE, appears("../cache", most=0.05)),
        training("faces, at random", DEEPFACE, after(0, 0.9)),
        training("faces, a checkpoint is being written", DEEPFACE, temporary(count=2, most=0.03)),
        sweeping("at random", SWEEP, after(0, 0.9)),
        sweeping("in its second job", SWEEP, replaced(f"1/{last}", 1, most=0.1)),
        #
        training("by SIGTERM, a checkpoint is being written", LENET, temporary(count=3, most=0.01), by=TERM),
        sweeping("by SIGTERM in its second job", SWEEP, appears("1/csv", most=0.3), by=TERM),
        growing("at random", GROWING, after(0, 0.9)),
        growing("at random, again", GROWING, after(0, 0.9)),
        growing("in the features", GROWING, appears("bootstrap/features.npy.progress.json")),
        growing("in the hyperplanes", GROWING, appears("bootstrap/normals.npy.progress.json")),
        growing("in the selection", GROWING, appears("bootstrap/selection.json", without="bootstrap/figures.json")),
        growing("in the training", GROWING, replaced(last, 1, most=0.2)),
        growing("in the features and in the training", GROWING, appears("bootstrap/features.npy"), replaced(last, 1)),
        growing("by SIGTERM", GROWING, after(0.1, 0.9), by=TERM),
    ]
