"""The processes of a program: a signal ends all of them, none outlives the first, and one line says what happened.

The first is the one that a user starts. Those that it starts (jobs of a sweep, processes of ``trainer=ddp``) know it by
the environment. Light: it is there before torch is loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

__all__ = ["Interrupted", "again", "be_one_of", "ended", "leave", "lost", "program", "remember", "take_ranks", "unwind"]

PARENT = "INVARIANTNETS_PARENT"  # in the environment: the process of ours that started this one
LINES = "INVARIANTNETS_LINES"  # and a folder for what the processes of ddp have to say at their end
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
TO_REACT, TO_CLOSE = 5.0, 30.0  # seconds: to leave a call into C, e.g. one that waits for a process; to close loggers
LOST = 75  # exit status of a process whose peers are gone: not it is to blame
_PEERS = re.compile(r"gloo/|NCCL|^Dist\w*Error")  # what torch's errors say where a connection to a peer has failed


class Interrupted(KeyboardInterrupt):
    """A signal asks the program to end; it goes the way of the keyboard's."""


@dataclass
class _Program:
    """What the first process knows of its end.

    Attributes:
        words: what continues the program, on its command line.
        line: what is said at the end, once that is known.
        status: the exit status that goes with it.
        reacted: the main thread has left what it did.
        over: the program has ended by itself.
        closing: an error has ended the training, and nothing needs to be interrupted.
        ranks: processes of ddp, by rank.
        told: the line was printed, or handed on.
    """

    words: tuple[str, ...] = ("ckpt_path=last",)
    line: str = ""
    status: int = 0
    reacted: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    closing: bool = False
    ranks: dict[int, subprocess.Popen] = field(default_factory=dict)
    told: threading.Lock = field(default_factory=threading.Lock)


_now = _Program()
_first = True


def remember(folder: str | Path, *, sweep: bool) -> None:
    """Where this program writes, for the line that says how to continue it."""
    trained = [word for word in _now.words if word == "ckpt_path=last"]
    if sweep:
        _now.words = (*trained, f"hydra.sweep.dir={folder}")
    elif not trained:
        _now.words = (f"hydra.run.dir={folder}",)


def again() -> str:
    """How an interrupted program is continued."""
    return f"continue with {' '.join(_now.words)}"


@contextmanager
def program(words: Iterable[str]) -> Iterator[None]:
    """A program runs: SIGTERM, SIGINT and SIGHUP raise `Interrupted`, once, in the first of its processes.

    A main thread that is in a call that does not return, or that goes on all the same, is ended after seconds.

    Args:
        words: of the command line, that continue it.
    """
    global _now
    _now = _Program(tuple(words))
    if not be_one_of(speaks=os.environ.get("LOCAL_RANK") == "1"):
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    other = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_insist, args=(reading, _now), name="signals", daemon=True).start()
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # nohup, or a shell's background
                signal.signal(number, _interrupt)
        yield
        with suppress(subprocess.TimeoutExpired):
            for process in _now.ranks.values():
                process.wait(TO_CLOSE)
    except BaseException as error:
        _end_others()
        if isinstance(error, Interrupted):  # before the program has begun, or while it waits for its processes
            leave(_now.line, _now.status)
        raise
    finally:
        _now.over.set()
        if folder := os.environ.pop(LINES, None):
            shutil.rmtree(folder, ignore_errors=True)
        signal.set_wakeup_fd(other)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)  # the thread ends
        os.environ.pop(PARENT, None)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _now.reacted.is_set():  # `timeout` sends two
        _now.reacted.set()
        _decide(f"interrupted; {again()}", 128 + number)
        raise Interrupted(number)


def _insist(reading: int, now: _Program) -> None:
    """Told of a signal at once, where the handler must wait for the main thread: end a program that does not."""
    number = 0
    while number not in SIGNALS:
        byte = os.read(reading, 1)
        if not byte:
            os.close(reading)
            return
        number = byte[0]
    _decide(f"interrupted; {again()}", 128 + number)
    if now.reacted.wait(TO_REACT) and now.over.wait(TO_CLOSE):
        return
    _tell(now.line)
    _end_others()
    shutil.rmtree(os.environ.get(LINES, ""), ignore_errors=True)
    os._exit(now.status)


def _decide(line: str, status: int) -> None:
    """What came first has the word."""
    if not _now.line:
        _now.line, _now.status = line, status


def _tell(line: str) -> None:
    """Print it if nothing was said; a process of ddp hands it to the first one instead."""
    if not _now.told.acquire(blocking=False):
        return
    if not _first and LINES in os.environ:
        try:
            Path(os.environ[LINES], str(os.getpid())).write_text(line, encoding="utf-8")
            return
        except OSError:
            pass  # then it says so itself
    if threading.current_thread() is threading.main_thread():
        sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)
    else:  # the main thread may hold the stream
        os.write(2, f"{line}\n".encode())


def leave(line: str, status: int) -> NoReturn:
    """End the program with one line, unless a signal or the end of another process was first.

    Raises:
        SystemExit: always, in the first process.
    """
    _decide(line, status)
    _tell(_now.line)
    if not _first:
        os._exit(_now.status)  # the first waits for it
    sys.exit(_now.status)


def unwind(error: BaseException) -> None:
    """An error has ended the training of this process: nothing else is to interrupt it while it closes its files."""
    _now.closing = True


def _end_others() -> None:
    """Leave no process behind."""
    for process in _now.ranks.values():
        process.kill()
    for child in multiprocessing.active_children():
        assert child.pid is not None
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)  # joblib's know no kill()


def be_one_of(*, speaks: bool = False) -> bool:
    """Be one of the program's processes: the first, or one that ends within a second of the one that started it.

    Ctrl-C reaches all processes of a terminal; it is the first that ends the others.

    Args:
        speaks: whether this one says it, when the first is gone without a word.

    Returns:
        Whether this is the first.
    """
    global _first
    me, parent = str(os.getpid()), os.environ.get(PARENT)
    if parent == me:
        return _first
    os.environ[PARENT] = me
    _first = parent is None
    if parent is not None:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        threading.Thread(target=_follow, args=(int(parent), speaks), name="parent", daemon=True).start()
    return _first


def _follow(parent: int, speaks: bool) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    if speaks:
        os.write(2, f"error: the first process ({parent}) was killed, and the others end; {again()}\n".encode())
    os._exit(LOST)


def take_ranks(processes: Iterable[subprocess.Popen]) -> None:
    """Processes of ddp that this one has started, from the first rank on: if one ends otherwise than well, all do."""
    _now.ranks = dict(enumerate(processes, 1))
    threading.Thread(target=_attend, args=(_now,), name="ranks", daemon=True).start()


def lines_folder() -> None:
    """Before processes of ddp start: where they leave what they have to say."""
    os.environ.setdefault(LINES, tempfile.mkdtemp(prefix="invariantnets-"))


def _attend(now: _Program) -> None:
    while any(process.poll() is None for process in now.ranks.values()):
        if _fallen(now):
            break
        time.sleep(0.2)
    if not (text := _fallen(now)):
        return
    time.sleep(2)  # the main thread, which most often has lost its peer, may end by itself
    if not now.closing and not now.line:
        _decide(f"error: {text}", 2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _fallen(now: _Program) -> str:
    """Which process of ddp ended first, and how; nothing if none did otherwise than well or for the loss of another."""
    for rank, process in now.ranks.items():
        if process.returncode not in (None, 0, LOST):
            said = Path(os.environ.get(LINES, ""), str(process.pid))
            line = said.read_text(encoding="utf-8").removeprefix("error: ") if said.is_file() else ""
            return _how(rank, process.pid, process.returncode, line)
    return ""


def _how(rank: int, pid: int, status: int, line: str = "") -> str:
    if status < 0:
        end = f"was ended by {signal.Signals(-status).name}"
    else:
        end = f"ended: {line}" if line else f"ended with status {status}"
    return f"process {rank} ({pid}) {end}; {again()}"


def lost(error: BaseException) -> bool:
    """Whether what failed is the connection to another process."""
    return isinstance(error, RuntimeError) and bool(_PEERS.search(f"{type(error).__name__}: {error}"))


def ended(error: BaseException) -> str:
    """What an error says of the end of another process, in one line; nothing if it is about something else."""
    name, text = type(error).__name__, str(error)
    if name == "ProcessExitedException":  # torch's, of ddp_spawn
        return _how(error.error_index, error.error_pid, error.exit_code)  # type: ignore[attr-defined]
    if name == "ProcessRaisedException":
        ours = re.findall(r"^invariantnets\.[\w.]+Error: (.*)", text, re.MULTILINE)
        line = ours[0] if ours else text.strip().splitlines()[-1]
        return _how(error.error_index, error.error_pid, 1, line)  # type: ignore[attr-defined]
    if name in ("TerminatedWorkerError", "BrokenProcessPool"):  # joblib's
        signals = ", ".join(sorted(set(re.findall(r"SIG[A-Z]+", text)))) or "a signal"
        return f"a process of the sweep was ended by {signals}; {again()}"
    if lost(error):
        if not _first:
            time.sleep(TO_REACT)  # the first finds out, and ends this one; `_follow` does if the first is gone
            os._exit(LOST)
        end = time.monotonic() + TO_REACT
        while _now.ranks and not _fallen(_now) and time.monotonic() < end:
            for process in _now.ranks.values():
                process.poll()
            time.sleep(0.05)
        return _fallen(_now) or f"another process of this run ended; {again()}"
    return ""
