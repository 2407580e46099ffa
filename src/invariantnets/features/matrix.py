"""A matrix of features before anybody reads it: its precision, what cannot be a feature, and rows that are copies."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.moments import BLOCK_ROWS

# Of a column's spread: what rounding may take from it before a probe could tell.
LOST = 1e-5
# Times what nine of ten values reach: no feature, but a mark for "missing", or damage.
FAR = 1e6
# Of the distance of two rows taken at random: nearer than that, one is a copy of the other, stored once more.
NEAR = 1e-3
# With fewer, two rows may well be that near by chance.
FEW_FEATURES = 16
# Of the squared length of the rows.
DOMINANT = 0.999
_SAMPLE_ROWS = 10_000
_NEXT = 4  # rows of a cell that each is compared with


def kept(x: np.ndarray) -> np.ndarray:
    """Features as float32, or as float64 where float32 would lose what tells them apart.

    A column of 1.7e9 ± 30 has 34 values left in float32; one of 1e40 none.

    Args:
        x: ``(N, D)`` numbers.

    Returns:
        ``(N, D)``; ``x`` itself where it is float32 already.
    """
    if x.dtype == np.float32:
        return x
    if x.dtype.kind in "bu" or x.dtype == np.float16 or x.dtype in (np.int8, np.int16):
        return x.astype(np.float32)
    wide = x if x.dtype == np.float64 else x.astype(np.float64)
    with np.errstate(all="ignore"):  # what overflows is what is looked for
        narrow = wide.astype(np.float32)
        lost, spread = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        origin = wide[:_SAMPLE_ROWS].mean(0) if len(wide) else np.zeros(x.shape[1])
        for start in range(0, len(wide), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            difference = narrow[block] - wide[block]
            lost = np.maximum(lost, np.abs(difference).max(0))
            spread = np.maximum(spread, np.abs(wide[block] - origin).max(0))
    # Compared by their largest, which neither overflows nor underflows; not (<=) keeps what is not finite.
    return narrow if (lost <= LOST * spread).all() else wide


def ordered(x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """``x[order]``, block by block. Of a mapped file what was read is given back, or it would be in memory twice."""
    found = np.empty((len(order), x.shape[1]), x.dtype)
    mapped = _mapped(x)
    for start in range(0, len(order), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        found[block] = x[order[block]]
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED)
    return found


def _mapped(x: Any) -> mmap.mmap | None:
    """The file that an array is a view of, if it is only read: what was written to its pages would be lost."""
    only_read = False
    while isinstance(x, np.ndarray):
        only_read |= isinstance(x, np.memmap) and x.mode == "r"
        x = x.base
    usable = only_read and isinstance(x, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED")  # not on every system
    return x if usable else None


def check_far(x: np.ndarray, layer: str, owner: str) -> None:
    """Refuse a value so far from all others that it cannot be a feature.

    Raises:
        InvariantNetsError: naming the row and column.
    """
    sample = x[:: max(1, len(x) // _SAMPLE_ROWS)].astype(np.float64)
    if not len(sample) or not np.isfinite(sample).any():
        return
    middle = np.nanmedian(sample, 0)
    reach = np.nanquantile(np.abs(sample - middle), 0.9, 0, method="lower")
    limit = FAR * np.maximum(reach, np.median(reach))
    for start in range(0, len(x), BLOCK_ROWS):
        far = np.abs(x[start : start + BLOCK_ROWS] - middle) > np.where(limit > 0, limit, np.inf)
        if far.any():
            row, column = (int(i[0]) for i in np.nonzero(far))
            raise InvariantNetsError(
                f"{owner}: features {layer!r} hold {x[start + row, column]:.6g} in row {start + row + 1}, column "
                f"{column}, where 9 of 10 values of the column lie within {reach[column]:.3g} of "
                f"{middle[column]:.3g}: a mark for a missing value, or damage; drop that row, or mend it"
            )


def zero_rows(x: np.ndarray) -> int:
    """Number of rows that are zero throughout, as a detector writes that found no face."""
    blocks = (x[start : start + BLOCK_ROWS] for start in range(0, len(x), BLOCK_ROWS))
    return sum(int(np.count_nonzero(~block.any(1))) for block in blocks)


def dominant(x: np.ndarray) -> int | None:
    """The column that is all but the whole length of the rows, so that cosines see nothing else; None if none is."""
    sample = x[:: max(1, len(x) // _SAMPLE_ROWS)]
    scale = np.abs(sample).max(initial=0)
    if x.shape[1] < 3 or not 0 < scale < np.inf:
        return None
    square = ((sample / scale) ** 2).mean(0)
    largest = int(square.argmax())
    return largest if square[largest] > DOMINANT * square.sum() else None


def copies(x: np.ndarray) -> np.ndarray:
    """Which rows are copies of one another: equal, or, of 16 features or more, as near as storing in half precision.

    Rows that lie in one small cell of three random projections, in either of two grids, are compared with the next
    few there: linear in the number of rows.

    Args:
        x: ``(N, D)`` finite numbers.

    Returns:
        ``(N,)`` int64, the first row of each group of copies. Rows of zeros, which say nothing, stand alone.
    """
    alone = np.arange(len(x))
    rng = numpy_rng(0, len(x), x.shape[1])
    one, other = rng.integers(len(x), size=(2, 1000))
    scale = float(np.abs(x[one]).max(initial=0)) or 1.0
    typical = float(np.median(_apart(x, one, other, scale)))
    if not typical > 0:  # most rows are the same: a network that has collapsed, no copies
        return alone
    near = NEAR * typical if x.shape[1] >= FEW_FEATURES else 0.0
    directions = rng.normal(size=(x.shape[1], 3)) / x.shape[1] ** 0.5
    blocks = [x[start : start + BLOCK_ROWS] for start in range(0, len(x), BLOCK_ROWS)]
    place = np.concatenate([block / scale @ directions for block in blocks])
    filled = np.concatenate([block.any(1) for block in blocks])
    # Wide beside what projections of copies differ by: that is seldom more than twice near / √D.
    width = 20 * NEAR * typical / x.shape[1] ** 0.5
    found = []
    for shift in (0.0, 0.5):
        cell = np.floor(place / width + shift)
        order = np.lexsort((place[:, 0], *cell.T))
        order = order[filled[order]]
        for step in range(1, _NEXT + 1):
            a, b = order[:-step], order[step:]
            together = np.flatnonzero((cell[a] == cell[b]).all(1))
            found.append(np.stack([a[together], b[together]]))
    left, right = np.concatenate(found, 1)
    same = np.concatenate(
        [
            _apart(x, left[start : start + BLOCK_ROWS], right[start : start + BLOCK_ROWS], scale) <= near
            for start in range(0, len(left), BLOCK_ROWS)
        ]
        or [np.zeros(0, bool)]
    )
    from scipy.sparse import coo_array  # here: a table made in a notebook waits for no more than it must
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(np.count_nonzero(same)), (left[same], right[same])), shape=(len(x), len(x)))
    group = connected_components(edges, directed=False)[1]
    return np.unique(group, return_index=True)[1][group]


def _apart(x: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    return np.linalg.norm(x[a] / scale - x[b] / scale, axis=1)
