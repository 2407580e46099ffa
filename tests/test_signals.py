"""Signals and deaths: the program ends in one line, no process of it is left, and it goes on where it was."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from programs import FEW, ROOT, SMALL, Forked, environment, run, start

TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL
QUICK = (*SMALL, *FEW, "evaluate=false", "callbacks.online_probes=null", "callbacks.early_stopping=null")
LONG = (*QUICK, "trainer.max_epochs=500", "hydra.run.dir=run")
DDP, SPAWN = (("trainer.accelerator=cpu", f"trainer={name}") for name in ("ddp", "ddp_spawn"))
SWEEP = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", "seed=0,1,2")
AGAIN = "continue with ckpt_path=last"
# A callback that makes one of several processes end, at one of two moments: before they meet, and while they train.
FAULT = """
import os, signal, time
from pytorch_lightning import Callback
from invariantnets.errors import InvariantNetsError

class Fault(Callback):
    def __init__(self, rank, moment, what):
        self.rank, self.moment, self.what = rank, moment, what
        if moment == "before" and os.environ.get("LOCAL_RANK", "0") == str(rank):
            self.fail()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.moment == "training" and trainer.global_rank == self.rank and trainer.global_step == 3:
            self.fail()

    def fail(self):
        if self.what == "error":
            raise InvariantNetsError("a fault of its own")
        if self.what == "sleep":
            open("asleep", "w").close()
            time.sleep(600)
        os.kill(os.getpid(), signal.Signals[self.what])
"""


def left(mark: str) -> list[int]:
    """Processes that were started with this mark in their environment, and run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            # The server of forks is this process's child, and has the environment of the first that it served.
            if (
                state != "Z"
                and int(parent) != os.getpid()
                and f"MARK={mark}\0".encode() in (path / "environ").read_bytes() + b"\0"
            ):
                found.append(int(path.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return found


def wait_for(what: Callable[[], object], process: Forked | None = None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to this"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


def lines(err: str) -> list[str]:
    """Those of ours."""
    return [line for line in err.splitlines() if line.startswith(("error: ", "interrupted"))]


def end(process: Forked, mark: str, seconds: float = 30) -> list[str]:
    """Wait until all its processes have ended; what it said."""
    process._process.join(seconds)
    wait_for(lambda: not left(mark), seconds=5)
    _, err = process.communicate(timeout=1)
    assert "Traceback" not in err and "unexpected" not in err, err
    return lines(err)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def handles(process: Forked, number: signal.Signals) -> bool:
    """Whether it has said what a signal is to do."""
    status = Path(f"/proc/{process._process.pid}/status").read_text()
    return bool(int(re.findall(r"SigCgt:\s*(\w+)", status)[0], 16) >> (number - 1) & 1)


def small(code: str, **extra: str) -> subprocess.Popen[str]:
    """A program without torch, of which nothing but its processes is of interest. It says "here" when it is ready."""
    head = "import hashlib, os, signal, subprocess, sys, time\nfrom invariantnets import processes\n"
    command = [sys.executable, "-c", head + code]
    process = subprocess.Popen(command, env=environment(**extra), stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    return process


BODY = """
try:
    with processes.program(["ckpt_path=last"]):
        print("here", flush=True)
        {}
except KeyboardInterrupt:
    processes.leave("interrupted", 1)
"""
STUCK = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # a call into C that no signal interrupts
DEAF = "\n        while True:\n            try: time.sleep(60)\n            except BaseException: pass"
SLOW = "\n        try: time.sleep(60)\n        finally: time.sleep(0.5)"  # closes its loggers


@pytest.mark.parametrize("number", [TERM, INT, HUP])
@pytest.mark.parametrize(
    "code",
    [
        BODY.format(SLOW),
        "processes.TO_REACT = 0.3" + BODY.format(STUCK),
        "processes.TO_CLOSE = 0.3" + BODY.format(DEAF),
    ],
    ids=["slow", "stuck", "deaf"],
)
def test_a_signal_ends_a_program_whatever_it_does(code: str, number: signal.Signals) -> None:
    process = small(code)
    try:
        process.send_signal(number)
        time.sleep(0.1)
        process.send_signal(number)  # as `timeout` does
        assert process.communicate(timeout=20) == ("", f"interrupted; {AGAIN}\n")
        assert process.returncode == 128 + number
    finally:
        process.kill()


def test_a_program_that_is_to_outlive_its_terminal_does() -> None:
    code = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + BODY.format("time.sleep(0.5)")
    process = small(code)
    process.send_signal(HUP)
    assert process.communicate(timeout=20) == ("", "") and process.returncode == 0


@pytest.mark.parametrize(("speaks", "said"), [(True, 1), (False, 0)])
def test_a_process_ends_with_the_one_that_started_it(speaks: bool, said: int) -> None:
    child = f"from invariantnets import processes; import time; processes.be_one_of(speaks={speaks})\n"
    child += "print('here', flush=True); time.sleep(60)"
    process = small(BODY.format(f"subprocess.run([sys.executable, '-c', {child!r}])"), MARK=f"ends-{said}")
    assert process.stdout is not None and process.stdout.readline() == "here\n" and len(left(f"ends-{said}")) == 1
    process.kill()
    _, err = process.communicate(timeout=5)  # which waits for both, that hold its ends
    assert not left(f"ends-{said}") and err.count(f"({process.pid}) was killed") == len(err.splitlines()) == said


@pytest.mark.slow
def test_an_ended_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = (*QUICK, "trainer.max_epochs=4")
    run("train.py", *whole, "hydra.run.dir=whole", cwd=tmp_path)
    process = start("train.py", *whole, "hydra.run.dir=broken", cwd=tmp_path, MARK="resumed")
    wait_for((tmp_path / "broken" / "checkpoints" / "last.ckpt").exists, process)
    process.send_signal(TERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + TERM and err == f"interrupted; {AGAIN}\n"
    run("train.py", *whole, "hydra.run.dir=broken", "ckpt_path=last", cwd=tmp_path)
    found = weights(tmp_path / "broken")
    assert all(torch.equal(found[name], value) for name, value in weights(tmp_path / "whole").items())


def test_a_signal_before_anything_has_begun(tmp_path: Path) -> None:
    process = start("train.py", *LONG, cwd=tmp_path, MARK="early")
    wait_for(lambda: handles(process, TERM), process)
    process.send_signal(TERM)
    assert end(process, "early") == [f"interrupted; {AGAIN}"] and process.returncode == 128 + TERM


def test_an_evaluation_says_how_it_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "t.npz", x=rng.normal(size=(3000, 64)), label=np.arange(3000) % 30, yaw=rng.normal(size=3000))
    words = ("features=t.npz", "hydra.run.dir=run", "probes.mlp_epochs=100000")
    process = start("evaluate.py", *words, cwd=tmp_path, MARK="evaluation")
    wait_for((tmp_path / "run" / "finished.json").exists, process)
    process.send_signal(TERM)
    assert end(process, "evaluation") == ["interrupted; continue with hydra.run.dir=run"]
    assert process.returncode == 128 + TERM


def faulty(tmp_path: Path, mark: str, rank: int, moment: str, what: str, *words: str) -> Forked:
    (tmp_path / "fault.py").write_text(FAULT)
    fault = [f"+callbacks.fault.{word}" for word in (f"rank={rank}", f"moment={moment}", f"what={what}")]
    path = f"{ROOT / 'src'}{os.pathsep}{tmp_path}"
    target = "+callbacks.fault._target_=fault.Fault"
    return start("train.py", *LONG, *words, target, *fault, cwd=tmp_path, MARK=mark, PYTHONPATH=path)


def deaths() -> list[object]:
    """Strategy, which process ends, when, how → what is said and the exit status."""
    named = rf"error: process {{}} \(\d+\) {{}}; {AGAIN}"
    gone = rf"error: the first process \(\d+\) was killed, and the others end; {AGAIN}"
    rows = [
        (DDP, 1, "training", "SIGKILL", named.format(1, "was ended by SIGKILL"), 2),
        (DDP, 1, "training", "SIGTERM", named.format(1, "was ended by SIGTERM"), 2),
        (DDP, 1, "training", "error", named.format(1, "ended: a fault of its own"), 2),
        (DDP, 1, "before", "SIGKILL", named.format(1, "was ended by SIGKILL"), 2),
        (DDP, 1, "before", "error", named.format(1, "ended: a fault of its own"), 2),
        (DDP, 0, "training", "SIGKILL", gone, -9),
        (DDP, 0, "training", "error", "error: a fault of its own", 2),
        (SPAWN, 0, "training", "SIGKILL", named.format(0, "was ended by SIGKILL"), 2),
        (SPAWN, 1, "training", "SIGTERM", named.format(1, "was ended by SIGTERM"), 2),
        (SPAWN, 1, "training", "error", named.format(1, "ended: a fault of its own"), 2),
    ]
    names = ["-".join((row[0][1][8:], *map(str, row[1:4]))) for row in rows]
    slow = [[], *[pytest.mark.slow] * (len(rows) - 1)]
    return [pytest.param(*row, id=name, marks=marks) for row, name, marks in zip(rows, names, slow, strict=True)]


@pytest.mark.parametrize(("strategy", "rank", "moment", "what", "said", "status"), deaths())
def test_a_process_that_ends_ends_the_others_and_is_named(
    tmp_path: Path, strategy: tuple[str, ...], rank: int, moment: str, what: str, said: str, status: int
) -> None:
    process = faulty(tmp_path, mark := f"{rank}-{moment}-{what}", rank, moment, what, *strategy)
    (line,) = end(process, mark, seconds=120)
    assert re.fullmatch(said, line), line
    assert process.returncode == status


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [DDP, SPAWN], ids=["ddp", "ddp_spawn"])
@pytest.mark.parametrize("number", [TERM, INT, KILL])
def test_a_signal_to_the_first_ends_all(tmp_path: Path, strategy: tuple[str, ...], number: signal.Signals) -> None:
    process = start("train.py", *LONG, *strategy, cwd=tmp_path, MARK=(mark := f"first-{number}"))
    wait_for((tmp_path / "run" / "checkpoints" / "last.ckpt").exists, process)
    assert left(mark)
    process.send_signal(number)
    said = end(process, mark)
    if number == KILL:
        assert process.returncode == -KILL and len(said) == (strategy is DDP)
    else:
        assert process.returncode == 128 + number and said == [f"interrupted; {AGAIN}"]


@pytest.mark.slow
def test_a_signal_ends_a_process_that_waits_for_another(tmp_path: Path) -> None:
    process = faulty(tmp_path, "waits", 1, "training", "sleep", *DDP)
    wait_for((tmp_path / "asleep").exists, process)
    process.send_signal(TERM)
    assert end(process, "waits") == [f"interrupted; {AGAIN}"] and process.returncode == 128 + TERM


@pytest.mark.slow
@pytest.mark.parametrize("number", [TERM, INT, KILL])
def test_a_sweep_ends_with_its_workers_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    words = (*QUICK, "trainer.max_epochs=6", "data.epoch_batches=30", *SWEEP)
    process = start("train.py", "-m", *words, cwd=tmp_path, MARK=(mark := f"sweep-{number}"))
    wait_for((tmp_path / "sweep" / "0" / "checkpoints" / "last.ckpt").exists, process)
    assert len(left(mark)) >= 2
    process.send_signal(number)
    said = end(process, mark)
    if number == KILL:
        assert process.returncode == -KILL and not said
    else:
        assert process.returncode == 128 + number and said == [f"interrupted; {AGAIN} hydra.sweep.dir=sweep"]
    if number == TERM:
        run("train.py", *QUICK, "trainer.max_epochs=6", "data.epoch_batches=30", "hydra.run.dir=whole", cwd=tmp_path)
        run("train.py", "-m", *words, "ckpt_path=last", cwd=tmp_path)
        found = weights(tmp_path / "sweep" / "0")
        assert all(torch.equal(found[name], value) for name, value in weights(tmp_path / "whole").items())


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_in_one_line(tmp_path: Path) -> None:
    words = (*QUICK, "trainer.max_epochs=500", *SWEEP)
    process = start("train.py", "-m", *words, cwd=tmp_path, MARK="worker")
    wait_for((tmp_path / "sweep" / "0" / "checkpoints" / "last.ckpt").exists, process)
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in left("worker")}
    os.kill(next(pid for pid, command in commands.items() if "popen_loky" in command), KILL)
    said = [f"error: a process of the sweep was ended by SIGKILL; {AGAIN} hydra.sweep.dir=sweep"]
    assert end(process, "worker") == said and process.returncode == 2
