"""The area under the ROC of pairs of images, with an interval over the people who are on them."""

from __future__ import annotations

import numpy as np

from invariantnets.probes.metrics import placements
from invariantnets.protocols.verification import Pairs
from invariantnets.statistics.intervals import Scatter, effective_sources, share_bounds

__all__ = ["mean_area"]


def mean_area(scores: np.ndarray, pairs: Pairs, label: np.ndarray) -> tuple[np.ndarray, float, float, int]:
    """Areas by several scores of the same pairs, and the interval of their mean.

    It leaves out each person in turn, with all the pairs that show them (Arvesen 1969), from the projection of the area
    on pairs (`probes.metrics`), so that it takes one sort for each score.

    Args:
        scores: ``(P, M)``.
        pairs: of both kinds.
        label: ``(N,)`` identity of each row.

    Returns:
        ``(M,)`` areas; low and high end of the 95 % interval of their mean, NaN if there are fewer than three people;
        and how many there are.
    """
    same = pairs.same
    placed = np.stack([placements(column, same) for column in scores.T], 1)
    areas, mean = placed[same].mean(0), placed.mean(1)
    value = float(areas.mean())
    _, ends = np.unique(np.concatenate([label[pairs.left], label[pairs.right]]), return_inverse=True)
    left, right = np.split(ends, 2)
    n = int(ends.max()) + 1
    if n < 3:
        return areas, np.nan, np.nan, n
    count, total = np.empty((2, n)), np.empty((2, n))
    for i, kind in enumerate((same, ~same)):
        # Of a pair of one person, that person is taken out once.
        shown = np.concatenate([left[kind], right[kind][left[kind] != right[kind]]])
        weight = np.concatenate([mean[kind], mean[kind][left[kind] != right[kind]]])
        count[i], total[i] = np.bincount(shown, minlength=n), np.bincount(shown, weight, n)
    rest = np.array([[same.sum()], [(~same).sum()]]) - count
    sums = np.array([[mean[same].sum()], [mean[~same].sum()]]) - total
    without = np.divide(sums, rest, out=np.full(sums.shape, value), where=rest > 0).sum(0) - value
    variance = float((n - 1) / n * ((without - without.mean()) ** 2).sum())
    effective = float(effective_sources(count.T).min())
    freedom, alone = max(effective - 1, 1.0), effective < 1.5
    return areas, *share_bounds(value, Scatter(variance, n), effective, freedom, alone), n
