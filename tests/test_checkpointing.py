"""The file of a checkpoint is the old one or the new one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from invariantnets.checkpointing import Checkpoints, is_finished
from invariantnets.errors import InvariantNetsError
from invariantnets.files import sweep_up


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a disk of 2 MB cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_destroys_no_checkpoint(small_disk: Path) -> None:
    path = small_disk / "best.ckpt"
    Checkpoints([]).save_checkpoint({"x": torch.arange(250_000, dtype=torch.float32)}, path)
    with pytest.raises(InvariantNetsError, match=rf"{path}: cannot be written \(No space left on device\)"):
        Checkpoints([]).save_checkpoint({"x": torch.zeros(300_000)}, path)
    assert torch.load(path, weights_only=True)["x"][-1] == 249_999
    assert list(small_disk.iterdir()) == [path], "what was begun is removed"


def test_where_temporary_files_go_is_of_no_matter(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_disk / "full").write_bytes(bytes(2 << 20))
    monkeypatch.setenv("TMPDIR", str(small_disk))
    monkeypatch.setattr("tempfile.tempdir", None)
    Checkpoints([]).save_checkpoint({"x": torch.zeros(300_000)}, tmp_path / "run" / "last.ckpt")
    assert len(torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["x"]) == 300_000


def test_what_killed_runs_left_is_swept_up(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("checkpoints/last.ckpt", ".hydra/config.yaml", "a.part", ".last.ckpt")]
    left = [tmp_path / name for name in ("checkpoints/.last.ckpt.x1y2.part", "teacher/checkpoints/.best.ckpt.z.part")]
    for path in (*kept, *left):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    sweep_up(tmp_path)
    assert all(path.exists() for path in kept) and not any(path.exists() for path in left)


RULE = {"patience": 1}


@pytest.mark.parametrize(
    ("epoch", "reason", "before", "now", "trainer", "finished"),
    [
        (4, 0, RULE, RULE, {"max_epochs": 5}, True),
        (3, 0, RULE, RULE, {"max_epochs": 5}, False),
        (3, 0, RULE, RULE, {"max_epochs": -1, "max_steps": 30}, False),
        (3, 0, RULE, RULE, {"max_epochs": -1, "max_steps": 20}, True),
        (3, 3, RULE, RULE, {"max_epochs": 5, "max_steps": -1}, True),
        (3, 3, RULE, {"patience": 2}, {"max_epochs": 5}, False),
        (3, 3, RULE, None, {"max_epochs": 5}, False),
        (3, 3, RULE, RULE, {"max_epochs": 9, "min_epochs": 6}, False),
    ],
)
def test_when_a_run_is_finished(
    epoch: int, reason: int, before: dict, now: dict | None, trainer: dict, finished: bool
) -> None:
    checkpoint = {
        "epoch": epoch,
        "global_step": 20,
        "callbacks": {"EarlyStopping{'monitor': 'val/loss'}": {"stopping_reason": reason}},
        "invariantnets": {"config": {"callbacks": {"early_stopping": before}}},
    }
    config = {"trainer": trainer, "callbacks": {"early_stopping": now}}
    assert is_finished(checkpoint, config) is finished
