"""k nearest neighbours by blocked matrix products."""

from __future__ import annotations

import numpy as np
import torch

NEIGHBOURS = (1, 2, 4, 8, 16, 32, 64)
BLOCK_QUERIES = 1024
GROUP = 16


def neighbour_grid(points: int) -> tuple[int, ...]:
    """The numbers of neighbours to choose from that ``points`` allow."""
    return tuple(k for k in NEIGHBOURS if k <= points)


def merge_equal(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make one point of rows with equal features, with the mean of their targets.

    In a collapsed representation nearly all rows tie; the k that a search happens to return first
    would then predict one arbitrary number for everything.

    Args:
        features: ``(M, D)`` float32.
        targets: ``(M, T)``.

    Returns:
        the index of one row of each point ``(P,)`` and the mean targets ``(P, T)``.
    """
    rows = np.ascontiguousarray(features).view(np.dtype((np.void, features.itemsize * features.shape[1])))[:, 0]
    _, first, group, count = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    sums = [np.bincount(group, column, len(first)) for column in targets.T]
    return first, np.stack(sums, 1) / count[:, None]


def nearest(fit: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` nearest rows by Euclidean distance.

    The smallest ‖q - f‖² is the largest q·f - ‖f‖²/2. Coordinates should be centred, or the
    products lose digits.

    Args:
        fit: ``(M, D)`` float32.
        queries: ``(N, D)`` float32.
        k: at most ``M``.

    Returns:
        ``(N, k)`` int64, nearest first.
    """
    points = torch.from_numpy(fit)
    if len(fit) % GROUP:  # filled up with points that are never near
        points = torch.cat([points, points.new_zeros(GROUP - len(fit) % GROUP, points.shape[1])])
    offset = (points**2).sum(1).mul_(-0.5)
    offset[len(fit) :] = -torch.inf
    scores = torch.empty(BLOCK_QUERIES, len(points))
    found = []
    for block in torch.from_numpy(queries).split(BLOCK_QUERIES):
        torch.addmm(offset, block, points.T, out=scores[: len(block)])
        found.append(_largest(scores[: len(block)], k))
    return torch.cat(found).numpy()


def _largest(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Indices of the ``k`` largest of each row, descending: they lie in the ``k`` groups with the largest maxima."""
    groups = scores.unflatten(1, (-1, GROUP))
    if k >= groups.shape[1]:
        return scores.topk(k).indices
    kept = groups.amax(2).topk(k, sorted=False).indices.sort(1).values
    inside = groups.gather(1, kept[:, :, None].expand(-1, -1, GROUP)).flatten(1).topk(k).indices
    return kept.gather(1, inside // GROUP) * GROUP + inside % GROUP


def neighbour_means(targets: np.ndarray, index: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Means over the first k neighbours, for every k of the grid at once.

    Args:
        targets: ``(M, T)``.
        index: ``(N, K)`` from `nearest`, with ``K`` at least the largest k.
        grid: numbers of neighbours.

    Returns:
        ``(len(grid), N, T)``.
    """
    total = np.zeros((len(index), targets.shape[1]))
    means = []
    for rank in range(max(grid)):
        total += targets[index[:, rank]]
        if rank + 1 in grid:
            means.append(total / (rank + 1))
    return np.stack(means)
