"""Scatter within and between classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invariantnets.probes.moments import Moments


def scatter_traces(classes: Sequence[Moments]) -> tuple[float, float]:
    """Traces of the within-class and between-class scatter matrices.

    Args:
        classes: moments of each class.

    Returns:
        Σ_c Σ_{x∈c} ‖x - μ_c‖² and Σ_c n_c ‖μ_c - μ‖²; they add up to the total scatter.
    """
    count = np.array([m.n for m in classes])
    mean = np.stack([m.x_mean for m in classes])
    within = sum(float(np.trace(m.xx)) for m in classes)
    between = float((count[:, None] * (mean - count @ mean / count.sum()) ** 2).sum())
    return within, between
