"""Who is in the test split: people whom nobody was trained on, or images of the classes of train."""

from __future__ import annotations

import numpy as np

from invariantnets.features.checks import is_closed
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS

__all__ = ["has_known", "independent", "open_set"]


def has_known(table: FeatureTable) -> bool:
    """Whether there are rows to fit a reader on, and to choose it by."""
    return set(SPLITS) <= set(table.split)


def open_set(table: FeatureTable) -> bool:
    """Whether the people of test, if they are known, are others than those of train."""
    return table.labelled and not (has_known(table) and is_closed(table))


def independent(table: FeatureTable, test: FeatureTable) -> np.ndarray:
    """``(N,)`` what intervals resample: for each test row its person in an open set, else the image of origin.

    Args:
        table: of all splits that there are.
        test: some of its test rows.
    """
    return test.label if open_set(table) else test.source
