"""Orders of rows and columns for the heat maps (Rudd et al. 2016, figures 7 and 8)."""

from __future__ import annotations

import numpy as np


def block_order(features: np.ndarray, label: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Assign each feature to the class that activates it most exclusively, and stack the classes.

    Equation 1 is printed as a sum over samples of a fraction whose denominator is zero for every
    sample of another class. It is read here as a fraction of two sums,

        E_il = Σ_j D_ij (1 - I(y_j, l)) / Σ_j D_ij I(y_j, l),

    the activation of feature i outside class l over that inside it; the feature goes to the l of the
    smallest error. Activations count by magnitude, which changes nothing after a ReLU. Within a
    cluster features keep their order; features that are constant go last.

    Args:
        features: ``(N, D)``.
        label: ``(N,)``.
        num_classes: number of classes C.

    Returns:
        order ``(D,)``, the features in the order to draw them, and cluster ``(D,)``, the class of
        feature i, with C for constant ones.
    """
    inside = np.stack([np.abs(features[label == c]).sum(0, dtype=np.float64) for c in range(num_classes)])
    # E + 1 = total / inside: the smallest error is the largest sum inside.
    cluster = np.where(np.ptp(features, axis=0) == 0, num_classes, inside.argmax(0))
    return np.argsort(cluster, kind="stable"), cluster


def sort_samples(label: np.ndarray, nuisance: np.ndarray) -> np.ndarray:
    """Samples by class, and within a class by a nuisance: ``(N,)`` indices."""
    return np.lexsort((nuisance, label))
