"""Coordinates in which distances and gradients mean something: standardised, or whitened with a floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.moments import BLOCK_ROWS, CLIP, Moments, project

# Directions below this share of the largest variance are float32 rounding: whitening shrinks instead of inflating them.
FLOOR = 1e-10


def eigenbasis(
    train: Moments, standardise: bool = True, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Principal axes of the features, without dead features and directions below precision.

    Args:
        train: moments of the rows.
        standardise: each feature is divided by its standard deviation; else all by one number, the root of their mean
            variance, so that what is small stays small.
        rows: ``(n, D)`` the rows themselves. Where they are fewer than the features, their inner products give the same
            at a fraction of the cost.

    Returns:
        variances ``(R,)``, descending, and axes ``(D, R)`` in the units of the features: the columns
        of ``(x - x̄) @ axes`` are uncorrelated on the training rows and have these variances.
    """
    live = train.live
    axes = np.zeros((len(live), int(live.sum())))
    if not live.any():
        return np.zeros(0), axes
    std = train.x_std[live]
    scale = 1 / std if standardise else np.full(len(std), 1 / np.sqrt((std**2).mean()))
    if rows is None or len(rows) >= live.sum():
        variances, vectors = np.linalg.eigh(train.xx[np.ix_(live, live)] / train.n * np.outer(scale, scale))
        kept = _above_rounding(variances)
        axes[live] = scale[:, None] * vectors
        return variances[kept], axes[:, kept]
    z = (rows[:, live] - train.x_mean[live]) * scale
    variances, vectors = np.linalg.eigh(z @ z.T / train.n)
    kept = _above_rounding(variances)
    axes = np.zeros((len(live), len(kept)))
    axes[live] = scale[:, None] * (z.T @ vectors[:, kept]) / np.sqrt(variances[kept] * train.n)
    return variances[kept], axes


def _above_rounding(variances: np.ndarray) -> np.ndarray:
    """Of variances, ascending, the places of those that are more than rounding, descending."""
    return np.flatnonzero(variances > variances[-1] * len(variances) * np.finfo(np.float64).eps)[::-1]


@dataclass(frozen=True)
class Space:
    """Principal coordinates of the standardised features, each divided by ``scale``."""

    name: str
    mean: np.ndarray
    axes: np.ndarray
    limit: np.ndarray
    scale: np.ndarray | float

    def transform(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """``(N, D)`` → ``(len(rows), R)`` float32, clipped at ten standard deviations of the training rows."""
        return transform_to([self], features, rows)[0]


def transform_to(options: Sequence[Space], features: np.ndarray, rows: np.ndarray | None = None) -> list[np.ndarray]:
    """`Space.transform` to some of what `spaces` gave: they have their axes in common, so that one product serves all.

    Args:
        options: at least one.
        features: ``(N, D)``.
        rows: indices; all rows if None.
    """
    first, count = options[0], len(features) if rows is None else len(rows)
    found = [np.empty((count, first.axes.shape[1]), np.float32) for _ in options]
    for start in range(0, count, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        x = features[block] if rows is None else features[rows[block]]
        coordinates = np.clip(project(x, first.axes, origin=first.mean), -first.limit, first.limit)
        for out, space in zip(found, options, strict=True):
            out[block] = coordinates / space.scale
    return found


def spaces(train: Moments) -> list[Space]:
    """The two spaces the non-linear probes choose from on validation.

    A rotation changes neither distances nor a fully connected layer, so that the standardised space
    may use principal coordinates as well.
    """
    variances, axes = eigenbasis(train)
    deviation = np.sqrt(variances)
    scale = np.sqrt(np.maximum(variances, FLOOR * variances.max()))
    return [
        Space("standardised", train.x_mean, axes, CLIP * deviation, 1.0),
        Space("whitened", train.x_mean, axes, CLIP * deviation, scale),
    ]


def sample_sources(source: np.ndarray, max_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of randomly drawn sources, whole sources only, at most ``max_rows`` (but one source at least).

    Returns:
        indices of rows in random order, so that ties between equal rows are broken at random.
    """
    unique, group, size = np.unique(source, return_inverse=True, return_counts=True)
    order = rng.permutation(len(unique))
    taken = order[: max(1, int(np.searchsorted(np.cumsum(size[order]), max_rows, side="right")))]
    return rng.permutation(np.flatnonzero(np.isin(group, taken)))
