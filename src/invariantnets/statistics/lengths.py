"""The length of rows, whatever their unit: a row is brought near one before it is squared.

The squares of 1e20 are beyond float32, those of 1e-24 below it, and both are in somebody's table.
"""

from __future__ import annotations

import numpy as np

from invariantnets.statistics.moments import BLOCK_ROWS

__all__ = ["norms", "scaled", "unit", "unit_and_norms"]


def _exponents(x: np.ndarray) -> np.ndarray:
    """Of the power of two above the largest magnitude of each row, ``(…, D)`` → ``(…, 1)``; 0 for a row of zeros."""
    return np.frexp(np.abs(x).max(-1, keepdims=True, initial=0))[1]


def scaled(x: np.ndarray) -> np.ndarray:
    """Each row over the power of two above its largest magnitude, which rounds nothing; zeros stay as they are.

    Args:
        x: ``(…, D)`` numbers.

    Returns:
        the same shape, in float64 if it came so, else float32.
    """
    x = np.asarray(x)
    x = x if x.dtype == np.float64 else x.astype(np.float32, copy=False)
    return np.ldexp(x, -_exponents(x))


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length one, shapes and types as in `scaled`; a row of zeros stays as it is."""
    x = scaled(x)
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(norm > 0, norm, 1)


def norms(x: np.ndarray) -> np.ndarray:
    """Euclidean length of each row, ``(N, D)`` → ``(N,)`` float64, read block by block."""
    found = np.empty(len(x))
    for start in range(0, len(x), BLOCK_ROWS):
        rows = x[start : start + BLOCK_ROWS].astype(np.float64)
        near_one = scaled(rows)
        squares = np.einsum("nd,nd->n", near_one, near_one)
        found[start : start + BLOCK_ROWS] = np.ldexp(np.sqrt(squares), _exponents(rows)[:, 0])
    return found


def unit_and_norms(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`unit` and `norms` of ``(N, D)`` rows that are in memory, in one go."""
    exponents = _exponents(x)
    near_one = np.ldexp(x, -exponents)
    length = np.sqrt(np.einsum("nd,nd->n", near_one, near_one, dtype=np.float64))
    near_one /= np.where(length > 0, length, 1).astype(near_one.dtype)[:, None]
    return near_one, np.ldexp(length, exponents[:, 0])
