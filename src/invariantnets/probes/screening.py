"""Which features hold something of a target, alone or in a product with another: before trees are grown on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Screening"]

# Bins of equal size at most, and rows in each at least.
BINS, PER_BIN = 128, 8
# Multiplications of a look at all pairs of features; rows without which it is not worth a look.
PRODUCTS, FEW = 2**30, 100


@dataclass(frozen=True)
class Screening:
    """The order of some rows in each feature, from which the features of any target are found.

    Attributes:
        order: ``(N, D)`` int32, that sort each column.
        ranks: ``(P, D)`` float32 of the first rows, of mean 0 and variance 1.
    """

    order: np.ndarray
    ranks: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Screening:
        """Of ``(N, D)`` rows in random order, so that equal values fall into bins at random."""
        n, width = x.shape
        some = min(n, PRODUCTS // width**2)
        order = np.argsort(x, axis=0).astype(np.int32)
        ranks = np.empty((some if some >= FEW else 0, width), np.float32)
        spread = ((np.arange(len(ranks)) + 0.5) / max(len(ranks), 1) - 0.5) * np.sqrt(12)
        first = order if some == n else np.argsort(x[: len(ranks)], axis=0)
        np.put_along_axis(
            ranks, first[: len(ranks)], np.broadcast_to(spread[:, None].astype(np.float32), ranks.shape), 0
        )
        return cls(order, ranks)

    def explained(self, y: np.ndarray) -> np.ndarray:
        """The share of a target's variance that each feature explains beyond chance.

        Alone, by the target's means in 2, 4, … 128 bins of equal size: a line shows in two bins, a fraction of the
        feature in many. Or with another, by the target's correlation with the product of their ranks, so that a product
        or an exclusive or is seen, of which neither tells anything alone. The larger of the two counts, less what
        the largest of so many would be by chance.

        Args:
            y: ``(N,)`` of the same rows.

        Returns:
            ``(D,)``, larger is better, at most 1.
        """
        n, width = self.order.shape
        y = (y - y.mean()).astype(np.float32)
        variance = float(y @ y) / n
        if not variance > 0:
            return np.zeros(width)
        best = self._with_another(y / np.sqrt(variance))
        count = 2 ** int(np.log2(max(2, min(BINS, n // PER_BIN))))
        edges = np.arange(count) * n // count
        sums, sizes = np.add.reduceat(y[self.order], edges, axis=0), np.diff([*edges, n])
        while len(sizes) > 1:
            free = len(sizes) - 1
            explained = (sums**2 / sizes[:, None]).sum(0) / n / variance
            # Of noise it is χ² of as many degrees of freedom, over N: three standard deviations above its mean.
            best = np.maximum(best, explained - (free + 3 * np.sqrt(2 * free)) / n)
            sums, sizes = sums.reshape(-1, 2, width).sum(1), sizes.reshape(-1, 2).sum(1)
        return best

    def _with_another(self, y: np.ndarray) -> np.ndarray:
        """``(D,)`` squared correlation with the best product of two."""
        rows, width = self.ranks.shape
        if not rows or width < 2:
            return np.full(width, -np.inf)
        squared = ((self.ranks * y[:rows, None]).T @ self.ranks / rows) ** 2
        np.fill_diagonal(squared, 0)
        # Of noise the largest of D is 2 ln D / N or so (the largest of D squares of normal numbers).
        best: np.ndarray = squared.max(1) - (2 * np.log(width) + 3) / rows
        return best
