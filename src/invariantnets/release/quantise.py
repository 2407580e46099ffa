"""Few levels for each feature: what is released is coarse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.release.release import Release, fit_rows


def best_levels(values: np.ndarray, levels: int) -> np.ndarray:
    """The levels of least squared error: of one feature k-means has one best solution, and this is it.

    Values are parted between neighbours, and the best parting of the first j into k + 1 is one of the first i < j into
    k and a part from there. Where the last part begins grows with j, so that the middle is searched before the halves
    (as in Wang & Song 2011 and Grønlund et al. 2017): N log N.

    Args:
        values: ``(N,)`` of one feature.
        levels: how many.

    Returns:
        ``(levels,)`` float64, ascending; the last is repeated where there are fewer different values.
    """
    different, count = np.unique(values.astype(np.float64), return_counts=True)
    origin = different.mean()
    n, sums = np.append(0, count.cumsum()), np.append(0, ((different - origin) * count).cumsum())
    parts, end = min(levels, len(different)), len(different)
    begins, best = [], np.append(-np.inf, sums[1:] ** 2 / n[1:])
    for _ in range(parts - 2):
        begin, best = _one_more(best, n, sums)
        begins.append(begin)
    cuts = [end]
    if parts > 1:  # of the last level only the whole is wanted
        cuts.append(int((best[:end] + (sums[end] - sums[:end]) ** 2 / (n[end] - n[:end])).argmax()))
        for begin in reversed(begins):
            cuts.append(int(begin[cuts[-1]]))
    at = [0, *reversed(cuts)]
    placed = np.diff(sums[at]) / np.diff(n[at]) + origin
    return np.pad(placed, (0, levels - parts), mode="edge")


def _one_more(best: np.ndarray, n: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each number of first values: where the last of k + 1 parts begins, and the squares that they explain.

    Args:
        best: ``(M + 1,)`` the squares that k parts of the first j values explain; -∞ where j is fewer than k.
        n: ``(M + 1,)`` rows of the first j values.
        sums: ``(M + 1,)`` of them.
    """
    end = len(best) - 1
    begin, found = np.zeros(end + 1, np.int64), np.full(end + 1, -np.inf)
    stride = 1 << end.bit_length()
    while stride := stride // 2:
        j = np.arange(stride, end + 1, 2 * stride)
        low = begin[j - stride]
        after = j + stride
        high = np.minimum(np.where(after <= end, begin[np.minimum(after, end)], end), j - 1)
        length = high - low + 1
        start = length.cumsum() - length
        i = np.arange(length.sum()) - np.repeat(start - low, length)
        to = np.repeat(j, length)
        explained = best[i] + (sums[to] - sums[i]) ** 2 / (n[to] - n[i])
        found[j] = np.maximum.reduceat(explained, start)
        first = np.flatnonzero(explained == np.repeat(found[j], length))
        at = first[np.searchsorted(first, start)]
        begin[j] = i[at]
    return begin, found


def round_to(x: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Each feature's nearest level.

    Args:
        x: ``(N, D)`` features.
        levels: ``(D, L)``, ascending.
    """
    coarse = np.empty_like(x)
    for out, values, placed in zip(coarse.T, x.T, levels, strict=True):
        out[:] = placed[np.searchsorted((placed[1:] + placed[:-1]) / 2, values)]
    return coarse


@dataclass(frozen=True)
class Quantise:
    """Round each feature to its own few levels. Told nothing of the nuisance.

    Attributes:
        levels: how many; 2 leaves one bit of each feature.
    """

    levels: int = 2

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Place the levels on the training rows.

        Args:
            table: with rows of split train.
            layer: of the table.

        Raises:
            InvariantNetsError: fewer than two levels, no training row, or features that cannot be used.
        """
        if self.levels < 2:
            raise InvariantNetsError(f"release.levels={self.levels}: there must be two at least")
        part = table.part("train")
        check_layer(part, layer)
        fit = fit_rows(part, seed=0).features[layer]
        levels = np.stack([best_levels(column, self.levels) for column in fit.T])
        how = f"quantised to {self.levels} levels"
        return Release(round_to, {"levels": levels}, layer, len(levels), how, len(fit), table.meta)
