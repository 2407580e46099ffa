"""Features of length one on their principal axes: fewer numbers, and nobody told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.release.release import Release, fit_rows
from invariantnets.statistics.lengths import unit
from invariantnets.statistics.moments import moments
from invariantnets.statistics.spaces import eigenbasis


def embed(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``W v`` of each row, v being the row at length one. Rows of zeros have no direction and stay zeros.

    Args:
        x: ``(N, D)`` features.
        weights: ``(K, D)``, W.
    """
    return unit(x) @ weights.T


def directed(table: FeatureTable, layer: str) -> FeatureTable:
    """The training rows that are not zero throughout: the others have no direction.

    Raises:
        InvariantNetsError: no training row, or features that cannot be used.
    """
    part = table.part("train")
    check_layer(part, layer)
    rows = np.flatnonzero(part.features[layer].any(1))
    return part if len(rows) == len(part) else part.rows(rows)


def principal_axes(part: FeatureTable, layer: str, width: int) -> np.ndarray:
    """The axes of most variance of rows at length one.

    Args:
        part: the rows.
        layer: of the table.
        width: K, how many axes.

    Returns:
        ``(K, D)`` float64, orthonormal, largest variance first.

    Raises:
        InvariantNetsError: no axis, or more than the rows vary in.
    """
    x = unit(part.features[layer])
    axes = eigenbasis(moments(x, np.empty((len(x), 0))), standardise=False)[1] if len(x) else np.empty((0, 0))
    if not 1 <= width <= axes.shape[1]:
        raise InvariantNetsError(
            f"release.width={width}: {len(x)} training rows of {layer!r}, at length one, vary in {axes.shape[1]} "
            "directions; give no more, and one at least"
        )
    return (axes / np.linalg.norm(axes, axis=0))[:, :width].T


@dataclass(frozen=True)
class Pca:
    """Bring features to length one and keep their largest principal components. Told nothing.

    What `Triplet` starts from, and so the control of what it learns. The axes are those about the mean, which itself is
    not taken off, as it is not there.

    Attributes:
        width: how many numbers are left.
        seed: of the rows it is fitted on, where they are many.
    """

    width: int = 256
    seed: int = 0

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Fit on (at most 20,000 of) the training rows; rows of zeros are left out.

        Args:
            table: with rows of split train.
            layer: of the table.

        Raises:
            InvariantNetsError: no width, one larger than the rows vary in, no training row, or features that cannot be
                used.
        """
        part = fit_rows(directed(table, layer), self.seed)
        weights = principal_axes(part, layer, self.width)
        how = f"the {self.width} largest principal components"
        return Release(embed, {"weights": weights}, layer, weights.shape[1], how, len(part), table.meta)
