"""One of few codes in place of the features: what is released can be counted, and bounded by arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.release.lda import along, fitted_axes
from invariantnets.release.release import Release, fit_rows
from invariantnets.statistics.moments import BLOCK_ROWS

STARTS = 3  # of k-means; the best is kept


def nearest_codes(
    x: np.ndarray,
    codebook: np.ndarray,
    edges: np.ndarray,
    mean: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Each group of features as the nearest of its codes.

    Args:
        x: ``(N, D)`` features.
        codebook: ``(K, D)``: in the columns of each group, its codes; those of a group that has fewer are repeated.
        edges: ``(G + 1,)`` where each group of columns begins, and where the last one ends.
        mean: of the axes that stand in the place of the features, if any do (`along`).
        weights: of these axes.
    """
    if mean is not None and weights is not None:
        x = along(x, mean, weights)
    coded = np.empty_like(x)
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        codes = codebook[:, start:end].astype(x.dtype)
        half = (codes**2).sum(1) / 2
        for first in range(0, len(x), BLOCK_ROWS):
            rows = slice(first, first + BLOCK_ROWS)
            coded[rows, start:end] = codes[(x[rows, start:end] @ codes.T - half).argmax(1)]
    return coded


@dataclass(frozen=True)
class Codes:
    """The nearest of some codes: k-means of the training rows (one group), or product codes (Jégou et al. 2011).

    Told nothing of the nuisance, nor of the class. As many groups as features are levels of each feature, which
    `Quantise` places with more care. Codes lie where features vary most, which may be by a nuisance. Along a few
    discriminants (`Lda`), which are told the class, a class varies by one in each.

    Attributes:
        codes: how many, in each group.
        groups: of neighbouring features, each with codes of its own: ``codes ** groups`` are possible in all.
        seed: of the starts of k-means, and of the rows it is placed on, where they are many.
        axes: along how many discriminants codes are placed, fewer than classes; None: in the features as they are.
    """

    codes: int = 20
    groups: int = 1
    seed: int = 0
    axes: int | None = None

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Place the codes on the training rows.

        Args:
            table: with rows of split train.
            layer: of the table.

        Raises:
            InvariantNetsError: fewer than two codes, more than there are different training rows, more groups than
                features or axes, no training row, or features that cannot be used; with axes, as `Lda.fit`.
        """
        from sklearn.cluster import KMeans  # loaded by those who need codes

        part = table.part("train")
        check_layer(part, layer)
        width = entered = part.features[layer].shape[1]
        if self.codes < 2:
            raise InvariantNetsError(f"release.codes={self.codes}: there must be two at least")
        fit = fit_rows(part, self.seed).features[layer].astype(np.float64)
        axes: dict[str, np.ndarray] = {}
        how = ""
        if self.axes is not None:
            axes, _, classes = fitted_axes(table, layer, self.axes, self.seed, "release.axes")
            fit, width = along(fit, **axes), self.axes
            how = f" along the {self.axes} axes that tell {classes:,} classes apart"
        if not 1 <= self.groups <= width:
            what = "features" if self.axes is None else "axes"
            raise InvariantNetsError(f"release.groups={self.groups}: {layer!r} has {width} {what}; give 1 to {width}")
        edges = np.linspace(0, width, self.groups + 1).astype(np.int64)
        codebook = np.empty((self.codes, width))
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            columns = fit[:, start:end]
            different = min(self.codes, len(np.unique(columns, axis=0)))
            if self.groups == 1 and different < self.codes:
                raise InvariantNetsError(
                    f"release.codes={self.codes}: {layer!r} has {different} different rows of split 'train' to make "
                    "codes of; give fewer"
                )
            found = KMeans(different, n_init=STARTS, random_state=self.seed).fit(columns).cluster_centers_
            codebook[:, start:end] = np.pad(found, ((0, self.codes - different), (0, 0)), mode="edge")
        how = f"{self.codes} codes" + (f" in each of {self.groups} groups" if self.groups > 1 else "") + how
        return Release(
            nearest_codes, {"codebook": codebook, "edges": edges, **axes}, layer, entered, how, len(fit), table.meta
        )
