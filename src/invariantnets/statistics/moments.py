"""Sufficient statistics: one pass over the features, after which everything linear is a small closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # it is made with these
    from invariantnets.statistics.views import Rows

BLOCK_ROWS = 4096
CLIP = 10.0  # standard deviations of the training rows


@dataclass(frozen=True)
class Moments:
    """Counts, means and centred products of features ``x`` (D columns) and targets ``y`` (T columns).

    Products are kept about the mean and in float64: nuisance at a thousandth of the class signal's
    scale is a millionth of its variance, which a float32 Gram matrix would round away.

    Attributes:
        n: number of rows.
        x_mean: ``(D,)``.
        y_mean: ``(T,)``.
        xx: ``(D, D)`` Σ (x - x̄)(x - x̄)ᵀ.
        xy: ``(D, T)`` Σ (x - x̄)(y - ȳ)ᵀ.
        yy: ``(T,)`` Σ (y - ȳ)².
        y_range: ``(2, T)`` least and greatest target.
        precision: of the numbers that the features came in: what they vary by below it is rounding.
    """

    n: int
    x_mean: np.ndarray
    y_mean: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    y_range: np.ndarray
    precision: float

    def __add__(self, other: Moments) -> Moments:
        """The moments of both sets of rows together (Chan, Golub & LeVeque 1983)."""
        n = self.n + other.n
        dx, dy, weight = other.x_mean - self.x_mean, other.y_mean - self.y_mean, self.n * other.n / n
        return Moments(
            n,
            self.x_mean + dx * (other.n / n),
            self.y_mean + dy * (other.n / n),
            self.xx + other.xx + weight * np.outer(dx, dx),
            self.xy + other.xy + weight * np.outer(dx, dy),
            self.yy + other.yy + weight * dy**2,
            np.stack([np.minimum(self.y_range[0], other.y_range[0]), np.maximum(self.y_range[1], other.y_range[1])]),
            max(self.precision, other.precision),
        )

    def targets(self, columns: slice) -> Moments:
        """The same rows and features with some of the targets."""
        xy, y_range = self.xy[:, columns], self.y_range[:, columns]
        return replace(self, y_mean=self.y_mean[columns], xy=xy, yy=self.yy[columns], y_range=y_range)

    @property
    def x_std(self) -> np.ndarray:
        """``(D,)`` standard deviation of each feature."""
        return np.sqrt(np.maximum(np.diag(self.xx), 0) / self.n)

    @property
    def live(self) -> np.ndarray:
        """``(D,)`` True for features that vary."""
        return varies(self.x_mean, self.x_std, self.precision)


def reach(train: Moments) -> np.ndarray:
    """``(2, D)``: how far from its training mean a feature is believed, ten standard deviations.

    A feature that is all but dead in training may be hundreds of them out in test, where one row of it
    would outweigh all others.
    """
    return np.stack([train.x_mean - CLIP * train.x_std, train.x_mean + CLIP * train.x_std])


def precision(features: Rows) -> float:
    """The relative rounding of the numbers that features are held in."""
    return float(np.finfo(features.dtype).eps)


def varies(mean: np.ndarray, std: np.ndarray, precision: float) -> np.ndarray:
    """Which features vary by more than rounding: the others are dead. A time stamp in float64 is alive."""
    return std > precision * np.abs(mean)


def moments(features: Rows, targets: np.ndarray, rows: np.ndarray | None = None) -> Moments:
    """Moments of some rows, read once, block by block.

    Args:
        features: ``(N, D)`` float32 or float64, possibly memory-mapped.
        targets: ``(N, T)`` float64.
        rows: indices of the rows wanted, at least one; all of them if None.
    """
    n = len(features) if rows is None else len(rows)
    # Any point near the data is a good origin; exact centring follows from the sums.
    first = _block(rows, 0)
    origin, y_origin = features[first].mean(0, dtype=np.float64), targets[first].mean(0)
    dims, width = features.shape[1], targets.shape[1]
    x_sum, y_sum, yy = np.zeros(dims), np.zeros(width), np.zeros(width)
    xx, xy = np.zeros((dims, dims)), np.zeros((dims, width))
    low, high = targets[first].min(0), targets[first].max(0)
    for start in range(0, n, BLOCK_ROWS):
        block = _block(rows, start)
        x, y = features[block] - origin, targets[block]
        low, high = np.minimum(low, y.min(0)), np.maximum(high, y.max(0))
        y = y - y_origin
        x_sum += x.sum(0)
        y_sum += y.sum(0)
        yy += (y**2).sum(0)
        xx += x.T @ x
        xy += x.T @ y
    return Moments(
        n,
        origin + x_sum / n,
        y_origin + y_sum / n,
        xx - np.outer(x_sum, x_sum) / n,
        xy - np.outer(x_sum, y_sum) / n,
        yy - y_sum**2 / n,
        np.stack([low, high]),
        precision(features),
    )


def _block(rows: np.ndarray | None, start: int) -> slice | np.ndarray:
    """The next `BLOCK_ROWS` of some rows, or of all: a slice copies nothing."""
    block = slice(start, start + BLOCK_ROWS)
    return block if rows is None else rows[block]


def class_moments(features: np.ndarray, targets: np.ndarray, label: np.ndarray, num_classes: int) -> list[Moments]:
    """Moments of each class; their sum is that of all rows.

    Args:
        features: ``(N, D)``.
        targets: ``(N, T)`` float64.
        label: ``(N,)``; every class must have a row.
        num_classes: number of classes.
    """
    return [moments(features, targets, np.flatnonzero(label == c)) for c in range(num_classes)]


def project(
    features: Rows,
    weights: np.ndarray,
    rows: np.ndarray | None = None,
    limits: np.ndarray | None = None,
    origin: np.ndarray | float = 0.0,
) -> np.ndarray:
    """``(features[rows] - origin) @ weights`` in float64, block by block.

    Args:
        features: ``(N, D)``.
        weights: ``(D, T)`` float64.
        rows: indices; all rows if None.
        limits: ``(2, D)`` least and greatest value that a feature is taken to have; None for no limit.
        origin: ``(D,)``, taken off before the product: of features far from 0 it would be rounding.

    Returns:
        ``(len(rows), T)`` float64.
    """
    count = len(features) if rows is None else len(rows)
    out = np.empty((count, weights.shape[1]))
    for start in range(0, count, BLOCK_ROWS):
        x = features[_block(rows, start)].astype(np.float64)
        if limits is not None:
            np.clip(x, *limits, out=x)
        x -= origin
        np.matmul(x, weights, out=out[start : start + BLOCK_ROWS])
    return out


def project_by(
    features: np.ndarray,
    choice: np.ndarray,
    weights: np.ndarray,
    limits: np.ndarray | None = None,
    origin: np.ndarray | None = None,
) -> np.ndarray:
    """Each row times the weights chosen for it: ``out[i] = (features[i] - origin) @ weights[choice[i]]``.

    Args:
        features: ``(N, D)``.
        choice: ``(N,)`` integers below ``M``.
        weights: ``(M, D, T)`` float64.
        limits: ``(M, 2, D)``, as in `project`, for each choice.
        origin: ``(M, D)``, as in `project`, for each choice.

    Returns:
        ``(N, T)`` float64.
    """
    out = np.empty((len(features), weights.shape[2]))
    for value in np.unique(choice):
        rows = np.flatnonzero(choice == value)
        centre = 0.0 if origin is None else origin[value]
        out[rows] = project(features, weights[value], rows, None if limits is None else limits[value], centre)
    return out
