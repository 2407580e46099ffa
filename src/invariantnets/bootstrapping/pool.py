"""Features of a pool of identities, sorted by identity, in a file that is larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invariantnets.bootstrapping.svm import Negatives, with_bias
from invariantnets.errors import InvariantNetsError

SAMPLED_ROWS = 1024


@dataclass(frozen=True)
class Pool:
    """The images of identity ``first + i`` are the rows ``offsets[i]:offsets[i + 1]``.

    Attributes:
        features: ``(N, D)`` float32 or float16, usually memory-mapped.
        offsets: ``(I + 1,)`` int64, ascending.
        first: number of the first identity; not 0 in a part of a larger pool.

    Raises:
        InvariantNetsError: the offsets do not fit the features.
    """

    features: np.ndarray
    offsets: np.ndarray
    first: int = 0

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.features.dtype.kind != "f":
            raise InvariantNetsError(f"pool: its features are {self.features.dtype} of shape {self.features.shape}")
        ascending = len(self.offsets) > 1 and bool((np.diff(self.offsets) >= 0).all())
        if not ascending or self.offsets[0] < 0 or self.offsets[-1] > len(self.features):
            raise InvariantNetsError(
                f"pool: the offsets do not divide its {len(self.features)} rows; sort them by identity and count them"
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> np.ndarray:
        """``(I,)`` images of each identity."""
        return np.diff(self.offsets)

    def part(self, start: int, stop: int) -> Pool:
        """Some of the identities, as one machine's share; nothing is copied."""
        return Pool(self.features, self.offsets[start : stop + 1], self.first + start)

    def fingerprint(self) -> str:
        """SHA-256 of its shape, its offsets and a thousand of its rows: another pool or network gives another."""
        sample = np.linspace(0, max(0, len(self.features) - 1), SAMPLED_ROWS).astype(np.int64)
        digest = hashlib.sha256(f"{self.features.shape} {self.features.dtype} {self.first}".encode())
        digest.update(np.ascontiguousarray(self.offsets, np.int64).data)
        if len(self.features):
            digest.update(np.ascontiguousarray(self.features[sample]).data)
        return digest.hexdigest()

    def blocks(self, start: int, budget: int, row_bytes: int, identity_bytes: int) -> Iterator[slice]:
        """From identity ``start`` on, as many at a time as fit into ``budget`` bytes when padded to the longest."""
        counts = self.counts
        while start < len(self):
            window = counts[start : start + max(1, budget // identity_bytes)]
            size = (np.maximum.accumulate(window) * row_bytes + identity_bytes) * np.arange(1, len(window) + 1)
            stop = start + max(1, int(np.searchsorted(size, budget, "right")))
            yield slice(start, stop)
            start = stop

    def padded(self, block: slice, device: str | torch.device) -> Tensor:
        """``(B, P, D + 1)`` float32 images with their bias; rows of zeros fill up the shorter identities."""
        start, stop = self.offsets[block.start], self.offsets[block.stop]
        counts = torch.from_numpy(self.counts[block])
        row = torch.repeat_interleave(torch.arange(len(counts)), counts)
        place = torch.arange(stop - start) - (counts.cumsum(0) - counts)[row]
        images = with_bias(torch.from_numpy(np.array(self.features[start:stop], np.float32)))
        out = images.new_zeros(len(counts), int(counts.max()), images.shape[1])
        out[row, place] = images
        return out.to(device)


def draw_negatives(
    pool: Pool, count: int, rng: np.random.Generator, *, device: str | torch.device = "cpu"
) -> Negatives:
    """Random images of the pool that every identity but their own is told from (2015 paper, section 3.3).

    Args:
        pool: of all identities.
        count: images; the cost of a hyperplane grows with it.
        rng: draws them without replacement.
        device: where hyperplanes will be computed.

    Raises:
        InvariantNetsError: the pool has fewer images, or their features are not finite.
    """
    start, stop = int(pool.offsets[0]), int(pool.offsets[-1])
    if not 1 <= count <= stop - start:
        raise InvariantNetsError(f"negatives={count}: the pool has {stop - start} images; choose from 1 to that many")
    rows = start + np.sort(rng.choice(stop - start, count, replace=False))
    features = np.asarray(pool.features[rows], np.float32)
    if not np.isfinite(features).all():
        raise InvariantNetsError("pool: features are not finite (NaN or infinite); extract them again")
    owner = pool.first + np.searchsorted(pool.offsets, rows, "right") - 1
    return Negatives.of(torch.from_numpy(features).to(device), torch.from_numpy(owner).to(device))
