"""Shares of the variance of features that people explain, and what varies between the images of one person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.moments import BLOCK_ROWS
from invariantnets.statistics.views import Rows

__all__ = ["Fits", "Residuals", "explained", "fit", "residuals"]


@dataclass(frozen=True)
class Fits:
    """Sums of squares and products of features and factors, about the means of people.

    Factors are sets of indicator columns (`codes`): their first value has none.

    Attributes:
        order: ``(N,)`` rows sorted by person.
        who: ``(N,)`` person of each, in that order.
        mean: ``(D,)`` of all rows.
        total: Σ ‖x - mean‖².
        within: Σ ‖x - mean of the person‖².
        columns: of each factor, its places among the K indicators.
        z: ``(N, K)`` indicators less their mean over the rows of each person.
        zz: ``(K, K)`` their products; ``zx``: ``(K, D)`` those with the features.
        shuffled_z: ``(S, K, K)`` products of indicators that were shuffled within people (rows) with those that were
            not; ``shuffled_x``: ``(S, K, D)`` with the features. Among themselves these have the products they had.
        plain_z: ``(N, K)`` indicators less their mean; ``plain``: their products with themselves and the features.
    """

    order: np.ndarray
    who: np.ndarray
    mean: np.ndarray
    total: float
    within: float
    columns: list[np.ndarray]
    z: np.ndarray
    zz: np.ndarray
    zx: np.ndarray
    shuffled_z: np.ndarray
    shuffled_x: np.ndarray
    plain_z: np.ndarray
    plain: tuple[np.ndarray, np.ndarray]

    def ss(self, factors: Sequence[int], shuffled: int | None = None, by: int = 0) -> float:
        """Sum of squares that factors explain within people.

        Args:
            factors: which; people are always among them.
            shuffled: one of them that is shuffled within people.
            by: which shuffle.
        """
        true = self._places([f for f in factors if f != shuffled])
        if shuffled is None:
            return explained(self.zz[np.ix_(true, true)], self.zx[true])
        drawn = self.columns[shuffled]
        cross = self.shuffled_z[by][np.ix_(drawn, true)]
        zz = np.block([[self.zz[np.ix_(true, true)], cross.T], [cross, self.zz[np.ix_(drawn, drawn)]]])
        return explained(zz, np.concatenate([self.zx[true], self.shuffled_x[by][drawn]]))

    def _places(self, factors: Sequence[int]) -> np.ndarray:
        return np.concatenate([np.zeros(0, int), *(self.columns[f] for f in factors)])

    def slopes(self, factors: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Places of the indicators of some factors ``(k,)`` and their coefficients ``(k, D)``."""
        places = self._places(factors)
        return places, _inverse(self.zz[np.ix_(places, places)]) @ self.zx[places]


def explained(zz: np.ndarray, zx: np.ndarray) -> float:
    """Trace of X'Z (Z'Z)⁺ Z'X, ``(K, K)`` and ``(K, D)``: what Z explains of X by least squares."""
    return float(np.einsum("kd,kd->", zx, _inverse(zz) @ zx)) if len(zz) else 0.0


def _inverse(zz: np.ndarray) -> np.ndarray:
    """Where indicators depend on each other, or on who it is, only what is left of them counts."""
    return np.linalg.pinv(zz, rcond=1e-9, hermitian=True) if len(zz) else zz


def fit(x: Rows, label: np.ndarray, codes: Sequence[np.ndarray], shuffles: int, rng: np.random.Generator) -> Fits:
    """Read the features twice, block by block.

    Args:
        x: ``(N, D)``.
        label: ``(N,)`` who it is.
        codes: of each factor ``(N,)`` whole numbers from 0, each of which occurs.
        shuffles: S, of all factors among the rows of each person.
        rng: shuffles.
    """
    order = np.argsort(label, kind="stable")
    who = np.unique(label[order], return_inverse=True)[1]
    indicators = [code[order][:, None] == np.arange(1, code.max() + 1) for code in codes]
    stops = np.cumsum([part.shape[1] for part in indicators])
    columns = [np.arange(stop - part.shape[1], stop) for stop, part in zip(stops, indicators, strict=True)]
    raw = np.concatenate(indicators, 1).astype(np.float64)
    width, k = x.shape[1], raw.shape[1]
    mean = sum(x[order[rows]].sum(0, dtype=np.float64) for rows, _ in _people(who)) / len(order)
    z, plain_z = np.empty_like(raw), raw - raw.mean(0)
    zx, plain_x, shuffled_x = np.zeros((k, width)), np.zeros((k, width)), np.zeros((shuffles, k, width))
    shuffled_z, total, within = np.zeros((shuffles, k, k)), 0.0, 0.0
    for rows, sizes in _people(who):
        values = x[order[rows]].astype(np.float64) - mean
        total += float((values**2).sum())
        plain_x += plain_z[rows].T @ values
        values -= _means(values, sizes)
        within += float((values**2).sum())
        z[rows] = raw[rows] - _means(raw[rows], sizes)
        zx += z[rows].T @ values
        for s in range(shuffles):
            drawn = z[rows][np.lexsort((rng.random(len(values)), who[rows]))]
            shuffled_z[s] += drawn.T @ z[rows]
            shuffled_x[s] += drawn.T @ values
    plain = plain_z.T @ plain_z, plain_x
    return Fits(order, who, mean, total, within, columns, z, z.T @ z, zx, shuffled_z, shuffled_x, plain_z, plain)


@dataclass(frozen=True)
class Residuals:
    """What is left of each row, squared and summed over features, rows sorted by person.

    Attributes:
        total: ``(N,)`` about the mean of all rows.
        plain: ``(N,)`` after all factors, but not people.
        models: ``(N, M)`` after people and the factors of each model.
        own: ``(N, F)`` after people, and each factor with another effect in each person.
        own_chance: ``(F,)`` sum of squares that the last would take if it were shuffled within people, on average.
    """

    total: np.ndarray
    plain: np.ndarray
    models: np.ndarray
    own: np.ndarray
    own_chance: np.ndarray


def residuals(x: Rows, fits: Fits, codes: Sequence[np.ndarray], models: Sequence[Sequence[int]]) -> Residuals:
    """What is left row by row, so that an interval may leave out people.

    Without somebody coefficients would be others, which at least squares changes nothing to first order.

    Args:
        x: as it was fitted.
        fits: to these.
        codes: the same.
        models: of each, the factors beside people.
    """
    n, slopes = len(fits.order), [fits.slopes(model) for model in models]
    plain_slopes = _inverse(fits.plain[0]) @ fits.plain[1]
    total, plain, found = np.empty(n), np.empty(n), np.empty((n, len(models)))
    own, chance = np.empty((n, len(codes))), np.zeros(len(codes))
    for rows, sizes in _people(fits.who):
        values = x[fits.order[rows]].astype(np.float64) - fits.mean
        total[rows] = (values**2).sum(1)
        plain[rows] = ((values - fits.plain_z[rows] @ plain_slopes) ** 2).sum(1)
        values -= _means(values, sizes)
        for i, (places, coef) in enumerate(slopes):
            found[rows, i] = ((values - fits.z[rows][:, places] @ coef) ** 2).sum(1)
        of_person = np.add.reduceat((values**2).sum(1), np.cumsum(sizes) - sizes)
        for f, code in enumerate(codes):
            cell = fits.who[rows] * (int(code.max()) + 1) + code[fits.order[rows]]
            by_cell = np.argsort(cell, kind="stable")
            _, first, counts = np.unique(cell[by_cell], return_index=True, return_counts=True)
            left = values[by_cell] - _means(values[by_cell], counts)
            own[rows.start + by_cell, f] = (left**2).sum(1)
            # Of c cells among the n rows of a person, shuffled, c - 1 of n - 1 parts lie between cells.
            cells = np.bincount(fits.who[rows][by_cell][first] - fits.who[rows.start])
            chance[f] += float((of_person * (cells - 1) / np.maximum(sizes - 1, 1)).sum())
    return Residuals(total, plain, found, own, chance)


def _people(who: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of whole people, about `BLOCK_ROWS` of them, and how many each has; ``who`` ascends from 0."""
    ends = np.cumsum(np.bincount(who))
    first = 0
    while first < len(ends):
        begin = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, begin + BLOCK_ROWS, side="right")), first + 1)
        yield slice(begin, int(ends[last - 1])), np.diff(ends[first:last], prepend=begin)
        first = last


def _means(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """``(n, D)`` the mean of its group for each row; groups lie together."""
    return np.repeat(np.add.reduceat(values, np.cumsum(sizes) - sizes, axis=0) / sizes[:, None], sizes, axis=0)
