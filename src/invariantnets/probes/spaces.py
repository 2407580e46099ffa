"""Coordinates in which distances and gradients mean something: standardised, or whitened with a floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.probes.linear import eigenbasis
from invariantnets.probes.moments import CLIP, Moments, project

# Directions below this share of the largest variance are float32 rounding: whitening shrinks instead of inflating them.
FLOOR = 1e-10


@dataclass(frozen=True)
class Space:
    """Principal coordinates of the standardised features, each divided by ``scale``."""

    name: str
    mean: np.ndarray
    axes: np.ndarray
    limit: np.ndarray

    def transform(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """``(N, D)`` → ``(len(rows), R)`` float32, clipped at ten standard deviations of the training rows."""
        coordinates = project(features, self.axes, rows) - self.mean @ self.axes
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
