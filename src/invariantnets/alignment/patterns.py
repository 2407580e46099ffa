"""Histograms of uniform local binary patterns (Ahonen et al. 2006): what a regressor of a face's points reads."""

from __future__ import annotations

import numpy as np

# The eight neighbours in turn, from the upper left.
AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
PATTERNS = 59  # 58 in which the ring changes at most twice, and all others


def _uniform() -> np.ndarray:
    """Pattern → its number."""
    ring = np.arange(256)[:, None] >> np.arange(8) & 1
    even = (ring != np.roll(ring, 1, 1)).sum(1) <= 2
    return np.where(even, even.cumsum() - 1, PATTERNS - 1)


NUMBER = _uniform()


def histograms(grey: np.ndarray, cells: int) -> np.ndarray:
    """Square roots of the shares of each pattern in each cell of a grid.

    Args:
        grey: ``(N, H, W)`` numbers.
        cells: along either side.

    Returns:
        ``(N, cells² · 59)`` float32.
    """
    count, height, width = len(grey), grey.shape[1] - 2, grey.shape[2] - 2
    middle, ring = grey[:, 1:-1, 1:-1], np.zeros((count, height, width), np.uint8)
    for bit, (down, right) in enumerate(AROUND):
        neighbour = grey[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        ring |= (neighbour >= middle).astype(np.uint8) << bit
    rows, columns = (np.linspace(0, side, cells + 1).astype(int) for side in (height, width))
    number, first = NUMBER[ring], np.arange(count)[:, None] * PATTERNS
    found = np.empty((count, cells, cells, PATTERNS), np.float32)
    for i in range(cells):
        for j in range(cells):
            cell = number[:, rows[i] : rows[i + 1], columns[j] : columns[j + 1]].reshape(count, -1)
            share = np.bincount((cell + first).ravel(), minlength=count * PATTERNS) / cell.shape[1]
            found[:, i, j] = np.sqrt(share).reshape(count, PATTERNS)
    return found.reshape(count, -1)
