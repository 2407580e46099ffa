"""Hyperplanes and search on more than one machine: the same answers, mapped over parts of the pool by Ray.

The machines share a file system. Ray starts the parts, and once more those of a lost worker; what was written is kept.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from invariantnets.bootstrapping.hyperplanes import blocks, identify, write_hyperplanes
from invariantnets.bootstrapping.neighbours import Neighbours, merge, nearest
from invariantnets.bootstrapping.pool import Pool
from invariantnets.bootstrapping.rows import write_rows
from invariantnets.bootstrapping.svm import ClosedForm, Negatives, Svm
from invariantnets.errors import InvariantNetsError


def write_hyperplanes_in_parts(
    path: str | Path,
    features: str | Path,
    offsets: np.ndarray,
    negatives: Negatives,
    method: Svm | ClosedForm,
    *,
    parts: int,
    min_images: int = 2,
    dtype: str = "float32",
    memory: int = 64 << 20,
) -> np.ndarray:
    """:func:`write_hyperplanes` by the workers of the Ray cluster that this process is connected to.

    Writes the file that one process would write. The parts are kept in ``<path>.parts`` until all are there;
    interrupted, it goes on with what is missing, with the same number of parts.

    Args:
        path: the ``.npy`` to write, seen by all machines.
        features: the pool's ``.npy``, seen by all machines under this name.
        offsets: of the pool's identities, see `Pool`.
        negatives: of the whole pool.
        method: the SVM, or the approximation.
        parts: how many; a few for each worker.
        min_images: see `write_hyperplanes`.
        dtype: see `write_hyperplanes`.
        memory: bytes that each part works in.

    Returns:
        ``(I, D)`` unit normals, mapped for reading.

    Raises:
        InvariantNetsError: Ray is not installed, a part was lost time and again, or as `write_hyperplanes`.
    """
    path, pool = Path(path), Pool(np.load(features, mmap_mode="r"), offsets)
    folder = path.with_name(f"{path.name}.parts")
    # Cut where one process ends a block: its sums have the same order, and the last bit agrees.
    starts = np.array([block.start for block in blocks(pool, negatives, memory)])
    cuts = np.unique(starts[np.linspace(0, len(starts), parts, endpoint=False).astype(int)]).tolist()

    def part(start: int, stop: int, negatives: Negatives) -> None:
        share = Pool(np.load(features, mmap_mode="r"), offsets).part(start, stop)
        out = folder / f"{start}.npy"
        write_hyperplanes(out, share, negatives, method, min_images=min_images, dtype=dtype, memory=memory)

    def make(done: int) -> Iterator[np.ndarray]:
        _map(part, [(start, stop) for start, stop in zip(cuts, [*cuts[1:], len(pool)], strict=True)], negatives)
        for start in cuts:
            rows = np.load(folder / f"{start}.npy", mmap_mode="r")
            yield rows[max(0, done - start) :]

    shape = len(pool), pool.features.shape[1]
    normals = write_rows(path, shape, dtype, identify(pool, negatives, method, min_images), make)
    shutil.rmtree(folder, ignore_errors=True)
    return normals


def nearest_in_parts(normals: str | Path, seeds: np.ndarray, k: int, *, parts: int) -> Neighbours:
    """:func:`nearest` by the workers of the Ray cluster that this process is connected to; the same neighbours.

    Args:
        normals: the ``.npy`` of `write_hyperplanes`, seen by all machines under this name.
        seeds: ``(S, D)`` normals to start from.
        k: neighbours of each.
        parts: of the pool, searched side by side.

    Raises:
        InvariantNetsError: Ray is not installed, a part was lost time and again, or as `nearest`.
    """
    bounds = np.linspace(0, len(np.load(normals, mmap_mode="r")), parts + 1).astype(int).tolist()

    def part(start: int, stop: int, seeds: np.ndarray) -> list[Neighbours]:
        rows = np.load(normals, mmap_mode="r")[start:stop]
        found = min(k, int(np.count_nonzero(rows.any(1))))
        return [nearest(rows, seeds, found, first=start)] if found else []

    answers = _map(part, list(itertools.pairwise(bounds)), seeds)
    return merge([found for answer in answers for found in answer], k)


def _map(work: Callable[..., Any], arguments: Sequence[tuple[int, int]], shared: object) -> list[Any]:
    """``work(*argument, shared)`` for each, in order, on the cluster."""
    if importlib.util.find_spec("ray") is None:
        raise InvariantNetsError("Ray is not installed; pip install 'invariantnets[ray]', or use one process")
    ray = importlib.import_module("ray")
    task, everywhere = ray.remote(work), ray.put(shared)
    try:
        return list(ray.get([task.remote(*argument, everywhere) for argument in arguments]))
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, InvariantNetsError) else error) from None
    except ray.exceptions.RayError as error:
        why = " ".join(str(error).split())
        raise InvariantNetsError(f"Ray: a part was lost ({why}); run again: what is done is kept") from error
