"""Linear discriminants of many draws of the same rows, and of many groupings of them, from one pass of statistics.

How often a draw holds a row is the weight of the row in its sums. The scatter of all features is that of the draw, not
of what is to be told: groupings share it, and what lies between their groups is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.blas import dsyrk

from invariantnets.statistics.moments import BLOCK_ROWS, precision, project, varies

__all__ = ["Discriminant", "weighted_discriminants"]

# Bytes of the scatters that are summed in one pass.
SCATTERS = 1 << 30
# Bytes of rows at a time: of each kind and group there should be hundreds, for what is added is of D × D numbers.
BLOCK = 1 << 26
# Draws that share the sums of rows that are in the same of them, and as many kinds of rows at most: of four draws
# without replacement sixteen. Of more draws, kinds would have too few rows each for a fast product.
TOGETHER, KINDS = 4, 32
# Of standardised features: directions of less variance are the rounding of others, and tell nothing.
SINGULAR = 1e-10
Array = np.ndarray


@dataclass(frozen=True)
class Discriminant:
    """Gaussian groups of one covariance.

    Attributes:
        weights: ``(D, G)``.
        intercept: ``(G,)``.
        origin: ``(D,)``, taken off the features.
        group: ``(G,)`` codes of the groups that the draw holds rows of.
        count: ``(G,)`` how many rows.
        singular: whether some direction has no variance within groups, so that what is read lies in the others.
    """

    weights: Array
    intercept: Array
    origin: Array
    group: Array
    count: Array
    singular: bool

    def scores(self, features: Array, rows: Array) -> Array:
        """Logarithms of the posteriors, but for a constant of each row: ``(len(rows), G)``."""
        return project(features, self.weights, rows, origin=self.origin) + self.intercept


def weighted_discriminants(
    features: Array, groupings: Sequence[Array], counts: Array, shrinkage: float = 0.0
) -> Iterator[list[Discriminant]]:
    """Linear discriminant analysis of every grouping in every draw.

    The covariance within groups is shrunk to its mean variance, Σ ← (1 - s) Σ + s μ I, and not at all by s = 0. Equal
    to scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s)`` fitted to the rows of a draw, each as
    often as it was drawn.

    Args:
        features: ``(N, D)`` finite.
        groupings: of each ``(N,)`` codes from 0.
        counts: ``(R, N)`` uint8, how often each draw holds each row; at least one row.
        shrinkage: s, from 0 to 1.

    Returns:
        Draw after draw the discriminants of the groupings.
    """
    origin = features[:BLOCK_ROWS].mean(0, dtype=np.float64)
    whole: Array | None = None
    for shared in _batches(counts, features.shape[1]):
        draws = slice(shared[0].draws.start, shared[-1].draws.stop)
        whole, scatter, sums = _statistics(features, origin, groupings, counts[draws], shared, whole)
        for r, weight in enumerate(counts[draws]):
            found = []
            for grouping, of_draws in zip(groupings, sums, strict=True):
                count = np.bincount(grouping, weight, of_draws.shape[1])
                found.append(_discriminant(scatter[r], of_draws[r], count, origin, precision(features), shrinkage))
            yield found


@dataclass(frozen=True)
class _Shared:
    """A few draws, and the rows that are in the same of them: their scatter is summed once.

    Attributes:
        draws: which.
        weights: ``(P, R)`` how often each of these draws holds a row of each kind, the most frequent kind first.
        kind: ``(N,)`` of each row.
    """

    draws: slice
    weights: Array
    kind: Array

    @classmethod
    def of(cls, counts: Array, start: int, together: int) -> _Shared:
        draws = slice(start, min(start + together, len(counts)))
        packed = np.zeros((counts.shape[1], TOGETHER), np.uint8)  # a byte of a number each, which are soon sorted
        packed[:, : draws.stop - start] = counts[draws].T
        codes, kind, rows = np.unique(packed.view(f"u{TOGETHER}")[:, 0], return_inverse=True, return_counts=True)
        order = np.argsort(-rows, kind="stable")
        weights = codes[order][:, None].view(np.uint8)[:, : draws.stop - start].astype(np.float64)
        return cls(draws, weights, np.argsort(order).astype(np.int32)[kind])


def _batches(counts: Array, dims: int) -> Iterator[list[_Shared]]:
    """All draws, a few together; as many of these at a time as memory holds the scatters of."""
    room = max(1, SCATTERS // (8 * dims**2))
    batch: list[_Shared] = []
    start = 0
    while start < len(counts):
        options = (_Shared.of(counts, start, together) for together in (TOGETHER, 2))
        few = (one for one in options if len(one.weights) <= min(KINDS, room))
        shared = next(few, None) or _Shared.of(counts, start, 1)
        if batch and sum(len(one.weights) + len(one.weights[0]) for one in (*batch, shared)) > room:
            yield batch
            batch = []
        batch.append(shared)
        start = shared.draws.stop
    yield batch


def _statistics(
    features: Array, origin: Array, groupings: Sequence[Array], counts: Array, batch: list[_Shared], whole: Array | None
) -> tuple[Array, Array, list[Array]]:
    """About an origin: ``(D, D)`` scatter of all rows, ``(R, D, D)`` of each draw, and of each grouping ``(R, G, D)``.

    The scatter of the most frequent kind of rows is that of all less that of the others.
    """
    dims, known = features.shape[1], whole is not None
    total = np.zeros((dims, dims)) if whole is None else whole
    size = min(max(BLOCK_ROWS // 4, BLOCK // (8 * dims)), len(features))
    block_rows, taken = np.empty((size, dims)), np.empty((size, dims))  # once: new memory costs as much as a product
    cells = [np.zeros((len(shared.weights) - 1, dims, dims)) for shared in batch]
    sums = [np.zeros((len(counts), int(codes.max()) + 1, dims)) for codes in groupings]
    for start in range(0, len(features), size):
        block = slice(start, start + size)
        x = np.subtract(features[block], origin, out=block_rows[: len(features[block])])
        weight = counts[:, block].astype(np.float64)
        if not known:
            _add_products(x, total)
        for shared, cell in zip(batch, cells, strict=True):
            for kind, rows in _sorted(shared.kind[block]):
                if kind:
                    _add_products(np.take(x, rows, 0, out=taken[: len(rows)], mode="clip"), cell[kind - 1])
        for codes, of_groups in zip(groupings, sums, strict=True):
            for group, rows in _sorted(codes[block]):
                of_groups[:, group] += weight[:, rows] @ np.take(x, rows, 0, out=taken[: len(rows)], mode="clip")
    scatter = np.empty((len(counts), dims, dims))
    first = batch[0].draws.start
    for shared, cell in zip(batch, cells, strict=True):
        most, others = shared.weights[0][:, None], shared.weights[1:].T
        draws = scatter[shared.draws.start - first : shared.draws.stop - first]
        np.matmul(others - most, cell.reshape(len(cell), dims**2), out=draws.reshape(len(draws), dims**2))
        for one, times in zip(draws, most[:, 0], strict=True):
            one += times * total
            lower = np.tril(one, -1)
            one -= np.triu(one, 1)
            one += lower.T
    return total, scatter, sums


def _add_products(x: Array, total: Array) -> None:
    """Add ``x.T @ x`` to the lower half of a matrix, in place."""
    dsyrk(1.0, x.T, beta=1.0, c=total.T, overwrite_c=1)  # the upper half of what is seen column by column


def _sorted(codes: Array) -> Iterator[tuple[int, Array]]:
    """Each code, and where it stands."""
    order = np.argsort(codes.astype(np.uint16) if codes.max() < 1 << 16 else codes, kind="stable")  # sorts by digits
    present, first = np.unique(codes[order], return_index=True)
    yield from zip(present.tolist(), np.split(order, first[1:]), strict=True)


def _discriminant(
    scatter: Array, sums: Array, count: Array, origin: Array, rounding: float, shrinkage: float
) -> Discriminant:
    (present,) = np.nonzero(count)
    n, count = float(count.sum()), count[present]
    means = sums[present] / count[:, None]
    within = (scatter - (means.T * count) @ means) / n
    variance = np.maximum(np.diag(within), 0)
    # As many digits as the features have: what does not vary tells nothing.
    live = varies(origin, np.sqrt(np.maximum(np.diag(scatter), 0) / n), rounding) & (variance > 0)
    shrunk = (1 - shrinkage) * within[np.ix_(live, live)]
    shrunk[np.diag_indices_from(shrunk)] += shrinkage * variance.mean()
    scale = 1 / np.sqrt(np.diag(shrunk))
    centred = means[:, live]
    weights, singular = np.zeros((len(origin), len(present))), False
    if live.any():
        inner, singular = _solved(shrunk * np.outer(scale, scale), scale[:, None] * centred.T)
        weights[live] = scale[:, None] * inner
    intercept = np.log(count / n) - 0.5 * np.einsum("gd,dg->g", means, weights)
    return Discriminant(weights, intercept, origin, present, count, singular)


def _solved(matrix: Array, right: Array) -> tuple[Array, bool]:
    """The shortest solution, and whether there are others."""
    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
        if float(np.diag(factor[0]).min()) ** 2 > SINGULAR:
            return np.asarray(cho_solve(factor, right, check_finite=False)), False
    except LinAlgError:
        pass
    variances, axes = np.linalg.eigh(matrix)
    kept = variances > SINGULAR * variances[-1]
    return (axes[:, kept] / variances[kept]) @ (axes[:, kept].T @ right), True
