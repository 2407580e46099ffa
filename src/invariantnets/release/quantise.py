"""Few levels for each feature: what is released is coarse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.release.release import Release, fit_rows


def best_levels(values: np.ndarray, levels: int) -> np.ndarray:
    """The levels of least squared error that k-means of one feature finds, from ten starts.

    Args:
        values: ``(N,)`` of one feature.
        levels: how many.

    Returns:
        ``(levels,)`` float64, ascending; the last is repeated where there are fewer different values.
    """
    from sklearn.cluster import KMeans  # loaded by those who quantise

    column = values.astype(np.float64)[:, None]
    different = min(levels, len(np.unique(column)))
    placed = np.sort(KMeans(different, n_init=10, tol=0, random_state=0).fit(column).cluster_centers_[:, 0])
    return np.pad(placed, (0, levels - different), mode="edge")


def round_to(x: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Each feature's nearest level.

    Args:
        x: ``(N, D)`` features.
        levels: ``(D, L)``, ascending.
    """
    coarse = np.empty_like(x)
    for out, values, placed in zip(coarse.T, x.T, levels, strict=True):
        out[:] = placed[np.searchsorted((placed[1:] + placed[:-1]) / 2, values)]
    return coarse


@dataclass(frozen=True)
class Quantise:
    """Round each feature to its own few levels. Told nothing of the nuisance.

    Attributes:
        levels: how many; 2 leaves one bit of each feature.
    """

    levels: int = 2

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Place the levels on the training rows.

        Args:
            table: with rows of split train.
            layer: of the table.

        Raises:
            InvariantNetsError: fewer than two levels, no training row, or features that cannot be used.
        """
        if self.levels < 2:
            raise InvariantNetsError(f"release.levels={self.levels}: there must be two at least")
        part = table.part("train")
        check_layer(part, layer)
        fit = fit_rows(part, seed=0).features[layer]
        levels = np.stack([best_levels(column, self.levels) for column in fit.T])
        how = f"quantised to {self.levels} levels"
        return Release(round_to, {"levels": levels}, layer, len(levels), how, len(fit), table.meta)
