"""Signs of a change of many numbers, compared between all pairs of pictures, and intervals of what is found."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["Sums", "compared", "intervals", "signs"]

# Of the layer's largest number: a difference that is smaller is rounding, and counts as none.
ROUNDING = 2.0**-20
BLOCK = 1 << 16
Interval = tuple[float, float, float]


class Sums(IntEnum):
    """Planes of what `compared` finds. All but the first are shares of the layer's numbers, or what chance makes them.

    ``PAIRS``: 1 where two pictures are compared. ``DIFFER``: the signs are not the same, 0 being a third one.
    ``OPPOSITE``: one is above 0, the other below. ``BOTH``: neither is 0. ``CHANCE_…``: the same if each picture's
    signs were shuffled over the numbers of the layer.
    """

    PAIRS = 0
    DIFFER = 1
    OPPOSITE = 2
    BOTH = 3
    CHANCE_DIFFER = 4
    CHANCE_OPPOSITE = 5
    CHANCE_BOTH = 6


def signs(before: Tensor, after: Tensor) -> Tensor:
    """Signs of ``before - after``, ``(b, D)`` int8 on the CPU: 0 where they are the same but for rounding."""
    before, after = before.flatten(1).double(), after.flatten(1).double()
    change = before - after
    change[change.abs() <= ROUNDING * before.abs().amax(1, keepdim=True)] = 0
    return change.sign().to(torch.int8).cpu()


def compared(sign: Tensor, kind: np.ndarray | None = None) -> np.ndarray:
    """All pairs of pictures.

    Args:
        sign: ``(m, D)`` int8 of −1, 0 and 1.
        kind: ``(m,)``; only pictures of different kinds are compared. None: all pairs of different pictures.

    Returns:
        ``(7, m, m)`` float64, the planes of `Sums`; 0 where two pictures are not compared.
    """
    m, width = sign.shape
    same, both = torch.zeros(2, m, m, dtype=torch.float64)
    for start in range(0, width, BLOCK):
        part = sign[:, start : start + BLOCK].float()
        same += (part @ part.T).double()  # pairs that agree less those that are opposite: whole numbers, exact
        part.abs_()
        both += (part @ part.T).double()
    above, below = ((sign == s).double().mean(1).numpy() for s in (1, -1))
    none = 1 - above - below
    both_share, opposite = both.numpy() / width, ((both - same) / 2).numpy() / width
    # Both zero: those that are not (changed in the one) or (changed in the other).
    zeros = none[:, None] + none - 1 + both_share
    differ = 1 - (both_share - opposite) - zeros
    planes = np.empty((len(Sums), m, m))
    planes[Sums.PAIRS] = 1
    planes[Sums.DIFFER], planes[Sums.OPPOSITE], planes[Sums.BOTH] = differ, opposite, both_share
    planes[Sums.CHANCE_DIFFER] = 1 - sum(np.outer(share, share) for share in (above, below, none))
    planes[Sums.CHANCE_OPPOSITE] = np.outer(above, below) + np.outer(below, above)
    planes[Sums.CHANCE_BOTH] = np.outer(1 - none, 1 - none)
    compare = ~np.eye(m, dtype=bool) if kind is None else kind[:, None] != kind
    return np.where(compare, planes, 0.0)


def intervals(
    ratios: Sequence[tuple[np.ndarray, np.ndarray]], source: np.ndarray, less: Sequence[tuple[int, int]] = ()
) -> list[Interval]:
    """Ratios of sums over pairs, with 95 % intervals by leaving out pictures with all their pairs.

    Args:
        ratios: numerator and denominator of each, ``(m, m)``; both diagonal where it is one of pictures, not of pairs.
        source: ``(m,)`` of each picture.
        less: places of two ratios whose difference, first less second, is wanted beside them.

    Returns:
        Value, low and high of each ratio, then of each difference; NaN where there is none.
    """
    above, below = (np.stack(part) for part in zip(*ratios, strict=True))
    first, second = ([pair[i] for pair in less] for i in (0, 1))

    def statistic(counts: np.ndarray) -> np.ndarray:
        there = counts[:, 1:]
        sums = [np.einsum("ri,kij,rj->rk", there, part, there, optimize=True) for part in (above, below)]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = sums[0] / sums[1]
        return np.concatenate([found, found[:, first] - found[:, second]], 1)

    m = len(source)
    # A mean over pairs scatters evenly about a difference of two, unlike shares of pictures that are right or wrong.
    numbers = [Number("share", (0,))] * len(ratios) + [Number("any", (0,))] * len(less)
    every = Resampling(source).interval(np.column_stack([np.ones(m), np.eye(m)]), statistic, numbers)
    return [(float(v), float(low), float(high)) for v, low, high in zip(*every, strict=True)]
