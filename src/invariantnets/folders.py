"""The folder of a run: one run at a time writes in it, and none of an earlier one is overwritten."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from invariantnets.errors import InvariantNetsError
from invariantnets.files import sweep_up

__all__ = ["first_process", "held", "refuse_used"]

log = logging.getLogger(__name__)
LOCK = ".running.lock"


def first_process() -> bool:
    """Whether this is the first, or the only, process of a run: Lightning's rule, before Lightning is loaded."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"))
    return int(next((rank for rank in ranks if rank), 0)) == 0


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else's for as long as the block runs, and whatever ends it; what killed runs left unfinished goes.

    Several processes of one run share what the first of them holds.

    Raises:
        InvariantNetsError: another run lives in the folder.
    """
    if not first_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / LOCK).acquire(timeout=0)
    except Timeout:
        raise InvariantNetsError(
            f"{folder}: another run is at work in it; wait for its end, or choose another folder with "
            "hydra.run.dir=… (a sweep: hydra.sweep.dir=…)"
        ) from None
    except NotImplementedError:
        log.warning("%s: files cannot be locked there; see that no other run writes into it", folder)
        yield
        return
    with lock:
        sweep_up(folder)
        yield


def refuse_used(folder: Path) -> None:
    """A training that begins must not overwrite the network of another.

    Raises:
        InvariantNetsError: there is a checkpoint in the folder.
    """
    if first_process() and (known := sorted(folder.glob("checkpoints/*.ckpt"))):
        raise InvariantNetsError(
            f"{folder}: holds a run already ({known[-1].relative_to(folder)}): go on with it by ckpt_path=last, or "
            "choose another folder with hydra.run.dir=… (a sweep: hydra.sweep.dir=…)"
        )
