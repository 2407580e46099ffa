"""Faults of what is around a run: its other processes, servers and networks, the clock."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from doing import LONGEST, assert_same, assert_sound, begin, end_of, finish, real
from kills import LENET, SWEEP, TRAIN
from moments import appears, wait_for
from places import broken_off
from trial import Impossible, Trial
from whole import Work

MARK = "TORTURE_OF"  # in the environment of every process of a trial
DDP = Work("ddp", "train.py", (*TRAIN, "trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=60"))
JOBLIB = Work(
    "joblib",
    "train.py",
    (*SWEEP.words, "trainer.max_epochs=60", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
)
SOON = 15.0  # seconds in which the others have ended


def processes(mark: str) -> list[int]:
    """Those that were started with a mark in their environment, and live."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
        except OSError:
            continue
    return sorted(found)


def works(pid: int) -> bool:
    """Whether a process is Python at work on a part of a run, not one of its helpers."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"train.py" in command or b"loky" in command and b"resource_tracker" not in command


def one_is_ended(
    folder: Path, rng: random.Random, work: Work, sign: str, whom: str, by: signal.Signals, status: tuple[int, ...]
) -> None:
    """The first process, or another, is ended: no process is left soon after, and one line says what happened."""
    mark = str(folder)
    process = real(work, folder, **{MARK: mark})
    try:
        assert wait_for(appears(sign)(rng, 0), process, folder / "run"), f"it was over before: {end_of(process)}"
        others = [pid for pid in processes(mark) if pid != process.pid and works(pid)]
        assert others, "there are no others"
        os.kill(process.pid if whom == "first" else others[-1], by)
        start = time.monotonic()
        while (left := processes(mark)) and time.monotonic() - start < SOON:
            time.sleep(0.2)
        assert not left, f"{len(left)} processes live {SOON:.0f} s after"
        end = end_of(process)
        assert end.status in status, f"{end}"
        if end.status > 0:
            said = [line for line in end.err.splitlines() if line.startswith(("error: ", "interrupted"))]
            assert len(said) == 1 and "Traceback" not in end.err + end.out, f"not one line: {end}"
    finally:
        for pid in processes(mark):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def deaf(connection: socket.socket) -> None:
    """A server that never answers."""
    time.sleep(LONGEST)


def broken(connection: socket.socket) -> None:
    """A server that ends in the middle of its answer."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    connection.close()


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of one that is there while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def watched_by(folder: Path, rng: random.Random, at: str | Callable[[socket.socket], None]) -> None:
    """Weights & Biases is asked to watch, at a server that is none: the run comes to its end all the same."""
    home = {"HOME": str(folder), "WANDB_API_KEY": "0" * 40, "WANDB_ERROR_REPORTING": "false"}
    words = ("logger=wandb", "logger.offline=false", "logger.timeout=3")
    if isinstance(at, str):
        end = finish(LENET, folder, *words, **home, WANDB_BASE_URL=at)
    else:
        with server(at) as url:
            end = finish(LENET, folder, *words, **home, WANDB_BASE_URL=url)
    assert end.status == 0 and "Traceback" not in end.err + end.out, f"{end}"
    shutil.rmtree(folder / "run" / "wandb")
    assert_same(LENET, folder)


def no_network(folder: Path, rng: random.Random) -> None:
    """Pictures that are on no disk here, and no network to load them."""
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        raise Impossible("a process cannot be cut off from the network (unshare -n)")
    work = Work("-", "train.py", (*TRAIN, "data=rotated_mnist", "paths.data_dir=data"))
    end = end_of(real(work, folder, before=("unshare", "-n")))
    assert_sound(end, folder / "run", "data", refused=True)


def wrong_clock(folder: Path, rng: random.Random) -> None:
    """Files are from the year 2099: a run goes on with them as with any."""
    run = broken_off(LENET, folder)
    for path in (p for p in folder.rglob("*") if p.is_file()):
        os.utime(path, (4_070_908_800, 4_070_908_800))
    process = begin(LENET, folder, "ckpt_path=last")
    end = end_of(process)
    assert end.status == 0, f"{end}"
    assert_same(LENET, folder, run)


def trials() -> list[Trial]:
    """All of them."""
    kill, term = signal.SIGKILL, signal.SIGTERM
    ddp = partial(one_is_ended, work=DDP, sign="checkpoints/last.ckpt")
    joblib = partial(one_is_ended, work=JOBLIB, sign="0/checkpoints/last.ckpt")
    return [
        Trial("a process of ddp is killed", "processes", partial(ddp, whom="other", by=kill, status=(2,))),
        Trial("the first process of ddp is killed", "processes", partial(ddp, whom="first", by=kill, status=(-9,))),
        Trial("the first of a sweep is killed", "processes", partial(joblib, whom="first", by=kill, status=(-9,))),
        Trial("SIGTERM to the first of a sweep", "processes", partial(joblib, whom="first", by=term, status=(143,))),
        Trial("a worker of a sweep is killed", "processes", partial(joblib, whom="other", by=kill, status=(2,))),
        Trial("W&B refuses", "network", partial(watched_by, at="http://127.0.0.1:9")),
        Trial("W&B never answers", "network", partial(watched_by, at=deaf)),
        Trial("W&B ends in the middle", "network", partial(watched_by, at=broken)),
        Trial("W&B is nowhere", "network", partial(watched_by, at="http://nowhere.invalid")),
        Trial("pictures cannot be loaded", "network", no_network),
        Trial("files are of the future", "clock", wrong_clock),
    ]
