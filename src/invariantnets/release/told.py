"""What an erasure is told: the training rows in which its nuisances are known, and groups of rows that are alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance

__all__ = ["groups_of", "one_hot", "told"]


def told(table: FeatureTable, layer: str, chosen: Sequence[str] | None, by: str) -> tuple[FeatureTable, list[Nuisance]]:
    """The training rows in which all nuisances that are to be erased are known, and these.

    Args:
        table: with rows of split train.
        layer: of the table.
        chosen: names of nuisances; all if None.
        by: the choice of ``release=``, for what is said.

    Raises:
        InvariantNetsError: a nuisance that the table lacks, none at all, no training row, or features that cannot be
            used.
    """
    known = {nuisance.name: nuisance for nuisance in table.nuisances}
    names = list(known if chosen is None else chosen)
    for name in names:
        if name not in known:
            raise InvariantNetsError(f"release.nuisances: there is no {name!r}; choose from {', '.join(known)}")
    if not names:
        raise InvariantNetsError(f"release={by}: the table has no nuisance to erase")
    part = table.part("train")
    unknown = np.any([np.isnan(part.nuisance[name]) for name in names], axis=0)
    part = part.rows(~unknown) if unknown.any() else part
    check_layer(part, layer)
    return part, [known[name] for name in names]


def groups_of(values: np.ndarray, most: int) -> np.ndarray:
    """Rows that are alike in a nuisance: one group a value; of more values than ``most``, as many quantile groups.

    Args:
        values: ``(N,)`` of the nuisance, none missing.
        most: how many groups at most.

    Returns:
        ``(N,)`` integers from 0.
    """
    distinct, group = np.unique(values, return_inverse=True)
    if len(distinct) <= most:
        return group
    edges = np.quantile(values, np.arange(1, most) / most)
    return np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]


def one_hot(group: np.ndarray) -> np.ndarray:
    """``(N,)`` integers from 0 → ``(N, G)`` float64, one column a group."""
    return (group[:, None] == np.arange(group.max() + 1)).astype(np.float64)
