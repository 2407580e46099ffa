"""Running train.py and evaluate.py as a user does: in a process of their own.

Half of such a run would be importing torch and Lightning. It is done once: programs are forks of a process that holds
these and nothing of ours. What a program starts itself (a second process of DDP, a worker of joblib) imports all anew.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
# Ignored by what nohup or a shell's background starts, and so by all that it starts in turn.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)
# Readers that look at little, for a short while.
QUICK = (
    "probes.kernel_rows=200",
    "probes.tree_rows=200",
    "probes.knn_rows=500",
    "probes.mlp_rows=500",
    "probes.mlp_epochs=2",
    "probes.mlp_steps=50",
)
# None but those that are linear: where a command is tried, and not what it reads.
LINEAR = ("probe.quadratic=null", "probe.rbf=null", "probe.trees=null", "probe.knn=null", "probe.mlp=null")
# And of these one for all classes: where layers are many or wide.
RIDGE = (*LINEAR, "probe.ridge_per_label=null", "probe.ridge_per_mav_label=null")
# A run that is over in a second or two, once Python has started.
SMALL = (
    "data.epoch_batches=10",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=5",
    "trainer.enable_progress_bar=false",
    *QUICK,
    *LINEAR,
)
# Of the digits three classes: a third of the rows to validate on, to probe and to draw, and a third of the regressors.
FEW = ("data.classes=[0,1,2]", "data.num_classes=3")
# And few features: a regressor costs their number cubed.
THIN = (*FEW, "model.backbone.embedding_dim=48")
# Of deepface_mini, for the same reason.
NARROW = ("data.image_shape=[3,40,40]", "model.backbone.bottleneck=32")
# The same for faces: few people to train on, and enough others for ten folds of verification.
FACES = (
    "data.num_classes=6",
    "data.images_per_identity=10",
    "data.val_images=10",
    "data.test_identities=40",
    "data.test_images=3",
    "data.cache=false",
    "protocols.pairs_per_fold=20",
    "protocols.bootstrap=20",
)
# A pool of people to choose from, and what is trained on them.
POOL = (
    "data.image_shape=[3,40,40]",
    "data.pool.num_classes=30",
    "data.pool.images_per_identity=5",
    "data.pool.val_images=10",
    "data.pool.ranges.dark_glasses=0",  # rare: the few validation pictures might have none
    "data.pool.ranges.glasses=0",
    "data.pool.test_identities=40",
    "data.pool.test_images=3",
    "data.seeds=3",
    "data.neighbours=5",
    "data.negatives=60",
    "protocols.pairs_per_fold=20",
    "protocols.bootstrap=20",
    "model.backbone.bottleneck=64",
)
FORGET = ("data=rotated_digits", "data.batch_size=32", "seed=0", "recipes.init_from.data.epoch_batches=10")
# A job or three of each experiment.
EXPERIMENTS = {
    "rudd2016": (*FEW, "data=rotated_digits", "model=lenet,pair_lenet", "seed=1"),
    "taigman2015_bottleneck": (
        *FACES,
        "seed=1",
        "model.backbone.bottleneck=32,8",
        "recipes.init_from.trainer.max_epochs=2",
    ),
    "taigman2015_bootstrapping": (
        *POOL,
        "seed=1",
        "recipes.features_from.model.backbone.bottleneck=32",
        "recipes.features_from.trainer.max_epochs=2",
        "recipes.features_from.data.num_classes=6",
        "recipes.features_from.data.images_per_identity=10",
        "recipes.features_from.data.val_images=10",
        "recipes.features_from.data.test_identities=4",
        "recipes.features_from.data.epoch_batches=10",
    ),
    "forget": (*FORGET, "method=mu,adversary,bottleneck,leace"),
    "forget_long": FORGET,
    "fine_tune": (
        *FORGET,
        "recipes.init_from.recipes.init_from.data.epoch_batches=10",
        "method=fine_tune_frozen,fine_tune_tenth_codes",
    ),
    "mnist_rot": (
        *("data=rot_digits", "transfer=null", "data.batch_size=32", "seed=0", "method=softmax,icl"),
        *("recipes.init_from.data.epoch_batches=10", "recipes.init_from.trainer.max_epochs=1"),
        "analysis.adversary.epochs=2",
    ),
    "strangers": (
        *(*FACES, *NARROW, "data.batch_size=16", "seed=1", "method=softmax,supcon_noise_centre_0.5_released"),
        *("recipes.init_from.data.epoch_batches=10", "recipes.init_from.trainer.max_epochs=1"),
        *("transfer.data.cache=false", "transfer.data.test_images=3"),
    ),
    "new_classes": (
        *("seed=0", "method=softmax", "data.source.classes=4,6", "data.source.images=120", "data.batch_size=32"),
        *(
            "transfer.data.source.classes=3",
            "transfer.data.source.images=120",
            "recipes.init_from.data.epoch_batches=10",
        ),
    ),
}


def environment(**extra: str) -> dict[str, str]:
    """This process's, with one thread and without what would change a program's behaviour."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "HYDRA", "PYTEST"))}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), **extra}


def _become(command: list[str], cwd: str, env: dict[str, str], outputs: tuple[str, str]) -> None:
    """In a fork: be the program, as if Python had started it with this command."""
    for descriptor, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    here = str(Path(__file__).parent)
    sys.path[:] = [str(ROOT), *env["PYTHONPATH"].split(os.pathsep), *(p for p in sys.path if p != here)]
    sys.argv[:] = command
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        # As the interpreter ends, which multiprocessing passes over: first threads, then what was registered.
        threading._shutdown()
        atexit._run_exitfuncs()


class Forked:
    """A program that runs, with what is used here of `subprocess.Popen`."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str]):
        self._folder = tempfile.TemporaryDirectory()
        self._outputs = (f"{self._folder.name}/out", f"{self._folder.name}/err")
        for path in self._outputs:
            Path(path).touch()
        self._process = FORKS.Process(target=_become, args=(command, str(cwd), env, self._outputs))
        # What reads its environment when it is imported must find that of the programs; a fork replaces the rest.
        with mock.patch.dict(os.environ, env, clear=True):
            self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status; -N if signal N ended it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it printed on (stdout, stderr)."""
        self._process.join(timeout)
        if self._process.is_alive():
            self._process.kill()
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        with self._folder:
            out, err = (Path(path).read_text() for path in self._outputs)
        return out, err


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["pytorch_lightning", "torchmetrics", "sklearn.neighbors", "sklearn.svm", "hydra", "matplotlib.figure", "pandas"]
)


def start(program: str, *overrides: str, cwd: Path, **extra: str) -> Forked:
    """Start ``train.py`` or ``evaluate.py`` in the folder ``cwd``."""
    return Forked([str(ROOT / program), *overrides], cwd, environment(**extra))


def run(program: str, *overrides: str, cwd: Path, code: int = 0, **extra: str) -> tuple[str, str]:
    """Run it to its end, check the exit status, and return what it printed on (stdout, stderr)."""
    process = start(program, *overrides, cwd=cwd, **extra)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"exit {process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    return out, err
