"""Thresholds people can use: chosen on some people at a promised false match rate, and what others then meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.calibration import LEAST_ERRORS, Calibration, calibrate, in_per_cent
from invariantnets.analysis.chosen import Met
from invariantnets.protocols.every_pair import Rates
from invariantnets.results.result import Result

__all__ = ["Thresholds"]

# What a promise is marked by at which few errors are found.
FEW_ERRORS = "‡"
# Of the pairs of one person: said where somebody has more.
_MUCH = 0.1
# The curve of the figure goes down from this FMR, so many points a decade.
_MOST = 0.1
_A_DECADE = 5
_SAID = (
    "a pair matches if its cosine is at least the threshold, which is the smallest that no larger share of the pairs "
    "of two calibration people reaches; it is chosen and has no interval, the FMR of the calibration people has: how "
    "well they know it; every pair of two images is used, never two of one source; intervals: over people, each left "
    "out with all pairs that he or she is in. Of other people: what more people would meet at this very threshold. Of "
    "thresholds chosen so: what is to be expected where as many people choose one, the scatter of both sides; a "
    "promise outside says that the others are not like those who calibrate"
)
_NO_REACH = "how far thresholds chosen so scatter at {fmr} is not known: it takes more scores than are held"


@dataclass(frozen=True)
class Thresholds:
    """Cosine thresholds at promised false match rates, and the error rates that other people meet at them.

    False match rate (FMR): of the pairs of two people, the share that matches. False non-match rate (FNMR): of the
    pairs of one person, the share that does not (ISO/IEC 19795-1).

    Args:
        fmr: false match rates to promise.
        share: of the people of split test, drawn by the seed, on whom thresholds are chosen.
    """

    fmr: Sequence[float] = (1e-2, 1e-3, 1e-4)
    share: float = 0.5
    name: ClassVar[str] = "thresholds"
    title: ClassVar[str] = "Thresholds that are chosen on some people, and the errors that others meet"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        found = calibrate(material, self.name, self.fmr, self.share, _MOST)
        wanted = _curve(found, self.fmr)
        material.progress(f"{self.title}: {found.others.impostors:,} pairs of two others")
        met = Met.of(found, wanted)
        asked = np.isin(wanted, self.fmr)
        arrays = {
            "promised": wanted,
            "threshold": met.ladder.astype(np.float64),
            "asked": asked,
            "pairs": np.array([found.known.impostors, found.others.impostors, found.others.mated.sum()]),
        }
        for name, rates in (("fmr", met.others.fmr), ("fnmr", met.others.fnmr)):
            arrays |= {f"{name}_{end}": values for end, values in rates._asdict().items()}
        for name, rates in (("fmr", met.so.fmr), ("fnmr", met.so.fnmr)):
            arrays |= {f"{name}_so_low": rates.low, f"{name}_so_high": rates.high}
        material.keep(self.name, arrays)
        results: list[Result] = []
        for place in np.flatnonzero(asked).tolist():
            results += self._promise(material, found, met, float(wanted[place]), place)
        return results

    def _promise(self, material: Material, found: Calibration, met: Met, fmr: float, place: int) -> Iterator[Result]:
        """All that is said of one promised FMR: its rates with their intervals, and how many errors they are of."""
        few = found.unsupported(fmr)
        rare = _few_errors(fmr, int(met.false[place]), int(met.missed[place]))
        threshold = float(met.ladder[place])
        unknown = "" if np.isfinite(met.so.fmr.high[place]) else _NO_REACH.format(fmr=in_per_cent(fmr))
        said = [_SAID, few, rare, _heavy(found), unknown]
        make = partial(
            measured,
            material,
            target="identity",
            where=found.promise(fmr, *([FEW_ERRORS] if rare else [])),
            chosen={"threshold": threshold, "fmr": fmr},
            n_fit=found.known.impostors,
            title=self.title,
            note="; ".join(part for part in said if part),
        )
        known, others = found.known, found.others
        mated = others.mated
        on_known: dict[str, Any] = {
            "n": known.impostors,
            "sources": len(known.images),
            "probe": "thresholds/calibration people",
        }
        on_others: dict[str, Any] = {"n": others.impostors, "sources": len(others.images)}
        on_mated: dict[str, Any] = {"n": int(mated.sum()), "sources": int((mated > 0).sum())}
        on_known["probe"] = "thresholds/calibration people"
        yield make("threshold", threshold, **on_known)
        yield make("false_match_rate", **_at(met.known, place), **on_known)
        chance = 1 - float(met.others.fmr.value[place])
        # Who matches as many pairs without looking finds as many of one person as of two.
        for rates, probe in ((met.others, "thresholds/other people"), (met.so, "thresholds/thresholds chosen so")):
            yield make("false_match_rate", **_at(rates.fmr, place), **on_others, probe=probe)
            yield make("false_non_match_rate", **_at(rates.fnmr, place), **on_mated, probe=probe, chance=chance)


def _curve(found: Calibration, asked: Sequence[float]) -> np.ndarray:
    """Promised rates, falling: those that were asked for, and a few a decade down to a single pair."""
    pairs = found.known.impostors
    places = np.arange(int(_A_DECADE * np.log10(pairs * _MOST)) + 1 if pairs * _MOST > 1 else 0)
    grid = [float(f"{rate:.3g}") for rate in _MOST * 10 ** (-places / _A_DECADE)]
    return np.unique([*asked, *(rate for rate in grid if int(rate * pairs + 1e-6) < len(found.top))])[::-1]


def _at(rates: Rates, place: int) -> dict[str, float]:
    """Value, low and high, as far as they are known."""
    return {end: float(v[place]) for end, v in rates._asdict().items() if end == "value" or np.isfinite(v[place])}


def _few_errors(fmr: float, false: int, missed: int) -> str:
    """What must be said of rates that rest on few errors; empty if they do not."""
    counts = {"false matches": false, "false non-matches": missed}
    few = ", ".join(f"{what}: {count}" for what, count in counts.items() if count < LEAST_ERRORS)
    if not few:
        return ""
    said = f"at {in_per_cent(fmr)} a rate is of fewer than {LEAST_ERRORS} errors, and hardly known"
    return f"{FEW_ERRORS} {said} ({few})"


def _heavy(found: Calibration) -> str:
    """What must be said if the pairs of one person are most of them; empty if nobody has many."""
    mated = found.others.mated
    share = float(mated.max() / mated.sum())
    return f"one person has {100 * share:.0f} % of the pairs that FNMR is of" if share > _MUCH else ""
