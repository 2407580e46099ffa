"""Few levels for each feature: what is released is coarse."""

from __future__ import annotations

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.release.released import released


def quantise(table: FeatureTable, layer: str, levels: int = 2) -> FeatureTable:
    """Round each feature to equally distant levels, from its least to its greatest value on the training rows.

    Told nothing of the nuisance.

    Args:
        table: with rows of split train.
        layer: of the table.
        levels: how many; 2 says whether a feature is nearer to its least or to its greatest value.

    Raises:
        InvariantNetsError: fewer than two levels, or no training row.
    """
    if levels < 2:
        raise InvariantNetsError(f"release.levels={levels}: there must be two at least")
    train = table.part("train").features[layer]
    low = train.min(0)
    step = (train.max(0) - low) / (levels - 1)
    code = np.rint((table.features[layer] - low) / np.where(step > 0, step, 1)).clip(0, levels - 1)
    return released(table, layer, low + code * step, f"quantised to {levels} levels")
