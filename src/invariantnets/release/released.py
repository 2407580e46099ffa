"""A table with other features, and no word of a network that has not seen them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from invariantnets.features.table import FeatureTable


def released(table: FeatureTable, layer: str, features: np.ndarray, how: str) -> FeatureTable:
    """The table with one layer, as it is released.

    The network's own answers go: they were given to what is not released.

    Args:
        table: as extracted.
        layer: what is released of it.
        features: ``(N, D)`` in place of the layer's.
        how: for the record.
    """
    return replace(
        table,
        features={layer: np.asarray(features, np.float32)},
        prediction=None,
        entropy=None,
        meta={**table.meta, "released": how},
    )
