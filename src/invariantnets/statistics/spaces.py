"""Coordinates in which distances and gradients mean something: raw, standardised, whitened, or of rows of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from invariantnets.statistics.moments import BLOCK_ROWS, CLIP, Moments, moments, project
from invariantnets.statistics.views import Rows, UnitRows

# Directions below this share of the largest variance are float32 rounding: whitening shrinks instead of inflating them.
FLOOR = 1e-10
# Of fewer, as of people with hundreds of images, whole ones would say little of others.
FEW_SOURCES = 50


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
    """Coordinates ``((x - mean) @ axes, clipped at ± limit) / scale``.

    Attributes:
        name: one of `SPACES`.
        mean: ``(D,)`` of the training rows.
        axes: ``(D, R)``; or ``(R,)`` factors of the features ``kept``, where each is a coordinate by itself.
        limit: ``(R,)``.
        scale: ``(R,)``, or one for all.
        kept: indices of the features that are coordinates; None where ``axes`` is a matrix.
        unit: whether it is made of `UnitRows` of the features, ``D`` counting the column of lengths.
    """

    name: str
    mean: np.ndarray
    axes: np.ndarray
    limit: np.ndarray
    scale: np.ndarray | float = 1.0
    kept: np.ndarray | None = None
    unit: bool = False

    def transform(self, features: Rows, rows: np.ndarray | None = None) -> np.ndarray:
        """``(N, D)`` → ``(len(rows), R)`` float32, clipped at ten standard deviations of the training rows."""
        return transform_to([self], features, rows)[0]

    def _of(self, x: np.ndarray) -> np.ndarray:
        """A block of rows, before ``scale``."""
        x = UnitRows(x)[:] if self.unit else x
        if self.kept is None:
            coordinates = project(x, self.axes, origin=self.mean)
        else:
            coordinates = (x[:, self.kept] - self.mean[self.kept]) * self.axes
        return np.clip(coordinates, -self.limit, self.limit, out=coordinates)


def transform_to(options: Sequence[Space], features: Rows, rows: np.ndarray | None = None) -> list[np.ndarray]:
    """`Space.transform` to several spaces, which reads the features once; what has its axes in common shares a product.

    Args:
        options: some of what `spaces` gave.
        features: ``(N, D)``.
        rows: indices; all rows if None.
    """
    count = len(features) if rows is None else len(rows)
    found = [np.empty((count, space.axes.shape[-1]), np.float32) for space in options]
    for start in range(0, count, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        x = features[block] if rows is None else features[rows[block]]
        made: dict[int, np.ndarray] = {}
        for out, space in zip(found, options, strict=True):
            if id(space.axes) not in made:
                made[id(space.axes)] = space._of(x)
            out[block] = made[id(space.axes)] / space.scale
    return found


def spaces(train: Moments, unit: Moments | None = None) -> list[Space]:
    """The spaces that non-linear probes choose from, out of fold.

    ``standardised`` and ``whitened`` are principal coordinates of the standardised features: a rotation changes neither
    distances nor a fully connected layer. ``raw`` leaves small features small, where they are noise; in ``unit`` the
    length of a row is a coordinate of its own.

    Args:
        train: moments of the training rows.
        unit: of (some of) them as `UnitRows`, see `unit_moments`; None: there is no such space.
    """
    variances, axes = eigenbasis(train)
    std = train.x_std[train.live]
    limit = CLIP * np.sqrt(variances)
    scale = np.sqrt(np.maximum(variances, FLOOR * variances.max(initial=0)))
    found = [
        Space("standardised", train.x_mean, axes, limit),
        Space("whitened", train.x_mean, axes, limit, scale),
        _by_feature("raw", train, np.full_like(std, np.sqrt((std**2).sum() / max(len(std), 1)))),
    ]
    if unit is not None:
        found.append(replace(_by_feature("unit", unit, unit.x_std[unit.live]), unit=True))
    return found


def _by_feature(name: str, train: Moments, size: np.ndarray) -> Space:
    """The live features, each over its ``size``."""
    live = np.flatnonzero(train.live)
    return Space(name, train.x_mean, 1 / size, CLIP * train.x_std[live] / size, kept=live)


def unit_moments(features: np.ndarray, rows: np.ndarray | None = None) -> Moments:
    """Moments of `UnitRows`, without targets: ten thousand rows are enough to know their scale.

    Args:
        features: ``(N, D)``.
        rows: indices; all rows if None.
    """
    return moments(UnitRows(features), np.zeros((len(features), 0)), rows)


def sample_sources(source: np.ndarray, max_rows: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``max_rows`` rows: all of randomly drawn sources, or, where those would be few, some of every source.

    Returns:
        indices of rows in random order, so that ties between equal rows are broken at random.
    """
    unique, group, size = np.unique(source, return_inverse=True, return_counts=True)
    order = rng.permutation(len(unique))
    taken = order[: int(np.searchsorted(np.cumsum(size[order]), max_rows, side="right"))]
    if len(taken) < min(len(unique), FEW_SOURCES):
        return rng.permutation(len(source))[:max_rows]
    return rng.permutation(np.flatnonzero(np.isin(group, taken)))
