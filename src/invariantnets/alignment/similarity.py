"""Similarities: turned, scaled and moved."""

from __future__ import annotations

import numpy as np


def similarity(points: np.ndarray, template: np.ndarray) -> np.ndarray:
    """The scaled rotation and shift, without reflection, that brings points nearest to a template.

    Least squares: with points as complex numbers it is the regression ``template = a · point + b``.

    Args:
        points: ``(…, K, 2)`` x and y, at least two different ones.
        template: ``(K, 2)`` where they should lie.

    Returns:
        ``(…, 2, 3)`` matrix that maps ``(x, y, 1)``.

    Raises:
        ValueError: points that coincide.
    """
    z, w = points @ (1, 1j), template @ (1, 1j)
    middle = z.mean(-1, keepdims=True)
    centred = z - middle
    size = (np.abs(centred) ** 2).sum(-1)
    if not (size > 0).all():
        raise ValueError("its landmarks are all at one place")
    a = (centred.conj() * w).sum(-1) / size
    b = w.mean() - a * middle[..., 0]
    return np.stack([np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)], -2)


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points ``(…, K, 2)`` by matrices ``(…, 2, 3)``."""
    return points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The way back, ``(…, 2, 3)``."""
    turn = np.linalg.inv(matrix[..., :2])
    return np.concatenate([turn, -turn @ matrix[..., 2:]], -1)
