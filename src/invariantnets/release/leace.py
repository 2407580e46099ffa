"""Least-squares concept erasure (Belrose et al. 2023): no linear reader is better than chance, at the least change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.release.release import Release
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


def erase(x: np.ndarray, mean: np.ndarray, read: np.ndarray, write: np.ndarray) -> np.ndarray:
    """``x - (x - mean) @ read @ write``.

    Args:
        x: ``(N, D)`` features.
        mean: ``(D,)`` of the training rows.
        read: ``(D, K)``, the first factor of `eraser`.
        write: ``(K, D)``, the second.
    """
    return x - project(x, read, origin=mean) @ write


@dataclass(frozen=True)
class Leace:
    """Erase nuisances, which must be known on the training rows, and on no other.

    Attributes:
        nuisances: names; all if None.
    """

    nuisances: Sequence[str] | None = None

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Fit on the training rows in which all nuisances are known.

        Args:
            table: with rows of split train.
            layer: of the table.

        Raises:
            InvariantNetsError: a nuisance that the table lacks, no training row, or features that cannot be used.
        """
        known = {nuisance.name: nuisance for nuisance in table.nuisances}
        names = list(known if self.nuisances is None else self.nuisances)
        for name in names:
            if name not in known:
                raise InvariantNetsError(f"release.nuisances: there is no {name!r}; choose from {', '.join(known)}")
        if not names:
            raise InvariantNetsError("release=leace: the table has no nuisance to erase")
        part = table.part("train")
        unknown = np.any([np.isnan(part.nuisance[name]) for name in names], axis=0)
        part = part.rows(~unknown) if unknown.any() else part
        check_layer(part, layer)
        targets = np.concatenate([known[name].encode(part.nuisance[name]) for name in names], 1)
        train = moments(part.features[layer], targets)
        read, write = eraser(train)
        tensors = {"mean": train.x_mean, "read": read, "write": write}
        return Release(erase, tensors, layer, len(read), f"leace of {', '.join(names)}", len(part), table.meta)
