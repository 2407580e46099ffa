"""Few levels for each feature: what is released is coarse."""

from __future__ import annotations

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.release.released import released

FIT_ROWS = 20_000  # training rows that are enough to place a level
ROUNDS = 50


def best_levels(values: np.ndarray, levels: int) -> np.ndarray:
    """The levels of least squared error, by Lloyd's algorithm (1982) from equally distant ones.

    Args:
        values: ``(N,)`` of one feature.
        levels: how many.

    Returns:
        ``(levels,)`` ascending; a level that no value is nearest to stays where it was.
    """
    values = np.sort(values.astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    placed = np.linspace(values[0], values[-1], levels)
    for _ in range(ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(values, (placed[1:] + placed[:-1]) / 2), [len(values)]])
        count = np.diff(edges)
        moved = np.where(count > 0, np.diff(sums[edges]) / np.maximum(count, 1), placed)
        if np.array_equal(moved, placed):
            break
        placed = moved
    return placed


def quantise(table: FeatureTable, layer: str, levels: int = 2) -> FeatureTable:
    """Round each feature to its own few levels, placed on the training rows. Told nothing of the nuisance.

    Args:
        table: with rows of split train.
        layer: of the table.
        levels: how many; 2 leaves one bit of each feature.

    Raises:
        InvariantNetsError: fewer than two levels, or no training row.
    """
    if levels < 2:
        raise InvariantNetsError(f"release.levels={levels}: there must be two at least")
    train = table.part("train").features[layer]
    fit = train[:: -(-len(train) // FIT_ROWS)]
    coarse = np.empty(table.features[layer].shape, np.float32)
    for column, values in enumerate(table.features[layer].T):
        placed = best_levels(fit[:, column], levels)
        coarse[:, column] = placed[np.searchsorted((placed[1:] + placed[:-1]) / 2, values)]
    return released(table, layer, coarse, f"quantised to {levels} levels")
