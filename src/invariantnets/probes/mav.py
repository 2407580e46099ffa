"""Mean activation vectors (MAV): a class is the mean of its training features, compared by cosine (chapter, 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invariantnets.statistics.moments import BLOCK_ROWS, Moments, project, project_by


def mean_activation_vectors(features: np.ndarray, label: np.ndarray, num_classes: int) -> np.ndarray:
    """The mean of each class.

    Args:
        features: ``(N, D)`` float32.
        label: ``(N,)``; every class must have a row.
        num_classes: C.

    Returns:
        ``(C, D)`` float64.
    """
    total = np.zeros((num_classes, features.shape[1]))
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        np.add.at(total, label[block], features[block])
    return total / np.bincount(label, minlength=num_classes)[:, None]


def means_per_value(train: Sequence[Moments], indicators: slice) -> np.ndarray:
    """The mean of each class at each value of a nuisance.

    Args:
        train: moments of each class, whose targets hold the indicators of the values.
        indicators: the columns of those indicators, one per value.

    Returns:
        ``(V, C, D)``; NaN where a class was never seen at a value.
    """
    means = []
    for m in train:
        at_value = m.targets(indicators)
        count = np.rint(at_value.y_mean * m.n)
        shift = np.divide(at_value.xy, count, out=np.full_like(at_value.xy, np.nan), where=count > 0)
        means.append(m.x_mean + shift.T)
    return np.stack(means, 1)


def _directions(means: np.ndarray) -> np.ndarray:
    """``(…, C, D)`` → ``(…, D, C)`` unit vectors; a zero mean has similarity 0 to everything."""
    norm = np.linalg.norm(means, axis=-1, keepdims=True)
    return np.swapaxes(means / np.where(norm == 0, 1, norm), -1, -2)


def classify(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The class whose mean has the largest cosine with each row (the row's own norm does not matter).

    Args:
        features: ``(N, D)``.
        means: ``(C, D)``.

    Returns:
        ``(N,)`` int64.
    """
    return project(features, _directions(means)).argmax(1)


def classify_at(features: np.ndarray, value: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The same among the means at one nuisance value per row; a class never seen there is never chosen.

    Args:
        features: ``(N, D)``.
        value: ``(N,)`` index of the nuisance value of each row.
        means: ``(V, C, D)``.

    Returns:
        ``(N,)`` int64.
    """
    unseen = np.isnan(means).any(-1)
    cosine = project_by(features, value, _directions(np.nan_to_num(means)))
    return np.where(unseen[value], -np.inf, cosine).argmax(1)
