"""Runs that are killed at random and chosen moments, and continued: they end as if nothing had been."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from moments import Moment, after, appears, best_alone, replaced, temporary, wait_for
from programs import FACES, FEW, POOL, SMALL, start
from trial import Trial
from whole import Work, differences

KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
TRAIN = (*SMALL, *FEW, "trainer.max_epochs=4")
LENET = Work("lenet", "train.py", TRAIN)
PAIR = Work("pair_lenet", "train.py", (*TRAIN, "model=pair_lenet"))
MU = Work("mu_lenet", "train.py", (*TRAIN, "model=mu_lenet"))
# Its loss goes up and down, so that the last epoch is not the best one; and it has parameters of its own.
ADVERSARY = Work(
    "adversary",
    "train.py",
    (*SMALL, *FEW, "trainer.max_epochs=6", "model.constraints.adversary.ramp=60", "+constraint=adversary"),
)
VALIDATING = Work(
    "validating", "train.py", (*TRAIN, "data.epoch_batches=1", "trainer.max_epochs=12", "evaluate=false")
)
# The second epoch is worse than the first.
STOPPING = Work(
    "stopping",
    "train.py",
    (*TRAIN, "trainer.max_epochs=9", "callbacks.early_stopping.patience=1", "model.optimizer.lr=0.03"),
)
FACE = (*SMALL, "data.image_shape=[3,40,40]", "model.backbone.bottleneck=32", "trainer.max_epochs=3")
DEEPFACE = Work("deepface_mini", "train.py", (*FACE, *FACES, "data.cache=true", "model=deepface_mini"))
INITIAL = Work("initial", "train.py", (*FACE, *FACES, "model=deepface_plus_mini", "evaluate=false"))
GROWING = Work(
    "growing",
    "train.py",
    (*SMALL, *POOL, "model=deepface_plus_mini", "data=bootstrap", "data.features_from={needs}/checkpoints/best.ckpt",
     "model.backbone.bottleneck=32"),
    INITIAL,
)  # fmt: skip
SWEEP = Work("sweep", "train.py", ("-m", *TRAIN, "trainer.max_epochs=2", "seed=0,1"))
MEASURING = Work(
    "measuring",
    "evaluate.py",
    ("ckpt_path={needs}/checkpoints/best.ckpt", "layers=all", *(w for w in SMALL if w.startswith("probes."))),
    LENET,
)


def killed(work: Work, *moments: Moment, by: signal.Signals = KILL, kind: str, name: str) -> Trial:
    """A trial: the run, and then its continuations, are ended, each at its moment; then it is continued to its end."""

    def trial(folder: Path, rng: random.Random) -> None:
        whole, run = work.done(folder.parent), folder / "run"
        seconds = work.seconds(folder.parent)
        line = work.line(folder.parent)
        for number, moment in enumerate(moments):
            process = start(*line, *again(work, run, number), cwd=folder, INVARIANTNETS_CACHE="cache")
            came = wait_for(moment(rng, seconds), process, run)
            process.send_signal(by)
            out, err = process.communicate(timeout=300)
            assert came or moment in RANDOM, f"ended before its moment, with status {process.returncode}: {err[-500:]}"
            if came:
                assert_ended(by, process.returncode, err)
        process = start(*line, *again(work, run, 1), cwd=folder, INVARIANTNETS_CACHE="cache")
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, f"continued, it ends with status {process.returncode}: {err[-1000:]}"
        found = list(differences(whole, run))
        assert not found, "; ".join(found[:8])

    return Trial(name, kind, trial)
