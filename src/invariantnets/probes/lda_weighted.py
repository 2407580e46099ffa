"""Linear discriminants of many draws of the same rows, and of many groupings of them, from one pass of statistics.

How often a draw holds a row is the weight of the row in its sums. The scatter of all features is that of the draw, not
of what is to be told: groupings share it, and what lies between their groups is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.blas import dgemm, dsyrk

from invariantnets.statistics.moments import BLOCK_ROWS, precision, varies

__all__ = ["Discriminant", "weighted_discriminants"]

# Bytes of the scatters that are held at a time.
SCATTERS = 1 << 30
# Rows at a time, which stay in the cache from where they are read until their product is taken.
ROWS = 256
# Draws at most that share the sums of rows that are in the same of them: of seven draws without replacement there are
# 128 kinds of rows. Kinds of which so many scatters are held before they are added to those of the draws.
TOGETHER, CELLS = 8, 16
# Of standardised features: directions of less variance are the rounding of others, and tell nothing.
SINGULAR = 1e-10
# A draw is what all rows give less what others do: of a feature that fires in others alone this is left, for nothing.
ROUNDED = 1e-11
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
        out = np.empty((len(rows), self.weights.shape[1]))
        for block, x in _centred(features, rows, self.origin):
            np.matmul(x, self.weights, out=out[block])
        out += self.intercept
        return out


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
    sums = [_sums(features, origin, codes, counts) for codes in groupings]
    total: Array | None = None
    for shared in _batches(counts, features.shape[1]):
        total, scatter = _scatters(features, origin, shared, total)
        least = ROUNDED * np.diag(total)
        for r, of_draw in enumerate(scatter, shared.start):
            found = []
            for codes, of_groups in zip(groupings, sums, strict=True):
                count = np.bincount(codes, counts[r], of_groups.shape[1])
                found.append(_discriminant(of_draw, of_groups[r], count, origin, precision(features), least, shrinkage))
            yield found


@dataclass(frozen=True)
class _Shared:
    """A few draws, and the rows that are in the same of them: their scatter is summed once.

    Attributes:
        start: the first of the draws.
        weights: ``(P, R)`` how often each of these draws holds a row of each kind, the most frequent kind first.
        rows: P indices of the rows of each kind.
    """

    start: int
    weights: Array
    rows: list[Array]

    @classmethod
    def of(cls, counts: Array, start: int, together: int) -> _Shared:
        draws = counts[start : start + together]
        packed = np.zeros((counts.shape[1], TOGETHER), np.uint8)  # a byte of a number each, which are soon sorted
        packed[:, : len(draws)] = draws.T
        codes, kind, size = np.unique(packed.view(np.uint64)[:, 0], return_inverse=True, return_counts=True)
        order = np.argsort(-size, kind="stable")
        weights = codes[order][:, None].view(np.uint8)[:, : len(draws)].astype(np.float64)
        rows = [rows for _, rows in _sorted(kind)]
        return cls(start, weights, [rows[i] for i in order])

    @property
    def pays(self) -> bool:
        """Whether the sums of the kinds add less than what rows cost that were summed for each of the draws."""
        kinds, draws = self.weights.shape
        return draws == 1 or 2 * kinds * draws <= sum(map(len, self.rows))


def _batches(counts: Array, dims: int) -> Iterator[_Shared]:
    """All draws, as many together as pays and as memory holds the scatters of."""
    room = max(1, SCATTERS // (8 * dims**2) - 2)  # beside them that of all rows, and of one kind
    start = 0
    while start < len(counts):
        most = min(TOGETHER, room)
        while True:
            left = len(counts) - start
            shared = _Shared.of(counts, start, -(-left // -(-left // most)))  # batches of as many draws
            if shared.pays:
                break
            most //= 2
        yield shared
        start += shared.weights.shape[1]


def _centred(features: Array, rows: Array, origin: Array) -> Iterator[tuple[slice, Array]]:
    """Rows about an origin in float64, and which of the rows they are: a few at a time, always in the same memory."""
    size = min(ROWS, len(rows))
    taken, centred = np.empty((size, len(origin)), features.dtype), np.empty((size, len(origin)))
    for start in range(0, len(rows), ROWS):
        block = slice(start, min(start + ROWS, len(rows)))
        x = centred[: block.stop - start]
        x[:] = np.take(features, rows[block], 0, out=taken[: len(x)], mode="clip")
        x -= origin
        yield block, x


def _sums(features: Array, origin: Array, codes: Array, counts: Array) -> Array:
    """``(R, G, D)`` sums about an origin of the groups in each draw."""
    sums = np.zeros((len(counts), int(codes.max()) + 1, len(origin)))
    for group, rows in _sorted(codes):
        for block, x in _centred(features, rows, origin):
            sums[:, group] += counts[:, rows[block]].astype(np.float64) @ x
    return sums


def _scatters(features: Array, origin: Array, shared: _Shared, total: Array | None) -> tuple[Array, Array]:
    """About an origin, of all rows ``(D, D)`` and of each draw ``(R, D, D)``: the lower halves.

    Where the scatter of all rows is known, that of the most frequent kind is what the others leave of it.
    """
    dims, weights, rows = len(origin), shared.weights, shared.rows
    if total is None:
        weights = np.column_stack([weights, np.ones(len(rows))])
    else:
        weights, rows = weights[1:] - weights[0], rows[1:]
    scatter = np.zeros((weights.shape[1], dims, dims))
    room = SCATTERS // (8 * dims**2) - len(scatter)
    cells = np.zeros((max(1, min(CELLS, room, len(rows))), dims, dims))
    for start in range(0, len(rows), len(cells)):
        of = rows[start : start + len(cells)]
        for cell, kind in zip(cells[: len(of)], of, strict=True):
            for block, x in _centred(features, kind, origin):  # the half below as it is seen column by column
                dsyrk(1.0, x.T, beta=float(block.start > 0), c=cell.T, overwrite_c=1)
        flat, sums = cells[: len(of)].reshape(len(of), -1), scatter.reshape(len(scatter), -1)
        dgemm(1.0, flat.T, weights[start : start + len(of)], beta=1.0, c=sums.T, overwrite_c=1)
    if total is None:
        return scatter[-1], scatter[:-1]
    for one, times in zip(scatter, shared.weights[0], strict=True):
        one += times * total
    return total, scatter


def _sorted(codes: Array) -> Iterator[tuple[int, Array]]:
    """Each code, and where it stands."""
    order = np.argsort(codes.astype(np.uint16) if codes.max() < 1 << 16 else codes, kind="stable")  # sorts by digits
    present, first = np.unique(codes[order], return_index=True)
    yield from zip(present.tolist(), np.split(order, first[1:]), strict=True)


def _discriminant(
    scatter: Array, sums: Array, count: Array, origin: Array, rounding: float, least: Array, shrinkage: float
) -> Discriminant:
    (present,) = np.nonzero(count)
    n, count = float(count.sum()), count[present]
    means = sums[present] / count[:, None]
    within = (means.T * count) @ means
    np.subtract(scatter, within, out=within)
    within /= n
    variance = np.maximum(np.diag(within), 0)
    # As many digits as the features have: what does not vary tells nothing.
    live = varies(origin, np.sqrt(np.maximum(np.diag(scatter), 0) / n), rounding) & (n * variance > least)
    shrunk = within if live.all() else within[np.ix_(live, live)]
    shrunk *= 1 - shrinkage
    shrunk[np.diag_indices_from(shrunk)] += shrinkage * variance.mean()
    scale = 1 / np.sqrt(np.diag(shrunk))
    centred = means[:, live]
    weights, singular = np.zeros((len(origin), len(present))), False
    if live.any():
        shrunk *= scale[:, None]
        shrunk *= scale
        inner, singular = _solved(shrunk, scale[:, None] * centred.T)
        weights[live] = scale[:, None] * inner
    intercept = np.log(count / n) - 0.5 * np.einsum("gd,dg->g", means, weights)
    return Discriminant(weights, intercept, origin, present, count, singular)


def _solved(matrix: Array, right: Array) -> tuple[Array, bool]:
    """The shortest solution, and whether there are others, of a matrix of which the lower half is read."""
    try:
        factor = cho_factor(matrix.T, lower=False, check_finite=False)  # as LAPACK wants it, column by column
        if float(np.diag(factor[0]).min()) ** 2 > SINGULAR:
            return np.asarray(cho_solve(factor, right, check_finite=False)), False
    except LinAlgError:
        pass
    variances, axes = np.linalg.eigh(matrix)
    kept = variances > SINGULAR * variances[-1]
    return (axes[:, kept] / variances[kept]) @ (axes[:, kept].T @ right), True
