"""Features as rows, distances between them, and distances between groups of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.data import Batch


def as_rows(x: Tensor) -> Tensor:
    """``(B, V, …)`` → ``(B · V, D)``, in single precision at least."""
    return x.flatten(0, 1).flatten(1).to(torch.promote_types(x.dtype, torch.float32))


def row_labels(batch: Batch, views: int) -> Tensor:
    """``(B · V,)`` class of each row."""
    return batch.label.repeat_interleave(views)


def group_means(x: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each group, and to which of them each row belongs.

    Args:
        x: ``(N, D)``.
        group: ``(N,)`` any integers.

    Returns:
        ``(G, D)`` means, and ``(N,)`` row → group.
    """
    _, member, count = group.unique(return_inverse=True, return_counts=True)
    return x.new_zeros(len(count), x.shape[1]).index_add(0, member, x) / count[:, None], member


def deviations(x: Tensor, group: Tensor) -> Tensor:
    """``(N, D)`` rows less the mean of their group."""
    mean, member = group_means(x, group)
    return x - mean[member]


def or_one(scale: Tensor) -> Tensor:
    """A scale to divide by: 1 where there is no spread at all, so that value and gradient are then 0."""
    return scale.where(scale > 0, torch.ones_like(scale))


def squared_distances(x: Tensor) -> Tensor:
    """``(N, D)`` → ``(N, N)``; by products of the centred rows, so that no ``(N, N, D)`` is made."""
    x = x - x.mean(0)
    square = x.square().sum(1)
    return (square[:, None] + square - 2 * x @ x.T).clamp(min=0)


def rbf(distance: Tensor, pairs: Tensor) -> Tensor:
    """Gaussian kernel ``exp(-d² / 2σ²)`` with σ the median distance (the median heuristic).

    The gradient goes through σ as well: the kernel, and what is made of it, does not change when all
    rows are scaled, and so no network can lower it by shrinking.

    Args:
        distance: ``(N, N)`` squared distances.
        pairs: ``(N, N)`` whose distances count for the median; those of 0 never do.
    """
    counted = distance.masked_fill(~pairs | (distance == 0), torch.nan)
    median = counted.nanmedian()
    return (-0.5 * distance / median.where(median.isfinite(), torch.ones_like(median))).exp()


def distance_between_groups(kernel: Tensor, group: Tensor, stratum: Tensor, freedom: int = 0) -> Tensor:
    """Mean squared distance, in the kernel's feature space, between the means of groups of one stratum.

    Pairs of groups count by the product of their sizes, so that a group of a single row, of which
    little is known, counts little.

    Args:
        kernel: ``(N, N)``.
        group: ``(N,)`` integers; no group may lie in two strata.
        stratum: ``(N,)`` integers.
        freedom: taken from each size in that product.

    Returns:
        Scalar; 0 without two groups in a stratum.
    """
    _, member, count = group.unique(return_inverse=True, return_counts=True)
    average = F.one_hot(member, len(count)).to(kernel.dtype) / count
    similarity = average.T @ kernel @ average
    own = similarity.diagonal()
    distance = own[:, None] + own - 2 * similarity
    of_group = stratum.new_zeros(len(count)).scatter(0, member, stratum)
    size = (count - freedom).to(kernel.dtype)
    pairs = size[:, None] * size * (of_group[:, None] == of_group)
    pairs = pairs - pairs.diagonal().diag()
    return (pairs * distance).sum() / pairs.sum().clamp(min=1)
