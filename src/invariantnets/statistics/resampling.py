"""Bootstrap intervals, by resampling sources: the rows made from one image are not independent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LEVELS = (2.5, 97.5)
BLOCK_SOURCES = 4096


class Resampling:
    """How often each source is drawn in each replicate, drawn once and shared by all metrics."""

    def __init__(self, source: np.ndarray, replicates: int, rng: np.random.Generator) -> None:
        """Draw.

        Args:
            source: ``(N,)`` the source of each row.
            replicates: number of replicates.
            rng: generator of the draws.
        """
        unique, self.group = np.unique(source, return_inverse=True)
        self.sources = len(unique)
        # A byte holds them: no source is drawn more often than there are sources, nor, of many, 256 times.
        self.counts = np.empty((replicates, self.sources), np.uint8)
        for row in self.counts:
            row[:] = np.bincount(rng.integers(self.sources, size=self.sources), minlength=self.sources)

    def interval(
        self, quantities: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A statistic of sums over rows, and its 95 % percentile interval.

        The sums of a replicate are the counts times the sums per source: one matrix product for all
        replicates, whatever the statistic.

        Args:
            quantities: ``(N, Q)`` what is summed, e.g. squared error and squared deviation.
            statistic: ``(R, Q)`` sums → ``(R, M)`` numbers.

        Returns:
            value, low, high, each ``(M,)``; NaN where no row counts.
        """
        per_source = np.stack([np.bincount(self.group, column, self.sources) for column in quantities.T], 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = statistic(per_source.sum(0, keepdims=True))[0]
            replicates = statistic(self._sums(per_source))
        # A replicate may hold no row of a small subset: it then has no say.
        low, high = np.nanpercentile(np.where(np.isnan(value), 0.0, replicates), LEVELS, axis=0)
        undefined = np.isnan(value)
        return value, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)

    def _sums(self, per_source: np.ndarray) -> np.ndarray:
        """``(S, Q)`` sums of each source → ``(R, Q)`` of each replicate, in float64: squares may be of any unit."""
        sums = np.zeros((len(self.counts), per_source.shape[1]))
        for start in range(0, self.sources, BLOCK_SOURCES):
            block = slice(start, start + BLOCK_SOURCES)
            sums += self.counts[:, block].astype(np.float64) @ per_source[block]
        return sums


def ratio(sums: np.ndarray) -> np.ndarray:
    """Statistic of means and shares: the first half of the columns over the second half."""
    half = sums.shape[1] // 2
    return sums[:, :half] / sums[:, half:]
