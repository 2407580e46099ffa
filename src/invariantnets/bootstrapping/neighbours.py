"""The nearest hyperplanes of a few seeds in a pool that is larger than memory: exact, whatever the blocks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from invariantnets.bootstrapping.precision import coarse_type
from invariantnets.errors import InvariantNetsError

BLOCK = 4_096  # hyperplanes scored at a time: they and their scores should stay in the cache
SAMPLE, RUN = 16_384, 1_024  # hyperplanes that thresholds are guessed from, and how many of them lie together
CROWDED = 4  # times as many candidates as were asked for: then coarse scores are no help
UNIT = 1e-4  # rows whose length differs from 1 by less are scored as they are
Found = tuple[np.ndarray, np.ndarray]  # numbers of hyperplanes, and their cosines


class Coarse(NamedTuple):
    """What products are made in: a type, the integers in whose order its positive numbers are, its unit roundoff."""

    dtype: torch.dtype
    integer: torch.dtype
    roundoff: float


BFLOAT16, FLOAT32 = Coarse(torch.bfloat16, torch.int16, 2.0**-8), Coarse(torch.float32, torch.int32, 2.0**-24)


@dataclass(frozen=True)
class Neighbours:
    """The ``k`` nearest of each of ``S`` seeds, nearest first; of equally near ones, lower numbers first.

    Attributes:
        index: ``(S, k)`` int64 numbers of hyperplanes.
        similarity: ``(S, k)`` float64 cosines.
    """

    index: np.ndarray
    similarity: np.ndarray


def nearest(normals: np.ndarray, seeds: np.ndarray, k: int, *, first: int = 0, block: int = BLOCK) -> Neighbours:
    """The ``k`` hyperplanes with the highest cosine to each seed (2015 paper, section 3.3).

    A sample of the pool tells about how near they are. One pass of coarse products, in bfloat16 where the processor
    multiplies it faster, keeps every hyperplane that could be so near, given what rounding can do; these are scored in
    float64. Where fewer than ``k`` turn out to be, the pass is made again for a lower threshold. So neither sample nor
    blocks nor rounding decide who is among them, and equal hyperplanes tie exactly.

    Args:
        normals: ``(N, D)`` float32 or float16, usually memory-mapped; rows of zeros are nobody's neighbours.
        seeds: ``(S, D)`` normals to start from. One that is in the pool finds itself first.
        k: neighbours of each.
        first: number of the first row, if ``normals`` are a part of a pool: see :func:`merge`.
        block: rows at a time.

    Raises:
        InvariantNetsError: fewer than ``k`` hyperplanes, another width, or a seed of zeros.
    """
    if seeds.shape[1:] != normals.shape[1:]:
        raise InvariantNetsError(f"seeds have width {seeds.shape[1]}, the hyperplanes {normals.shape[1]}")
    if not 1 <= k <= len(normals):
        raise InvariantNetsError(f"k={k}: the pool has {len(normals)} hyperplanes; choose from 1 to that many")
    wide = seeds.astype(np.float64)
    lengths = np.sqrt(_dots(wide, wide))
    if not (lengths > 0).all():
        raise InvariantNetsError(f"seed {int(np.argmin(lengths))} has no hyperplane (all zeros, or NaN); draw another")
    answers = _scan(normals, wide / lengths[:, None], k, block)
    if (fewest := min(len(index) for index, _ in answers)) < k:
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


def _scan(normals: np.ndarray, seeds: np.ndarray, k: int, block: int) -> list[Found]:
    sample = _sampled_cosines(normals, seeds)
    share = k * sample.shape[1] / len(normals)
    # Among the sample's nearest; further if that is chance, and again if it was not far enough.
    rank = k if sample.shape[1] == len(normals) else math.ceil(share + 3 * math.sqrt(share))
    answers: list[Found] = [(np.zeros(0, np.int64), np.zeros(0))] * len(seeds)
    left = np.arange(len(seeds))
    while len(left):
        threshold = np.full(len(left), -np.inf)
        if rank <= sample.shape[1]:
            threshold = sample[left].topk(rank).values[:, -1].double().numpy()
        coarse, slack = _choose(seeds[left], threshold, sample[left], rank)
        rows = _above(normals, seeds[left], threshold - slack, coarse, block)
        for seed, found in zip(left, _exact(normals, seeds[left], rows, k), strict=True):
            answers[seed] = found
        nearest_k = np.array([cosine[-1] if len(cosine) == k else -np.inf for _, cosine in (answers[i] for i in left)])
        # What is above the threshold was all seen.
        left, rank = left[nearest_k < threshold], 4 * rank
    return answers


def _sampled_cosines(normals: np.ndarray, seeds: np.ndarray) -> torch.Tensor:
    """``(S, n)`` float32: runs of rows all over the pool, or all of it; -inf for rows of zeros.

    A little too low rather than too high: if all rows are here, so are ``k`` that are as near as the ``k``-th.
    """
    runs = [slice(None)]
    if len(normals) > SAMPLE:
        runs = [slice(start, start + RUN) for start in np.linspace(0, len(normals) - RUN, SAMPLE // RUN).astype(int)]
    rows = torch.from_numpy(np.concatenate([normals[run] for run in runs])).float()
    lengths = torch.linalg.vector_norm(rows, dim=1)
    cosines = torch.from_numpy(seeds).float() @ rows.T
    cosines /= lengths
    cosines -= _slack(seeds, FLOAT32).max()
    return cosines.masked_fill_(~(lengths > 0), -torch.inf)


def _slack(seeds: np.ndarray, coarse: Coarse) -> np.ndarray:
    """``(S,)`` how far a cosine can be above its coarse product."""
    rounded = torch.from_numpy(seeds).to(coarse.dtype).double().numpy()
    of_sums = 4 * (seeds.shape[1] + 8) * FLOAT32.roundoff  # twice what can happen to D products and to a length
    return (np.sqrt(_dots(seeds - rounded, seeds - rounded)) + coarse.roundoff) * (1 + coarse.roundoff) + of_sums + UNIT


def _choose(seeds: np.ndarray, threshold: np.ndarray, sample: torch.Tensor, rank: int) -> tuple[Coarse, np.ndarray]:
    """The coarser type if it is fast here and its slack lets few more through, and that slack."""
    slack = _slack(seeds, BFLOAT16)
    passing = int((sample >= torch.from_numpy(threshold - slack)[:, None]).sum()) / len(seeds)
    if passing <= CROWDED * rank and coarse_type("cpu") == torch.bfloat16:
        return BFLOAT16, slack
    return FLOAT32, _slack(seeds, FLOAT32)


def _above(normals: np.ndarray, seeds: np.ndarray, least: np.ndarray, coarse: Coarse, block: int) -> list[np.ndarray]:
    """Of each seed, the rows whose coarse product is ``least`` or more, in order; all if that is not positive."""
    queries, threshold = torch.from_numpy(seeds).to(coarse.dtype), _as_integers(least, coarse)[:, None]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nor is it written to
        pool = torch.from_numpy(normals)
    rounded = torch.empty(min(block, len(pool)), seeds.shape[1], dtype=coarse.dtype)
    scores = torch.empty(len(seeds) * len(rounded), dtype=coarse.dtype)
    passed = []
    for start in range(0, len(pool), block):
        rows = pool[start : start + block].float()
        lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        low, high = lengths.aminmax()
        if low < 1 - UNIT or high > 1 + UNIT:
            rows = rows / lengths.clamp_(min=torch.finfo(torch.float32).tiny)
        found = scores[: len(seeds) * len(rows)].view(len(seeds), len(rows))
        torch.mm(queries, rounded[: len(rows)].copy_(rows).T, out=found)
        seed, row = np.divmod(np.flatnonzero(found.view(coarse.integer).numpy() >= threshold), len(rows))
        passed.append((seed, row + start))
    seed, row = (np.concatenate(columns) for columns in zip(*passed, strict=True))
    return np.split(row[np.argsort(seed, kind="stable")], np.cumsum(np.bincount(seed, minlength=len(seeds)))[:-1])


def _as_integers(least: np.ndarray, coarse: Coarse) -> np.ndarray:
    """Integers that compare with the bits of a score as ``least`` does with it, rounded down; else the lowest."""
    bits = least.astype(np.float32).view(np.int32)
    wanted = bits >> 16 if coarse.integer == torch.int16 else bits
    lowest = torch.iinfo(coarse.integer).min
    return np.where(least > 0, wanted, lowest).astype(np.int16 if coarse.integer == torch.int16 else np.int32)


def _exact(normals: np.ndarray, seeds: np.ndarray, rows: Sequence[np.ndarray], k: int) -> list[Found]:
    """Of each seed, the ``k`` nearest among some rows, or as many as are not 0."""
    # Into the same memory each time: taking fresh pages for every seed costs more than the products.
    stored, wide = np.empty((RUN, normals.shape[1]), normals.dtype), np.empty((RUN, normals.shape[1]))
    answers = []
    for seed, candidates in zip(seeds, rows, strict=True):
        cosine = np.empty(len(candidates))
        for start in range(0, len(candidates), RUN):
            part = candidates[start : start + RUN]
            x = wide[: len(part)]
            x[:] = np.take(normals, part, axis=0, out=stored[: len(part)], mode="clip")
            with np.errstate(invalid="ignore"):
                cosine[start : start + RUN] = _dots(x, np.broadcast_to(seed, x.shape)) / np.sqrt(_dots(x, x))
        order = np.lexsort((candidates, -cosine))[:k]
        order = order[~np.isnan(cosine[order])]
        answers.append((candidates[order], cosine[order]))
    return answers
