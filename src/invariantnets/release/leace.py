"""Least-squares concept erasure (Belrose et al. 2023): no linear reader is better than chance, at the least change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.release.released import released
from invariantnets.statistics.moments import Moments, moments, project
from invariantnets.statistics.spaces import eigenbasis

# A correlation below it is none: of what was erased before, or of categories, whose columns add up to 1.
ROUNDING = 1e-6


def eraser(train: Moments) -> tuple[np.ndarray, np.ndarray]:
    """The two factors of theorem 4.3: ``r(x) = x - (x - x̄) @ read @ write``.

    In whitened coordinates, in which the theorem's W is 1, the erased subspace is what the targets'
    covariance spans; no other map that leaves none is closer to x, in whatever norm.

    Args:
        train: moments of features and targets.

    Returns:
        ``(D, K)`` and ``(K, D)``, K being the rank of the covariance.
    """
    variances, axes = eigenbasis(train)
    white = axes / np.sqrt(variances)
    spread = np.sqrt(train.yy / train.n)
    targets = train.xy[:, spread > 0] / spread[spread > 0]
    basis, strength, _ = np.linalg.svd(white.T @ targets / train.n, full_matrices=False)
    read = white @ basis[:, strength > ROUNDING]
    return read, read.T @ train.xx / train.n


def leace(table: FeatureTable, layer: str, nuisances: Sequence[str] | None = None) -> FeatureTable:
    """Erase nuisances from a layer. It must be told them, on the training rows; applied to all rows.

    Args:
        table: with rows of split train.
        layer: of the table.
        nuisances: names; all if None.

    Raises:
        InvariantNetsError: a nuisance that the table lacks, or no training row.
    """
    known = {nuisance.name: nuisance for nuisance in table.nuisances}
    names = list(known if nuisances is None else nuisances)
    for name in names:
        if name not in known:
            raise InvariantNetsError(f"release.nuisances: there is no {name!r}; choose from {', '.join(known)}")
    if not names:
        raise InvariantNetsError("release=leace: the table has no nuisance to erase")
    part = table.part("train")
    targets = np.concatenate([known[name].encode(part.nuisance[name]) for name in names], 1)
    train = moments(part.features[layer], targets)
    read, write = eraser(train)
    x = table.features[layer]
    erased = x - (project(x, read) - train.x_mean @ read) @ write
    return released(table, layer, erased, f"leace of {', '.join(names)}")
