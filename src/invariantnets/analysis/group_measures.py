"""Measures of how unequal groups are: as measured, without what chance adds, and beside groups drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from invariantnets.statistics.inequity import (
    discrepancy_rate,
    garbe,
    gini,
    inequity_rate,
    worst_to_average,
    worst_to_best,
    worst_to_mean,
)
from invariantnets.statistics.unequal import Estimate, Side, corrected, of_both

__all__ = ["MEASURES", "Band", "Measure", "at_the_level_of", "beside"]

Rates = np.ndarray


class Measure(NamedTuple):
    """What is said of all groups at once.

    Attributes:
        of: FMR and FNMR ``(…, G)``, and the weight of FMR → ``(…,)``.
        part: of one rate: what a measure of both is the weighted sum of, more is more unequal.
        most: of so many groups, what a part can be at most.
        sign: 1 if more is more unequal, -1 if less is.
        rate: the rate whose worst group it is about; empty for a measure of both.
        back: from the weighted sum of the parts.
    """

    of: Callable[[Rates, Rates, float], np.ndarray]
    part: Callable[[Rates], np.ndarray]
    most: Callable[[int], float]
    sign: int = 1
    rate: str = ""
    back: Callable[[float], float] = float

    def without_chance(self, sides: Sequence[Side | None], alpha: float) -> Estimate | None:
        """The measure without what chance adds, and its interval; None where too few errors are independent.

        Args:
            sides: of FMR and of FNMR; None without an error in any group.
            alpha: weight of FMR.
        """
        if self.rate:
            weights: tuple[float, float] = (0.0, 1.0) if self.rate == "FNMR" else (1.0, 0.0)
        else:
            weights = alpha, 1 - alpha
        used = [side for side, weight in zip(sides, weights, strict=True) if weight and side is not None]
        known = all(side.known and np.isfinite(self.part(side.rates)) for side in used)
        if len(used) < np.count_nonzero(weights) or not known:
            return None
        most = self.most(len(used[0].rates))
        if len(used) == 1:
            found, _ = corrected(used[0], self.part, most)
        else:
            found = of_both(used, self.part, most, weights)
        value, *ends = (self.back(end) for end in (found.value, found.low, found.high))
        return Estimate(value, min(ends), max(ends))


def _fmr(measure: Callable[[Rates], np.ndarray]) -> Callable[[Rates, Rates, float], np.ndarray]:
    return lambda fmr, fnmr, alpha: measure(fmr)


def _fnmr(measure: Callable[[Rates], np.ndarray]) -> Callable[[Rates, Rates, float], np.ndarray]:
    return lambda fmr, fnmr, alpha: measure(fnmr)


def _log_ratio(rates: Rates) -> np.ndarray:
    with np.errstate(divide="ignore"):
        found: np.ndarray = np.log(worst_to_best(rates))
    return found


def _gap(rates: Rates) -> np.ndarray:
    found: np.ndarray = np.ptp(rates, axis=-1)
    return found


def _unbounded(groups: int) -> float:
    return np.inf


MEASURES = {
    "FDR (1 is equal)": Measure(discrepancy_rate, _gap, lambda groups: 1.0, -1, "", lambda gap: 1 - gap),
    "GARBE (0 is equal)": Measure(garbe, gini, lambda groups: 1.0),
    "inequity rate (1 is equal)": Measure(
        inequity_rate, _log_ratio, _unbounded, back=lambda ratio: float(np.exp(ratio))
    ),
    "FMR, worst over geometric mean": Measure(_fmr(worst_to_mean), worst_to_mean, _unbounded, 1, "FMR"),
    "FNMR, worst over geometric mean": Measure(_fnmr(worst_to_mean), worst_to_mean, _unbounded, 1, "FNMR"),
    "FMR, worst group over mean": Measure(_fmr(worst_to_average), worst_to_average, float, 1, "FMR"),
    "FNMR, worst group over mean": Measure(_fnmr(worst_to_average), worst_to_average, float, 1, "FNMR"),
}


class Band(NamedTuple):
    """A measure of groups drawn at random: ends of the middle 95 % and the median, all infinite or NaN where these are.

    Attributes:
        low, middle, high: as said.
        p: share of the draws that are at least as unequal as measured, the true one among them.
        undefined: draws in which it is not defined.
    """

    low: float
    middle: float
    high: float
    p: float
    undefined: int


def beside(value: float, null: np.ndarray, sign: int) -> Band:
    """What a measure is beside its draws.

    p counts the true groups among the draws, so that it is never 0 (Phipson & Smyth 2010).

    Args:
        value: as measured; infinite or NaN where it is.
        null: ``(draws,)`` the same.
        sign: 1 if more is more unequal, -1 if less is.
    """
    known = np.sort(null[~np.isnan(null)])
    undefined = len(null) - len(known)
    if not len(known):
        return Band(np.nan, np.nan, np.nan, np.nan, undefined)
    low, middle, high = (float(known[round(q * (len(known) - 1))]) for q in (0.025, 0.5, 0.975))
    if np.isnan(value):
        return Band(low, middle, high, np.nan, undefined)
    # Equal but for the last digit is as unequal.
    as_far = sign * known >= sign * value - 1e-9 * abs(value) if np.isfinite(value) else known == value
    return Band(low, middle, high, (1 + int(as_far.sum())) / (1 + len(known)), undefined)


def at_the_level_of(drawn: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Rates of groups drawn at random, as high on average as those of the true groups.

    Where people of a group are alike, groups drawn at random have fewer false matches. Ratios do not feel it; a
    difference, as in FDR, does.

    Args:
        drawn: ``(draws, G, T)``; NaN where a group has no such pair.
        rates: ``(G, T)`` as measured.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = rates.mean(0) / np.nanmean(drawn, (0, 1))
    found: np.ndarray = np.minimum(drawn * np.where(np.isfinite(factor), factor, 1.0), 1.0)
    return found
