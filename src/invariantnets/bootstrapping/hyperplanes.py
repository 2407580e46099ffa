"""A hyperplane for each identity of a pool, in a file that grows block by block."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invariantnets.bootstrapping.pool import Pool
from invariantnets.bootstrapping.rows import write_rows
from invariantnets.bootstrapping.svm import ClosedForm, Negatives, Svm
from invariantnets.errors import InvariantNetsError


def write_hyperplanes(
    path: str | Path,
    pool: Pool,
    negatives: Negatives,
    method: Svm | ClosedForm,
    *,
    min_images: int = 2,
    dtype: str = "float32",
    memory: int = 64 << 20,
    progress: Callable[[int], object] = int,
) -> np.ndarray:
    """The unit normal of each identity's linear model, one against the negatives (2015 paper, section 3.3).

    Reads the features and writes the normals in blocks: memory does not grow with the pool. Interrupted, it
    goes on where it was when it is called again with the same arguments (``memory`` may differ).

    Args:
        path: the ``.npy`` to write; its progress is kept beside it.
        pool: features sorted by identity; a part of one gives that part's rows.
        negatives: of the whole pool, the same for every part.
        method: the SVM, or the approximation.
        min_images: an identity with fewer images has no hyperplane: its row is 0, and nobody's neighbour.
        dtype: ``float32``, or ``float16`` to halve the bytes that a search reads.
        memory: bytes to work in; about so much is held beside the negatives.
        progress: told the number of identities done after each block.

    Returns:
        ``(I, D)`` unit normals, mapped for reading.

    Raises:
        InvariantNetsError: another width than the negatives', features that are not finite, or a file
            that was begun with other settings, is truncated, or cannot be written.
    """
    width = pool.features.shape[1]
    if width + 1 != negatives.x.shape[1]:
        raise InvariantNetsError(f"pool: its features have width {width}, the negatives {negatives.x.shape[1] - 1}")
    if min_images < 1:
        raise InvariantNetsError(f"min_images={min_images}: an identity needs at least 1 image")

    def make(done: int) -> Iterator[np.ndarray]:
        for block in blocks(pool, negatives, memory, done):
            yield _normals(pool, block, negatives, method, min_images)
            progress(block.stop)

    return write_rows(path, (len(pool), width), dtype, identify(pool, negatives, method, min_images), make)


def blocks(pool: Pool, negatives: Negatives, memory: int, start: int = 0) -> Iterator[slice]:
    """Identities that are computed together: as many as fit into so many bytes."""
    # Copies of the padded images, and scores of the negatives with what is derived from them.
    row_bytes, identity_bytes = 3 * 4 * negatives.x.shape[1], 8 * 4 * len(negatives.owner)
    return pool.blocks(start, memory, row_bytes, identity_bytes)


def identify(pool: Pool, negatives: Negatives, method: Svm | ClosedForm, min_images: int) -> dict[str, Any]:
    """Plain JSON of all that determines the normals."""
    return {
        "pool": pool.fingerprint(),
        "negatives": hashlib.sha256(negatives.x.cpu().numpy().data).hexdigest(),
        "method": {"name": type(method).__name__, **asdict(method)},
        "min_images": min_images,
    }


def _normals(pool: Pool, block: slice, negatives: Negatives, method: Svm | ClosedForm, min_images: int) -> np.ndarray:
    """``(B, D)`` float32: unit normals, or 0."""
    device = negatives.x.device
    enough = torch.from_numpy(pool.counts[block] >= min_images).to(device)
    normals = torch.zeros(len(enough), pool.features.shape[1], device=device)
    if not bool(enough.any()):
        return normals.cpu().numpy()
    identity = torch.arange(pool.first + block.start, pool.first + block.stop, device=device)[enough]
    weights, converged = method(pool.padded(block, device)[enough], identity, negatives)
    normals[enough] = torch.nn.functional.normalize(weights[:, :-1], dim=1)
    _check(weights, converged, identity)
    return normals.cpu().numpy()


def _check(weights: Tensor, converged: Tensor, identity: Tensor) -> None:
    finite = weights.isfinite().all(1)
    if not bool(finite.all()):
        raise InvariantNetsError(
            f"identity {int(identity[~finite][0])} of the pool: its features are not finite; extract them again"
        )
    if not bool(converged.all()):
        warnings.warn(
            f"{int((~converged).sum())} of {len(converged)} hyperplanes from identity {int(identity[0])} on did not "
            "meet the tolerance; allow more steps (max_iter), a larger tolerance or a smaller C",
            stacklevel=2,
        )
