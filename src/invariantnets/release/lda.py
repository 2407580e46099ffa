"""Linear discriminants (Fisher 1936): the few axes of the features that tell the classes apart, and some noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.release.noise import key_of, white_noise
from invariantnets.release.pca import directed
from invariantnets.release.release import Release, fit_rows
from invariantnets.statistics.lengths import unit

SHRINKAGE = 0.5  # chosen, as width and σ, on rendered strangers that no result is of


def along(x: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``W (v - m)`` of each row, ``(N, K)``. v is the row at length one, or zeros where it is zeros."""
    projected: np.ndarray = (unit(x) - mean) @ weights.T
    return projected


def discriminants(
    x: np.ndarray, mean: np.ndarray, weights: np.ndarray, sigma: np.ndarray, key: np.ndarray
) -> np.ndarray:
    """`along` the axes, and noise.

    Args:
        x: ``(N, D)`` features.
        mean: ``(D,)``, m: of the rows that it was fitted on.
        weights: ``(K, D)``, W.
        sigma: scalar, the standard deviation of the noise along each axis.
        key: of the noise, see `white_noise`.
    """
    axes = along(x, mean, weights)
    return axes + sigma * white_noise(x, len(weights), key) if sigma else axes


def discriminant_axes(x: np.ndarray, label: np.ndarray, shrinkage: float) -> np.ndarray:
    """Directions of most variance between classes for the variance within, which is one along each.

    scikit-learn's eigen solver shrinks the covariance between classes as well. A direction in which nothing varies then
    looks better than most that tell classes apart: hence our own.

    Args:
        x: ``(N, D)`` float64.
        label: ``(N,)``.
        shrinkage: in [0, 1], the share of the covariance within that is taken to be alike in all directions.

    Returns:
        ``(D, D)``, a row for each, best first.
    """
    _, group, size = np.unique(label, return_inverse=True, return_counts=True)
    means = np.zeros((len(size), x.shape[1]))
    np.add.at(means, group, x)
    means /= size[:, None]
    inside, apart = x - means[group], (means - x.mean(0)) * np.sqrt(size)[:, None]
    within = inside.T @ inside / len(x)
    alike = np.trace(within) / x.shape[1] * np.eye(x.shape[1])
    axes: np.ndarray = eigh(apart.T @ apart / len(x), (1 - shrinkage) * within + shrinkage * alike)[1]
    return axes[:, ::-1].T


def fitted_axes(
    table: FeatureTable, layer: str, width: int, seed: int, asked: str = "release.width"
) -> tuple[dict[str, np.ndarray], int, int]:
    """The best `discriminant_axes` of (at most 20,000 of) the training rows; rows of zeros are left out.

    Args:
        table: with rows of split train, and a class.
        layer: of the table.
        width: how many.
        seed: of the rows, where they are many.
        asked: what the user calls the width.

    Returns:
        ``mean`` and ``weights`` of `along`, how many rows they are of, and how many classes.

    Raises:
        InvariantNetsError: as `Lda.fit`.
    """
    part = fit_rows(directed(table, layer), seed)
    x = unit(part.features[layer]).astype(np.float64)
    classes, size = np.unique(part.label, return_counts=True)
    most, rows = min(len(classes) - 1, x.shape[1]), f"{len(x)} training rows of {layer!r}"
    if not 1 <= width <= most:
        raise InvariantNetsError(
            f"{asked}={width}: {rows} in {len(classes)} classes have {most} axes that tell classes "
            f"apart; give from 1 to {most}"
        )
    if size.max() < 2 or not np.ptp(x, axis=0).any():
        raise InvariantNetsError(
            f"{asked}: {rows} vary in no class: a class must have two rows that differ; release=pca needs none"
        )
    return {"mean": x.mean(0), "weights": discriminant_axes(x, part.label, SHRINKAGE)[:width]}, len(part), len(classes)


@dataclass(frozen=True)
class Lda:
    """Bring features to length one, keep the axes along which classes differ most for how they vary, and add noise.

    Told the classes of the training rows, and no nuisance. A nuisance that varies within every class has little room
    on the first axes, and more with each further one. Noise as large as a class varies hides the little that is there,
    and hardly the class, which differs by more. Classes that nobody was fitted to are told by the same axes. Compare
    rows by their cosine.

    Half of the covariance within classes is taken to be alike in all directions: a few rows of each class do not say
    in which of them it hardly varies.

    Attributes:
        width: how many axes are left, fewer than classes.
        sigma: standard deviation of the noise along each axis, in that of a class along it (as `discriminant_axes`
            takes it, with its shrinkage); 0 for none.
        seed: of the noise, and of the rows that the axes are fitted on, where they are many. Whoever knows it could
            take the noise off, see `Noise`.

    Raises:
        InvariantNetsError: noise that is no number.
    """

    width: int = 20
    sigma: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < np.inf:
            raise InvariantNetsError(f"release.sigma={self.sigma}: give 0 or more")

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Fit on (at most 20,000 of) the training rows; rows of zeros are left out.

        Args:
            table: with rows of split train, and a class.
            layer: of the table.

        Raises:
            InvariantNetsError: no width, one that is not below the number of classes, no class that has two rows, no
                training row, or features that cannot be used.
        """
        axes, rows, classes = fitted_axes(table, layer, self.width, self.seed)
        tensors = {**axes, "sigma": np.array(self.sigma), "key": key_of(self.seed)}
        how = f"the {self.width} axes that tell {classes:,} classes apart"
        how += f", noise of σ {self.sigma:g}" if self.sigma else ""
        return Release(discriminants, tensors, layer, axes["mean"].size, how, rows, table.meta, self.sigma)
