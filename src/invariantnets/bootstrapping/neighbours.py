"""The nearest hyperplanes of a few seeds in a pool that is larger than memory: exact, whatever the blocks."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from invariantnets.errors import InvariantNetsError

BLOCK = 8_192  # hyperplanes scored at a time; their scores should stay in the cache
Engine = Literal["scan", "faiss"]


@dataclass(frozen=True)
class Neighbours:
    """The ``k`` nearest of each of ``S`` seeds, nearest first; of equally near ones, lower numbers first.

    Attributes:
        index: ``(S, k)`` int64 numbers of hyperplanes.
        similarity: ``(S, k)`` float64 cosines.
    """

    index: np.ndarray
    similarity: np.ndarray


class _Best:
    """Candidates of one seed: all whose score could still be among the ``k`` highest, given its rounding error."""

    def __init__(self, k: int, slack: float) -> None:
        self.k, self.slack, self.threshold = k, slack, -np.inf
        self.index, self.score = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = 0

    def add(self, scores: np.ndarray, first: int) -> None:
        """Scores of the hyperplanes from number ``first`` on; NaN is none."""
        chosen = np.flatnonzero(scores >= self.threshold)
        if len(chosen):
            self._pending.append((chosen + first, scores[chosen]))
            self._count += len(chosen)
            if self._count > self.k:
                self.merge()

    def merge(self) -> None:
        parts = [(self.index, self.score), *self._pending]
        self.index, self.score = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        self._pending, self._count = [], 0
        if len(self.score) > self.k:
            self.threshold = np.partition(self.score, -self.k)[-self.k] - self.slack
            kept = self.score >= self.threshold
            self.index, self.score = self.index[kept], self.score[kept]


def nearest(
    normals: np.ndarray, seeds: np.ndarray, k: int, *, first: int = 0, engine: Engine = "scan", block: int = BLOCK
) -> Neighbours:
    """The ``k`` hyperplanes with the highest cosine to each seed (2015 paper, section 3.3).

    Blocks are scored in float32 by one product; only scores above the k-th best so far are kept, less the
    error that float32 can make. What is left is scored in float64, so that the answer does not depend on
    the blocks, and equal hyperplanes tie exactly.

    Args:
        normals: ``(N, D)`` float32 or float16, usually memory-mapped; rows of zeros are nobody's neighbours.
        seeds: ``(S, D)`` normals to start from. One that is in the pool finds itself first.
        k: neighbours of each.
        first: number of the first row, if ``normals`` are a part of a pool: see :func:`merge`.
        engine: ``scan``, or ``faiss`` for its flat search of each block (if installed; what is then kept
            of a block's ties at the k-th place is up to it).
        block: rows at a time.

    Raises:
        InvariantNetsError: fewer than ``k`` hyperplanes, another width, a seed of zeros, or no FAISS.
    """
    if seeds.shape[1:] != normals.shape[1:]:
        raise InvariantNetsError(f"seeds have width {seeds.shape[1]}, the hyperplanes {normals.shape[1]}")
    if not 1 <= k <= len(normals):
        raise InvariantNetsError(f"k={k}: the pool has {len(normals)} hyperplanes; choose from 1 to that many")
    if engine == "faiss" and importlib.util.find_spec("faiss") is None:
        raise InvariantNetsError("engine=faiss: FAISS is not installed; pip install faiss-cpu, or use engine=scan")
    wide = seeds.astype(np.float64)
    lengths = np.sqrt(_dots(wide, wide))
    if not (lengths > 0).all():
        raise InvariantNetsError(f"seed {int(np.argmin(lengths))} has no hyperplane (all zeros, or NaN); draw another")
    unit = wide / lengths[:, None]
    # Twice what rounding can do to a sum of D products and to a norm, relative to the lengths.
    slack = 4 * (seeds.shape[1] + 8) * 2.0**-24
    best = [_Best(k, slack) for _ in seeds]
    search = _faiss if engine == "faiss" else _scan
    search(normals, torch.from_numpy(unit.astype(np.float32)), best, block)
    answers = [_exact(normals, seed, found) for seed, found in zip(unit, best, strict=True)]
    if any(len(index) < k for index, _ in answers):
        fewest = min(len(index) for index, _ in answers)
        raise InvariantNetsError(f"k={k}: only {fewest} of the pool's identities have a hyperplane; choose a smaller k")
    index, similarity = (np.stack(columns) for columns in zip(*answers, strict=True))
    return Neighbours(index + first, similarity)


def merge(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """The ``k`` nearest of the whole pool from those of its parts.

    Raises:
        InvariantNetsError: the parts found fewer than ``k``.
    """
    index, similarity = (np.concatenate([getattr(p, name) for p in parts], 1) for name in ("index", "similarity"))
    if index.shape[1] < k:
        raise InvariantNetsError(f"k={k}: the parts found {index.shape[1]} neighbours of each seed together")
    order = np.lexsort((index, -similarity))[:, :k]
    return Neighbours(np.take_along_axis(index, order, 1), np.take_along_axis(similarity, order, 1))


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``(N,)`` inner products of rows, each summed in the same order wherever the row stands."""
    return np.einsum("nd,nd->n", a, b)


def _scan(normals: np.ndarray, seeds: torch.Tensor, best: list[_Best], block: int) -> None:
    block = min(block, len(normals))
    rows, scores = np.empty((block, seeds.shape[1]), np.float32), torch.empty(len(seeds), block)
    for start in range(0, len(normals), block):
        part = normals[start : start + block]
        x = torch.from_numpy(rows)[: len(part)]
        np.copyto(rows[: len(part)], part)
        out = scores if len(part) == block else torch.empty(len(seeds), len(part))
        torch.mm(seeds, x.T, out=out)
        out /= x.norm(dim=1)  # 0 / 0: NaN is above no threshold
        for candidates, row in zip(best, out.numpy(), strict=True):
            candidates.add(row, start)


def _faiss(normals: np.ndarray, seeds: torch.Tensor, best: list[_Best], block: int) -> None:
    faiss = importlib.import_module("faiss")
    for start in range(0, len(normals), block):
        part = np.asarray(normals[start : start + block], np.float32)
        live = np.flatnonzero(part.any(1))
        unit = part[live] / np.linalg.norm(part[live], axis=1, keepdims=True)
        scores, index = faiss.knn(seeds.numpy(), unit, min(best[0].k, len(unit)), metric=faiss.METRIC_INNER_PRODUCT)
        full = np.full((len(best), len(part)), np.nan, np.float32)
        np.put_along_axis(full, live[index], scores, 1)
        for candidates, row in zip(best, full, strict=True):
            candidates.add(row, start)


def _exact(normals: np.ndarray, seed: np.ndarray, best: _Best) -> tuple[np.ndarray, np.ndarray]:
    best.merge()
    x = np.asarray(normals[best.index], np.float64)
    similarity = _dots(x, np.broadcast_to(seed, x.shape)) / np.sqrt(_dots(x, x))
    order = np.lexsort((best.index, -similarity))[: best.k]
    return best.index[order], similarity[order]
