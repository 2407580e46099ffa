"""Several images of a person as one template."""

from __future__ import annotations

import numpy as np

from invariantnets.statistics.lengths import unit


def pool_templates(x: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One template for each identity: the mean of its rows, each brought to length one first.

    A bright or sharp image has a longer feature vector: without the first step it would outvote the others.

    Args:
        x: ``(N, D)`` features.
        identity: ``(N,)``.

    Returns:
        templates ``(T, D)`` of length one, and their identities ``(T,)``, ascending.
    """
    present, group = np.unique(identity, return_inverse=True)
    rows = unit(x)
    total = np.zeros((len(present), x.shape[1]), rows.dtype)
    np.add.at(total, group, rows)
    return unit(total), present
