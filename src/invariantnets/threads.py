"""How many CPU threads a program computes on, and how long one of them waits for the others before it sleeps.

What the user says holds: ``threads=``, or one of `SAID` in the environment. Light: it is there before torch is loaded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["for_training", "now", "spin_briefly", "use"]

log = logging.getLogger(__name__)
SAID = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
OPEN = "INVARIANTNETS_THREADS_OPEN"  # in the environment: the user said nothing, whatever joblib tells its workers
# Parameters of a network below which one thread is as fast as two with the machine to itself, and several times as fast
# beside other processes (docs/running.md). A thread is worth its barriers where each has much to do between two.
SMALL = 10_000_000


def spin_briefly() -> None:
    """Let a thread of OpenMP that waits at a barrier sleep after about a millisecond. Before torch is loaded.

    By itself it spins for some thirty, all of which are lost where another process has the core of the thread that it
    waits for. Never to spin costs more than it saves on a machine that is free.
    """
    if not any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")):
        os.environ["GOMP_SPINCOUNT"] = "10000"
    if not any(name in os.environ for name in SAID):
        os.environ[OPEN] = "1"


def use(number: int | None) -> None:
    """Compute on so many threads, in processes that are started from here on as well; None: as the environment says."""
    if number is None:
        return
    import torch
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys((*SAID, "OPENBLAS_NUM_THREADS"), str(number)))  # of libraries yet to be loaded
    os.environ.pop(OPEN, None)
    threadpool_limits(number)
    torch.set_num_threads(number)


@contextmanager
def for_training(parameters: int, before: int | None = None) -> Iterator[None]:
    """Train on as many threads as pay for a network of so many parameters, unless the user said how many.

    Args:
        parameters: of the network.
        before: of the run that goes on, as its checkpoint says: sums of other threads differ in their last digits.
    """
    import torch

    own = torch.get_num_threads()
    number = own
    if OPEN in os.environ:
        possible = before in range(1, 1 + (os.cpu_count() or 1))
        number = before if before and possible else 1 if parameters < SMALL else own
    if before not in (None, number):
        log.info("goes on with threads=%d, which was %s: no longer the same to the last digit", number, before)
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(own)


def now() -> int:
    """Threads that this process computes on: the most that a library of it would take."""
    from threadpoolctl import threadpool_info

    return max((int(library["num_threads"]) for library in threadpool_info()), default=1)
