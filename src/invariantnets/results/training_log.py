"""What a run wrote of itself while it was trained: ``csv/version_*/metrics.csv`` beside its ``checkpoints/``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from invariantnets.errors import InvariantNetsError
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import check_own

__all__ = ["ACCURACY", "ONLINE", "training_log"]

log = logging.getLogger(__name__)
ONLINE, ACCURACY = "online/", "val/accuracy"
# Folder of the network that a run began from, where it trained that first (`training.train_first`).
FIRST = "init_from"


def training_log(checkpoint: Path | None, layers: Sequence[str] = ()) -> Arrays | None:
    """The online probes of a run and its accuracy at validation, by step of training.

    A run that was resumed has several files: from where a later one begins, the earlier ones no longer count. The steps
    of the network that it began from, where it trained that itself, come before 0.

    Args:
        checkpoint: ``<run>/checkpoints/<name>.ckpt``; None: of no run.
        layers: of the network, in order of execution, in which those that were probed come; a file has them by name.

    Returns:
        ``step`` (T,) int64, ascending; ``names`` (K,) of the columns; ``values`` (T, K) float64, NaN where nothing was
        written. None where there is no such file, or none that can be read, or no online probe in it.
    """
    if checkpoint is None or checkpoint.parent.name != "checkpoints":
        return None
    run = checkpoint.parent.parent
    try:
        parts = [frame for frame in (_read(run / FIRST), _read(run)) if frame is not None]
    except (InvariantNetsError, OSError, ValueError, KeyError) as error:
        log.warning("%s: its metrics are not shown (%s)", run, " ".join(str(error).split()))
        return None
    if len(parts) == 2:
        parts[0].index -= parts[0].index.max() + 1
    table = pd.concat(parts) if parts else pd.DataFrame()
    if not table.filter(like=ONLINE).notna().any(axis=None):
        return None
    place = {f"{ONLINE}{layer}": i for i, layer in enumerate(layers)}
    table = table[sorted(table, key=lambda name: place.get(str(name).rpartition("/")[0], -1))]
    return {
        "step": table.index.to_numpy(np.int64),
        "names": np.array([str(name) for name in table], dtype=str),
        "values": table.to_numpy(np.float64),
    }


def _read(run: Path) -> pd.DataFrame | None:
    """The wanted columns by step; None where nothing is there.

    Raises:
        InvariantNetsError: a file that no run would have left.
        ValueError: not a table of numbers.
        KeyError: no column ``step``.
    """
    found: pd.DataFrame | None = None
    files = {
        int(end): path for path in run.glob("csv/version_*/metrics.csv") if (end := path.parent.name[8:]).isdigit()
    }
    for _, path in sorted(files.items()):
        check_own(path)
        if not path.stat().st_size:  # nothing was logged
            continue
        frame = pd.read_csv(path)
        wanted = [name for name in map(str, frame) if name == ACCURACY or name.startswith(ONLINE)]
        if not wanted:
            continue
        frame = frame.set_index(frame["step"].astype(np.int64))[wanted].astype(np.float64).dropna(how="all")
        if len(frame):
            frame = frame.groupby(level=0).last()  # of one step the rows complete each other
            found = frame if found is None else pd.concat([found[found.index < frame.index.min()], frame])
    return found
