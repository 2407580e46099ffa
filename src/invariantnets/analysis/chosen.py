"""What other people meet at thresholds that are chosen on some: at these very ones, and at such as are chosen so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.analysis.calibration import Calibration
from invariantnets.protocols.every_pair import Errors, Rates, false_match_rates, false_non_match_rates

__all__ = ["Met", "Pair"]

# Against 0.001 * 3000 = 2.9999…
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Pair:
    """FMR and FNMR at each threshold."""

    fmr: Rates
    fnmr: Rates


@dataclass(frozen=True)
class Met:
    """Rates at thresholds, ``(T,)``.

    Attributes:
        ladder: the thresholds, ascending.
        known: FMR of the people who calibrate.
        others: of the others at these thresholds; intervals hold that they are a sample.
        so: the same rates; intervals hold that those who calibrate are a sample, too: of the rates that are to be
            expected at thresholds that are chosen on as many people. NaN where too few scores are held to tell.
        false, missed: wrong pairs of the others.
    """

    ladder: np.ndarray
    known: Rates
    others: Pair
    so: Pair
    false: np.ndarray
    missed: np.ndarray

    @classmethod
    def of(cls, found: Calibration, wanted: np.ndarray) -> Met:
        """Measure them, in one pass over the pairs of each side.

        How well the people who calibrate know an FMR is an interval of it. The thresholds at its ends hold the one that
        everybody of their population would give (Woodruff 1952), and what the others meet at those two is how far the
        choice carries; with the scatter of the others it is put together as that of independent numbers (Zou and Donner
        2008).

        Args:
            found: both sides.
            wanted: ``(T,)`` false match rates that are promised, falling.
        """
        ladder = found.at(wanted)
        known = false_match_rates(Errors.of(found.known, ladder).false, found.known.others)
        pairs, held = found.known.impostors, len(found.top)
        few, far = known.low * pairs < 1 - _ROUNDING, known.high * pairs + _ROUNDING >= held
        up, down = found.at(known.low), found.at(np.where(far, 0, known.high))
        every = np.unique(np.concatenate([ladder, up, down]))
        errors = Errors.of(found.others, every)
        at, up, down = (np.searchsorted(every, some) for some in (ladder, up, down))
        others = Pair(
            false_match_rates(errors.false[:, at], found.others.others),
            false_non_match_rates(errors.missed[:, at], found.others.mated),
        )
        fmr = errors.false.sum(0) / found.others.others.sum()
        fnmr = errors.missed.sum(0) / found.others.mated.sum()
        # Where the calibration has no match, no threshold is too high for it.
        stricter = np.where(few, 0.0, fmr[up]), np.where(few, 1.0, fnmr[up])
        looser = (np.where(far, np.nan, rate[down]) for rate in (fmr, fnmr))
        (low, more), (high, less) = stricter, looser
        so = Pair(_both(others.fmr, low, high), _both(others.fnmr, less, more))
        false, missed = errors.false[:, at].sum(0) // 2, errors.missed[:, at].sum(0)
        return cls(ladder, known, others, so, false, missed)


def _both(own: Rates, low: np.ndarray, high: np.ndarray) -> Rates:
    """Intervals of shares that scatter for two reasons, independent of each other.

    Args:
        own: the shares, and their intervals for the first.
        low: ``(T,)`` how far down the second alone reaches.
        high: ``(T,)`` how far up; NaN where that is not known, in which case neither end is given.
    """
    below = np.hypot(own.value - own.low, own.value - np.minimum(low, own.value))
    above = np.hypot(own.high - own.value, np.maximum(high, own.value) - own.value)
    known = np.isfinite(low) & np.isfinite(high)
    ends = np.maximum(own.value - below, 0.0), np.minimum(own.value + above, 1.0)
    return Rates(own.value, *(np.where(known, end, np.nan) for end in ends))
