"""Scree and rank: how many directions a representation uses (Rudd et al. 2016, 4.3 and figure 6)."""

from __future__ import annotations

import numpy as np


def singular_values(scatter: np.ndarray) -> np.ndarray:
    """Singular values of a matrix from its Gram matrix, descending.

    Args:
        scatter: ``(D, D)`` float64, XᵀX.

    Returns:
        ``(D,)``. Values below about 1e-8 of the largest are rounding.
    """
    return np.sqrt(np.maximum(np.linalg.eigvalsh(scatter)[::-1], 0))


def effective_rank(singular: np.ndarray) -> float:
    """Exp of the entropy of the singular values divided by their sum (Roy & Vetterli 2007, definition 1).

    D equal values give D, a single one gives 1, none at all 0.
    """
    total = singular.sum()
    if total == 0:
        return 0.0
    share = singular[singular > 0] / total
    return float(np.exp(-(share * np.log(share)).sum()))


def variance_share(singular: np.ndarray, rank: int) -> float:
    """Share of the variance in the first ``rank`` components; NaN without variance."""
    variance = singular**2
    return float(variance[:rank].sum() / variance.sum()) if variance.any() else float("nan")
