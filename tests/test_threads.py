from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from invariantnets import threads
from programs import FEW, ROOT, SMALL, environment, run

UNSAID = {key: value for key, value in os.environ.items() if key not in threads.SAID}


@pytest.fixture
def two_threads():
    own = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(own)


@pytest.mark.parametrize(
    ("said", "spins", "is_open"),
    [
        ({}, "10000", True),
        ({"OMP_NUM_THREADS": "2"}, "10000", False),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None, True),
        ({"GOMP_SPINCOUNT": "7", "MKL_NUM_THREADS": "2"}, "7", False),
    ],
)
def test_what_the_user_says_holds(said, spins, is_open):
    with mock.patch.dict(os.environ, {**UNSAID, **said}, clear=True):
        threads.spin_briefly()
        assert os.environ.get("GOMP_SPINCOUNT") == spins and (threads.OPEN in os.environ) == is_open


@pytest.mark.parametrize(
    ("is_open", "parameters", "before", "number"),
    [
        (True, 431_080, None, 1),
        (True, 103_000_000, None, 2),
        (True, 431_080, 2, 2),
        (True, 103_000_000, 1, 1),
        (True, 431_080, 10**9, 1),  # as a file from elsewhere may say
        (True, 431_080, "all", 1),
        (False, 431_080, None, 2),
        (False, 431_080, 1, 2),
    ],
)
def test_a_small_network_is_trained_on_one_thread(two_threads, caplog, is_open, parameters, before, number):
    environment = {**UNSAID, **({threads.OPEN: "1"} if is_open else {})}
    with mock.patch.dict(os.environ, environment, clear=True), caplog.at_level(logging.INFO):
        with mock.patch("os.cpu_count", return_value=2), threads.for_training(parameters, before):
            assert torch.get_num_threads() == number
    assert torch.get_num_threads() == 2
    assert bool(caplog.messages) == (before not in (None, number))


def counted(folder: Path) -> tuple[int, int]:
    """Threads of training and of probing."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["invariantnets"]["threads"], json.loads((folder / "provenance.json").read_text())["threads"]


@pytest.mark.slow
def test_a_run_says_on_how_many_threads_it_ran(tmp_path):
    run("train.py", *SMALL, *FEW, "threads=2", "hydra.run.dir=out", cwd=tmp_path)
    assert counted(tmp_path / "out") == (2, 2)


@pytest.mark.slow
def test_jobs_side_by_side_do_not_take_all_cores_each(tmp_path):
    few = {key: value for key, value in environment().items() if key not in threads.SAID}
    overrides = [*SMALL, *FEW, "seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=out"]
    command = [sys.executable, str(ROOT / "train.py"), "-m", *overrides]
    subprocess.run(command, cwd=tmp_path, env=few, check=True, capture_output=True)
    for job in "01":
        training, probing = counted(tmp_path / "out" / job)
        assert training == 1 and probing <= max(1, (os.cpu_count() or 1) // 2)
