"""Scatter within and between classes."""

from __future__ import annotations

import numpy as np


def scatter_traces(total: float, count: np.ndarray, means: np.ndarray) -> tuple[float, float]:
    """Traces of the within-class and between-class scatter matrices, which add up to that of the total scatter.

    Args:
        total: Σ ‖x - μ‖² over all rows.
        count: ``(C,)`` rows of each class.
        means: ``(C, D)`` their means.

    Returns:
        Σ_c Σ_{x∈c} ‖x - μ_c‖² and Σ_c n_c ‖μ_c - μ‖².
    """
    between = float((count[:, None] * (means - count @ means / count.sum()) ** 2).sum())
    return max(total - between, 0.0), between
