"""Least-squares concept erasure (Belrose et al. 2023): no linear reader is better than chance, at the least change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.release.release import Release
from invariantnets.release.told import told
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
        part, known = told(table, layer, self.nuisances, "leace")
        targets = np.concatenate([nuisance.encode(part.nuisance[nuisance.name]) for nuisance in known], 1)
        train = moments(part.features[layer], targets)
        read, write = eraser(train)
        tensors = {"mean": train.x_mean, "read": read, "write": write}
        return Release(
            erase, tensors, layer, len(read), f"leace of {', '.join(n.name for n in known)}", len(part), table.meta
        )
