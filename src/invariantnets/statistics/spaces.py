"""Coordinates in which distances and gradients mean something: standardised, or whitened with a floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.moments import CLIP, Moments, project

# Directions below this share of the largest variance are float32 rounding: whitening shrinks instead of inflating them.
FLOOR = 1e-10


def eigenbasis(train: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Principal axes of the standardised features, without dead features and directions below precision.

    Returns:
        variances ``(R,)``, descending, and axes ``(D, R)`` in the units of the features: the columns
        of ``(x - x̄) @ axes`` are uncorrelated on the training rows and have these variances.
    """
    live = train.live
    axes = np.zeros((len(live), int(live.sum())))
    if not live.any():
        return np.zeros(0), axes
    scale = 1 / train.x_std[live]
    variances, vectors = np.linalg.eigh(train.xx[np.ix_(live, live)] / train.n * np.outer(scale, scale))
    axes[live] = scale[:, None] * vectors
    kept = np.flatnonzero(variances > variances[-1] * len(variances) * np.finfo(np.float64).eps)[::-1]
    return variances[kept], axes[:, kept]


@dataclass(frozen=True)
class Space:
    """Principal coordinates of the standardised features, each divided by ``scale``."""

    name: str
    mean: np.ndarray
    axes: np.ndarray
    limit: np.ndarray

    def transform(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """``(N, D)`` → ``(len(rows), R)`` float32, clipped at ten standard deviations of the training rows."""
        coordinates = project(features, self.axes, rows, origin=self.mean)
        return np.clip(coordinates, -self.limit, self.limit).astype(np.float32)


def spaces(train: Moments) -> list[Space]:
    """The two spaces the non-linear probes choose from on validation.

    A rotation changes neither distances nor a fully connected layer, so that the standardised space
    may use principal coordinates as well.
    """
    variances, axes = eigenbasis(train)
    deviation = np.sqrt(variances)
    scale = np.sqrt(np.maximum(variances, FLOOR * variances.max()))
    return [
        Space("standardised", train.x_mean, axes, CLIP * deviation),
        Space("whitened", train.x_mean, axes / scale, CLIP * deviation / scale),
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
