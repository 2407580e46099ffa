"""k nearest neighbours by blocked matrix products."""

from __future__ import annotations

import numpy as np
import torch

NEIGHBOURS = (1, 2, 4, 8, 16, 32, 64, 128)
BLOCK_QUERIES = 1024
GROUP = 16
SAME = 1e-6  # distances that differ by a smaller share are equal to float32


def neighbour_grid(points: int) -> tuple[int, ...]:
    """The numbers of neighbours to choose from that ``points`` allow: there is one more, to scale distances by."""
    return tuple(k for k in NEIGHBOURS if k < points) or (1,)


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


def nearest(fit: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` nearest rows by Euclidean distance.

    The smallest ‖q - f‖² is the largest q·f - ‖f‖²/2. Coordinates should be centred, or the
    products lose digits.

    Args:
        fit: ``(M, D)`` float32.
        queries: ``(N, D)`` float32.
        k: at most ``M``.

    Returns:
        ``(N, k)`` int64, nearest first, and ``(N, k)`` float32 squares of their distances.
    """
    points = torch.from_numpy(fit)
    if len(fit) % GROUP:  # filled up with points that are never near
        points = torch.cat([points, points.new_zeros(GROUP - len(fit) % GROUP, points.shape[1])])
    offset = (points**2).sum(1).mul_(-0.5)
    offset[len(fit) :] = -torch.inf
    scores = torch.empty(BLOCK_QUERIES, len(points))
    found, distances = [], []
    for block in torch.from_numpy(queries).split(BLOCK_QUERIES):
        torch.addmm(offset, block, points.T, out=scores[: len(block)])
        found.append(_largest(scores[: len(block)], k))
        score = scores[: len(block)].gather(1, found[-1])
        distances.append((block**2).sum(1, keepdim=True).sub(score, alpha=2).clamp_(min=0))
    return torch.cat(found).numpy(), torch.cat(distances).numpy()


def _largest(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Indices of the ``k`` largest of each row, descending: they lie in the ``k`` groups with the largest maxima."""
    groups = scores.unflatten(1, (-1, GROUP))
    if k >= groups.shape[1]:
        return scores.topk(k).indices
    kept = groups.amax(2).topk(k, sorted=False).indices.sort(1).values
    inside = groups.gather(1, kept[:, :, None].expand(-1, -1, GROUP)).flatten(1).topk(k).indices
    return kept.gather(1, inside // GROUP) * GROUP + inside % GROUP


def neighbour_means(targets: np.ndarray, index: np.ndarray, squares: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Means over the first k neighbours, for every k of the grid at once, the nearer ones weighing more.

    The weight is that of Epanechnikov's kernel, 1 - (d/h)², with h the distance of the next neighbour (Hechenbichler
    and Schliep 2004, section 3). Where there is none, or all are as far, all weigh the same.

    Args:
        targets: ``(M, T)``.
        index: ``(N, K)`` from `nearest`, with ``K`` at least the largest k.
        squares: ``(N, K)`` of distances, ascending, from `nearest`.
        grid: numbers of neighbours.

    Returns:
        ``(len(grid), N, T)``.
    """
    means, d = [], squares.astype(np.float64)
    plain, by_square = np.zeros((2, len(index), targets.shape[1]))
    for rank in range(max(grid)):
        here = targets[index[:, rank]]
        plain += here
        by_square += d[:, rank, None] * here
        if (k := rank + 1) in grid:
            mean = plain / k
            if k < index.shape[1]:
                h = d[:, k, None]
                weight = k * h - d[:, :k].sum(1, keepdims=True)
                differ = weight > SAME * k * h
                mean = np.where(differ, (h * plain - by_square) / np.where(differ, weight, 1.0), mean)
            means.append(mean)
    return np.stack(means)


def neighbours_elsewhere(points: np.ndarray, source: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` nearest points of each that are of another source, as the variants of an image are not.

    Args:
        points: ``(N, D)`` float32, about 0.
        source: ``(N,)``.
        k: at most as many as there are points of other sources, for every point.

    Returns:
        ``(N, k)`` int64, nearest first.
    """
    of = torch.from_numpy(np.unique(source, return_inverse=True)[1])
    every = torch.from_numpy(points)
    offset = (every**2).sum(1).mul_(-0.5)
    found = []
    for rows in torch.arange(len(every)).split(BLOCK_QUERIES):
        scores = torch.addmm(offset, every[rows], every.T)
        scores[of[rows, None] == of] = -torch.inf
        found.append(scores.topk(k).indices)
    return torch.cat(found).numpy()
