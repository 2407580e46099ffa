"""What is left where the worst are discarded: curves over the share that is, as stairs.

A curve starts where nothing is discarded. Rows of equal quality go together, and between two cuts nothing changes:
nothing is interpolated (ISO/IEC 29794-1:2024; Schlett et al. 2023, section I, say "error versus discard").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from invariantnets.statistics.intervals import Number, Scatter, bounds, effective_sources
from invariantnets.statistics.resampling import draw

__all__ = ["SHOWN", "Areas", "area", "areas_of", "perfect_area", "stairs", "step_at", "target_threshold"]

SHOWN = (0.0, 0.1, 0.2)  # shares discarded at which numbers are given
_ROUNDING = 1e-9  # against 0.1 * 30 = 3.0000000000000004
BLOCK_DRAWS = 64


def stairs(quality: np.ndarray, quantities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over the rows that each cut leaves.

    Args:
        quality: ``(N,)``, higher is better.
        quantities: ``(N, Q)`` what is summed.

    Returns:
        ``(K,)`` the least quality that is left, rising, one cut for each quality that occurs; ``(K,)`` the share of
        rows that is discarded, from 0; ``(K, Q)`` sums over what is left.
    """
    order = np.argsort(quality, kind="stable")
    cut, first = np.unique(quality[order], return_index=True)
    left = np.add.reduceat(quantities[order], first, axis=0)[::-1].cumsum(0)[::-1]
    return cut, first / len(quality), left


def step_at(discarded: np.ndarray, share: float) -> int:
    """The last cut that discards no more than a share."""
    return int(np.searchsorted(discarded, share + _ROUNDING, side="right")) - 1


def target_threshold(mated: np.ndarray, target: float) -> float:
    """The highest threshold below which no larger share of the mated scores lies.

    Args:
        mated: ``(P,)`` scores; one below the threshold is a false non-match.
        target: the share, below 1.
    """
    rank = int(np.floor(target * len(mated) + _ROUNDING))
    return float(np.partition(mated, rank)[rank])


def area(discarded: np.ndarray, value: np.ndarray, limit: float) -> np.ndarray:
    """Area under stairs, from nothing discarded up to a share.

    Args:
        discarded: ``(K,)`` or ``(K, R)``, from 0, rising.
        value: ``(K, R)`` at each cut.
        limit: at most 1.

    Returns:
        ``(R,)``.
    """
    ends = np.minimum(np.concatenate([discarded, np.ones_like(discarded[:1])]), limit)
    widths = np.diff(ends, axis=0)
    found: np.ndarray = (widths.reshape(len(widths), -1) * value).sum(0)
    return found


def perfect_area(start: np.ndarray, limit: float) -> np.ndarray:
    """Area under the line that falls by what is discarded, each of it an error, until none is left.

    No stairs lie below it: of n comparisons, k of them errors, those that lose j of both have (k − j) / (n − j).

    Args:
        start: the error where nothing is discarded, of any shape.
        limit: as of `area`.
    """
    found: np.ndarray = (start**2 - np.maximum(start - limit, 0) ** 2) / 2
    return found


class Areas(NamedTuple):
    """Areas under the stairs of an error rate, up to a share discarded.

    Attributes:
        whole: under the stairs.
        perfect: as of `perfect_area`.
        random: of stairs that are flat, as those of discarding in random order.
        beyond: the whole less the perfect; low and high of it.
        relative: that as a part of what random order has: 0 for perfect, 1 for useless, more for worse than random; low
            and high of it.
    """

    whole: float
    perfect: float
    random: float
    beyond: tuple[float, float, float]
    relative: tuple[float, float, float]


def areas_of(
    quality: np.ndarray,
    errors: np.ndarray,
    group: np.ndarray,
    limit: float,
    replicates: int,
    rng: np.random.Generator,
) -> Areas:
    """Areas, and intervals over independent groups: how far they scatter is that of a bootstrap over these.

    Args:
        quality: ``(P,)``.
        errors: ``(P,)`` 1 for an error, else 0, decided once, by a threshold that stays; not all 0, nor all 1.
        group: ``(P,)`` number of the source of each, ``0 .. G - 1``.
        limit: as of `area`.
        replicates: of the bootstrap. One without an error has no say.
        rng: draws.
    """
    groups = int(group.max()) + 1

    def three(counts: np.ndarray) -> np.ndarray:
        weight = counts[:, group].T.astype(np.float64)
        _, _, left = stairs(quality, np.concatenate([weight * errors[:, None], weight], 1))
        wrong, every = np.split(left, 2, axis=1)
        share = np.divide(wrong, every, out=np.zeros_like(wrong), where=every > 0)
        return np.stack([area(1 - every / every[0], share, limit), perfect_area(share[0], limit), limit * share[0]])

    ((whole,), (perfect,), (random,)) = three(np.ones((1, groups), np.uint8))
    beyond, relative = whole - perfect, (whole - perfect) / (random - perfect)
    if groups == 1:
        return Areas(whole, perfect, random, (beyond, np.nan, np.nan), (relative, np.nan, np.nan))
    counts = draw(groups, replicates, rng)
    drawn = np.concatenate([three(counts[i : i + BLOCK_DRAWS]) for i in range(0, replicates, BLOCK_DRAWS)], 1)
    drawn = drawn[:, drawn[2] > drawn[1]]
    more = drawn[0] - drawn[1]
    rows = np.bincount(group, minlength=groups).astype(np.float64)
    effective = effective_sources(rows[:, None])
    found = []
    for value, over in ((beyond, more), (relative, more / (drawn[2] - drawn[1]))):
        scatter = Scatter(float(over.var()) * groups / (groups - 1), groups)
        ends = bounds(Number("positive", (0,)), float(value), scatter, Scatter(np.nan, groups), effective)
        found.append((float(value), *ends))
    return Areas(float(whole), float(perfect), float(random), *found)
