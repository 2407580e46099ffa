"""Running train.py and evaluate.py as a user does: in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A run that is over in a second or two, once Python has started.
SMALL = (
    "data.epoch_batches=10",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=5",
    "trainer.enable_progress_bar=false",
    "probes.bootstrap=50",
    "probes.knn_rows=500",
    "probes.mlp_rows=500",
    "probes.mlp_epochs=2",
)
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
    "rudd2016": ("data=rotated_digits", "model=lenet,pair_lenet", "seed=1"),
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
}


def environment(**extra: str) -> dict[str, str]:
    """This process's, with one thread and without what would change a program's behaviour."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "HYDRA", "PYTEST"))}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src"), **extra}


def start(program: str, *overrides: str, cwd: Path, **extra: str) -> subprocess.Popen[str]:
    """Start ``train.py`` or ``evaluate.py`` in the folder ``cwd``."""
    command = [sys.executable, str(ROOT / program), *overrides]
    return subprocess.Popen(
        command, cwd=cwd, env=environment(**extra), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(program: str, *overrides: str, cwd: Path, code: int = 0, **extra: str) -> tuple[str, str]:
    """Run it to its end, check the exit status, and return what it printed on (stdout, stderr)."""
    process = start(program, *overrides, cwd=cwd, **extra)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"exit {process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    return out, err
