"""A killed run continues to the very weights that an uninterrupted one reaches."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import torch

from programs import FEW, SMALL, run, start

LONG = (*SMALL, "trainer.max_epochs=8", "data.epoch_batches=30", "evaluate=false", "callbacks.online_probes=null")
LIGHT = (*FEW, "data.batch_size=16")


def state(folder: Path) -> dict:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def kill_after_first_checkpoint(*overrides: str, cwd: Path, folder: Path) -> int:
    """SIGKILL soon after the first checkpoint appears; returns the epochs that were saved."""
    process = start("train.py", *overrides, f"hydra.run.dir={folder}", cwd=cwd)
    last = folder / "checkpoints" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return state(folder)["epoch"]


# An adversary's loss goes up and down, so that the last epoch is not the best one; and it has parameters of its own.
ADVERSARY = ("model=lenet", "model.constraints.adversary.ramp=150", "+constraint=adversary")


@pytest.mark.parametrize(
    "model", [(*LIGHT, "model=pair_lenet"), (*LIGHT, "model=mu_lenet"), ADVERSARY], ids=lambda model: model[-1]
)
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, model: tuple[str, ...]) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run("train.py", *LONG, *model, f"hydra.run.dir={whole}", cwd=tmp_path)
    saved = kill_after_first_checkpoint(*LONG, *model, cwd=tmp_path, folder=broken)
    assert saved < 7, "killed too late to prove anything"
    run("train.py", *LONG, *model, f"hydra.run.dir={broken}", "ckpt_path=last", cwd=tmp_path)
    expected, found = state(whole), state(broken)
    assert found["global_step"] == expected["global_step"] == 8 * 30
    for name, weights in expected["state_dict"].items():
        assert torch.equal(weights, found["state_dict"][name]), name
    momentum = [s["momentum_buffer"] for s in expected["optimizer_states"][0]["state"].values()]
    again = [s["momentum_buffer"] for s in found["optimizer_states"][0]["state"].values()]
    assert all(torch.equal(a, b) for a, b in zip(momentum, again, strict=True))


def test_last_finds_the_newest_run_of_the_same_kind_and_continues_in_its_folder(tmp_path: Path) -> None:
    short = (*SMALL, "evaluate=false")
    run("train.py", *short, cwd=tmp_path)
    first = next((tmp_path / "outputs" / "rotated_digits-lenet").glob("*/checkpoints/last.ckpt")).parents[1]
    run("train.py", *short, "trainer.max_epochs=3", "ckpt_path=last", cwd=tmp_path)
    assert state(first)["epoch"] == 2


def test_a_teacher_is_trained_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "mu"
    short = (*SMALL, "model=mu_lenet", "evaluate=false", f"hydra.run.dir={folder}")
    run("train.py", *short, cwd=tmp_path)
    teacher = folder / "teacher" / "checkpoints" / "best.ckpt"
    before = teacher.stat().st_mtime_ns
    run("train.py", *short, "ckpt_path=last", cwd=tmp_path)
    assert teacher.stat().st_mtime_ns == before
