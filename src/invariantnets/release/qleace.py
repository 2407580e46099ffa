"""Quadratic erasure that is told no label: ALF-QLEACE (Quirke & Belrose 2025), directions in which groups spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import eigsh

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.randomness import numpy_rng
from invariantnets.release.leace import erase, eraser
from invariantnets.release.release import Release
from invariantnets.release.told import groups_of, one_hot, told
from invariantnets.statistics.moments import moments

STREAM = 149
# Of fewer rows a covariance is chance.
LEAST_ROWS = 10
# Up to so many features, all eigenvectors cost no more than one.
FEW_FEATURES = 64


def largest_axis(symmetric: np.ndarray) -> tuple[float, np.ndarray]:
    """The eigenvalue of largest size of a symmetric matrix, and its eigenvector.

    Args:
        symmetric: ``(D, D)``.
    """
    if len(symmetric) <= FEW_FEATURES:
        values, vectors = np.linalg.eigh(symmetric)
    else:
        start = numpy_rng(0, STREAM).normal(size=len(symmetric))  # else scipy's own, another each time
        values, vectors = eigsh(symmetric, k=1, which="LM", v0=start)
    at = int(np.abs(values).argmax())
    return float(values[at]), vectors[:, at]


def directions(differences: np.ndarray, erased: float) -> np.ndarray:
    """Directions without which the covariances of groups differ little, one after another.

    Each is the one in which the covariance of some group is furthest from the mean of all; then it is taken out of all.

    Args:
        differences: ``(G, D, D)`` covariances less their mean.
        erased: the share of the largest difference (Frobenius norm) that is to go.

    Returns:
        ``(D, K)``, orthonormal.
    """
    left = differences.copy()
    found: list[np.ndarray] = []
    start = np.linalg.norm(left, axis=(1, 2)).max()
    while len(found) < left.shape[1]:
        sizes = np.linalg.norm(left, axis=(1, 2))
        if sizes.max() <= (1 - erased) * start:
            break
        best, axis = 0.0, np.zeros(left.shape[1])
        for group in np.argsort(-sizes):
            if sizes[group] <= best:  # no eigenvalue is larger than the norm
                break
            value, vector = largest_axis(left[group])
            if abs(value) > best:
                best, axis = abs(value), vector
        for vector in found:  # what rounding brings back
            axis = axis - vector * (vector @ axis)
        axis = axis / np.linalg.norm(axis)
        found.append(axis)
        across = left @ axis
        left -= across[:, :, None] * axis + axis[:, None] * across[:, None, :]
        left += (across @ axis)[:, None, None] * np.outer(axis, axis)
    return np.stack(found, 1) if found else np.zeros((left.shape[1], 0))


@dataclass(frozen=True)
class Qleace:
    """LEACE, then no feature in the directions in which groups of a nuisance's values differ in covariance most.

    QLEACE itself (section 3 of the paper; ``QuadraticEraser`` of EleutherAI's concept-erasure) moves each group to a
    common mean and covariance, for which it must be told the group of every row: no release can be, and its authors
    warn that the label comes in by that door. This is their form without labels (``AlfQLeaceEraser`` there): a
    projection, so that covariances are made nearly equal by taking out what differs, not by moving it. Unlike there,
    covariances are those after LEACE exactly (its matrix is not symmetric), and per row, so that a large group is no
    different one.

    Told the nuisances of the training rows, and of no other. A quadratic reader still finds what is left in directions
    of little variance, in which the covariances differ by little in absolute terms.

    Attributes:
        nuisances: names; all if None.
        erased: the share of the largest difference between a group's covariance and the mean of all that goes.
        groups: of a nuisance of more values, so many quantile groups.
    """

    nuisances: Sequence[str] | None = None
    erased: float = 0.9
    groups: int = 8

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Fit on the training rows in which all nuisances are known.

        Args:
            table: with rows of split train.
            layer: of the table.

        Raises:
            InvariantNetsError: see `told`; a nuisance without two groups of ten rows.
        """
        part, known = told(table, layer, self.nuisances, "qleace")
        x = part.features[layer]
        groups = {n.name: groups_of(part.nuisance[n.name], self.groups) for n in known}
        targets = [columns for n in known for columns in (n.encode(part.nuisance[n.name]), one_hot(groups[n.name]))]
        train = moments(x, np.concatenate(targets, 1))
        read, write = eraser(train)
        linear = np.eye(x.shape[1]) - read @ write
        differences = np.concatenate([self._differences(x, name, g, linear) for name, g in groups.items()])
        axes = directions(differences, self.erased)
        read, write = np.hstack([read, axes]), np.vstack([write - (write @ axes) @ axes.T, axes.T])
        names = ", ".join(groups)
        how = f"qleace of {names}, {self.erased:g} of the differing covariance, {axes.shape[1]} directions"
        return Release(
            erase, {"mean": train.x_mean, "read": read, "write": write}, layer, len(read), how, len(part), table.meta
        )

    def _differences(self, x: np.ndarray, name: str, group: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """``(G, D, D)``: covariances of the groups after a linear map, less their mean."""
        found = np.stack(list(self._covariances(x, group, linear)) or [np.zeros_like(linear)])
        if len(found) < 2:
            raise InvariantNetsError(
                f"release=qleace: {name!r} has no two groups of {LEAST_ROWS} training rows, whose covariances could be "
                "compared; release.nuisances= chooses others"
            )
        return found - found.mean(0)

    @staticmethod
    def _covariances(x: np.ndarray, group: np.ndarray, linear: np.ndarray) -> Iterator[np.ndarray]:
        none = np.zeros((len(x), 0))
        for rows in (np.flatnonzero(group == g) for g in range(group.max() + 1)):
            if len(rows) >= LEAST_ROWS:
                yield linear.T @ (moments(x, none, rows).xx / len(rows)) @ linear
