"""Intervals by leaving out sources: the rows made from one image, or of one person, are not independent.

Numbers here are functions of sums over rows. What they would be without one source takes a subtraction, and how far
these lie apart says how far the number would with other sources: the jackknife (Tukey 1958), which of clusters is the
robust variance CR3 (Bell and McCaffrey 2002). It needs no draws, and one pass over sources serves all numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from invariantnets.randomness import numpy_rng
from invariantnets.statistics.intervals import Number, Scatter, bounds, effective_sources, mean_bounds, scaled

BLOCK_SOURCES = 4096
DRAWS = 200  # of sources, that whatever was looked at on the same sources has in common: their s.d. is good to 5 %
_STREAM = 12


class Resampling:
    """The independent sources that rows are of."""

    def __init__(self, source: np.ndarray) -> None:
        """Number them.

        Args:
            source: ``(N,)`` the source of each row.
        """
        self.names, self.group = np.unique(source, return_inverse=True)
        self.sources = len(self.names)

    def interval(
        self, quantities: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], numbers: Sequence[Number]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers made of sums over rows, and their 95 % intervals.

        Args:
            quantities: ``(N, Q)`` what is summed, e.g. squared error and squared deviation.
            statistic: ``(R, Q)`` sums → ``(R, M)`` numbers.
            numbers: what each of them is, ``M``.

        Returns:
            value, low, high, each ``(M,)``. Value NaN where no row counts; low and high NaN where nothing can be said
            of other sources, as of one source alone.
        """
        per_source = np.stack([np.bincount(self.group, column, self.sources) for column in quantities.T], 1)
        total = per_source.sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = statistic(total[None])[0].astype(np.float64)
        if self.sources == 1:
            return value, np.full(len(value), np.nan), np.full(len(value), np.nan)
        plain, even = self._left_out(per_source, total, value, statistic, numbers)
        effective = effective_sources(per_source)
        low, high = np.full((2, len(value)), np.nan)
        for i, kind in enumerate(numbers):
            if not kind.parts:
                low[i], high[i] = bounds(kind, float(value[i]), plain[i], even[i], effective[list(kind.counts)])
        for i, kind in enumerate(numbers):
            if kind.parts:
                parts = [(float(value[j]), float(low[j]), float(high[j])) for j in kind.parts]
                variances = [plain[j].variance for j in kind.parts]
                low[i], high[i] = mean_bounds(float(value[i]), plain[i].variance, parts, variances)
        return value, low, high

    def drawn(self, quantities: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Numbers made of sums over rows in each of the `common_draws`; NaN where they are not defined.

        Args:
            quantities: ``(N, Q)``.
            statistic: ``(R, Q)`` sums → ``(R, M)``.

        Returns:
            ``(DRAWS, M)``.
        """
        per_source = np.stack([np.bincount(self.group, column, self.sources) for column in quantities.T], 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return statistic(common_draws(self.sources) @ per_source)

    def _left_out(
        self,
        per_source: np.ndarray,
        total: np.ndarray,
        value: np.ndarray,
        statistic: Callable[[np.ndarray], np.ndarray],
        numbers: Sequence[Number],
    ) -> tuple[list[Scatter], list[Scatter]]:
        """Scatter of each number as it is, and on its scale."""
        scales = {kind.scale: [i for i, other in enumerate(numbers) if other.scale == kind.scale] for kind in numbers}
        kinds = [(numbers[columns[0]], columns) for columns in scales.values()]
        powers = np.zeros((2, 4, len(value)))
        with np.errstate(divide="ignore", invalid="ignore"):
            middle = _on_scales(value[None], kinds)
            for start in range(0, self.sources, BLOCK_SOURCES):
                left = statistic(total - per_source[start : start + BLOCK_SOURCES])
                # Without its only source a number is not defined; `bounds` knows how many there are.
                known = np.isfinite(left)
                for i, kind in enumerate(numbers):
                    if kind.parts:
                        known[:, i] &= (known | ~np.isfinite(value))[:, list(kind.parts)].all(1)
                left = np.where(known, left, value)
                for which, moved in enumerate((left - value, _on_scales(left, kinds) - middle)):
                    influence = (self.sources - 1) * moved
                    powers[which] += [(influence**k).sum(0) for k in (1, 2, 3, 4)]
            plain, even = (self._scatter(*p) for p in powers)
        return plain, even

    def _scatter(self, s1: np.ndarray, s2: np.ndarray, s3: np.ndarray, s4: np.ndarray) -> list[Scatter]:
        """Of each number, from sums of powers of the influences."""
        mean = s1 / self.sources
        squares = s2 - self.sources * mean**2
        # A source that raises the number is one without which it is lower.
        lean = -(s3 - 3 * mean * s2 + 2 * self.sources * mean**3) / squares**1.5
        fourth = s4 - 4 * mean * s3 + 6 * mean**2 * s2 - 3 * self.sources * mean**4
        variance = np.maximum(squares, 0) / (self.sources * (self.sources - 1))
        many = np.where(fourth > 0, np.minimum(3 * squares**2 / fourth, self.sources), self.sources)
        lean = np.where(np.isfinite(lean), lean, 0.0)
        return [Scatter(*map(float, one)) for one in zip(variance, many, lean, strict=True)]


def _on_scales(values: np.ndarray, kinds: list[tuple[Number, list[int]]]) -> np.ndarray:
    found = np.empty(values.shape)
    for kind, columns in kinds:
        found[:, columns] = scaled(kind, values[:, columns])
    return found


def draw(sources: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each source is there in each bootstrap replicate.

    Args:
        sources: how many there are, S.
        replicates: R.
        rng: draws as many sources as there are, with replacement.

    Returns:
        ``(R, S)``. A byte holds them: no source is drawn more often than there are sources, nor, of many, 256 times.
    """
    counts = np.empty((replicates, sources), np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(sources, size=sources), minlength=sources)
    return counts


@lru_cache(4)
def common_draws(sources: int) -> np.ndarray:
    """How often each source is there in each of `DRAWS` draws, the same ones whatever is measured of them.

    What two networks differ by in each, of the same sources, scatters as their difference does over other sources: far
    less than either alone, where both find the same sources hard.
    """
    return draw(sources, DRAWS, numpy_rng(0, _STREAM)).astype(np.float64)


def ratio(sums: np.ndarray) -> np.ndarray:
    """Statistic of means and shares: the first half of the columns over the second half."""
    half = sums.shape[1] // 2
    return sums[:, :half] / sums[:, half:]


def shares(count: int) -> list[Number]:
    """What `ratio` gives of ``count`` shares."""
    return [Number("share", (count + i,)) for i in range(count)]
