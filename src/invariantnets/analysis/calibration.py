"""Thresholds that are chosen on some people, to be used on others: what `thresholds` and `groups` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.analysis.analysis import Material
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.every_pair import People, highest, thresholds
from invariantnets.protocols.inputs import one_of_each_source
from invariantnets.protocols.similarity import prepare
from invariantnets.randomness import numpy_rng

__all__ = ["LEAST_ERRORS", "Calibration", "calibrate", "in_per_cent"]

# What a promise of too few pairs is marked by.
FEW_PAIRS = "†"
# Doddington's rule of 30: with fewer errors a rate is not known to ± 30 %, nine times in ten.
LEAST_ERRORS = 30
# Scores that are held to choose thresholds from: 256 MiB of float32, twice.
MOST_SCORES = 1 << 26
# So many are held in any case, if there are: an interval reaches to thresholds beyond those that are promised.
LEAST_SCORES = 1 << 20
# Rates up to so many times the highest promise, likewise.
_BEYOND = 2.0
# Which people calibrate.
_DRAW = 70


@dataclass(frozen=True)
class Calibration:
    """People on whom thresholds are chosen, and others on whom they are used.

    Attributes:
        test: one row of each source, of both.
        known: who calibrates.
        others: who does not.
        top: highest scores of two people who calibrate, descending.
    """

    test: FeatureTable
    known: People
    others: People
    top: np.ndarray

    def at(self, wanted: np.ndarray) -> np.ndarray:
        """Thresholds at false match rates, as by `thresholds`."""
        return thresholds(self.top, self.known.impostors, wanted)

    def promise(self, fmr: float, *marks: str) -> dict[str, str]:
        """How tables call a promise, with its marks."""
        marks = (FEW_PAIRS, *marks) if self.unsupported(fmr) else marks
        return {"promised FMR": in_per_cent(fmr), **({"mark": " ".join(marks)} if marks else {})}

    def unsupported(self, fmr: float) -> str:
        """Why a false match rate cannot be promised on so few pairs; empty if it can be.

        The rule of three: of n pairs none of which matches, a rate of up to 3/n may be the truth (95 %).
        """
        needed = int(np.ceil(3 / fmr - 1e-9))
        if self.known.impostors >= needed:
            return ""
        return (
            f"{FEW_PAIRS} an FMR of {in_per_cent(fmr)} is not supported: it takes {needed:,} pairs of two calibration "
            f"people (3 / FMR), and there are {self.known.impostors:,}"
        )


def calibrate(material: Material, name: str, fmr: Sequence[float], share: float, most: float = 0.0) -> Calibration:
    """Draw the people who calibrate, and find the highest scores of two of them.

    Args:
        material: of an open set; its test rows are used, one of each source.
        name: of the analysis, for messages.
        fmr: false match rates to be promised.
        share: of the people of test who calibrate.
        most: the highest false match rate that thresholds are asked for at, where it is above those of ``fmr`` and
            there is room for so many scores.

    Raises:
        InvariantNetsError: a knob that makes no sense, no people, people who were trained on, or too few.
    """
    _check_knobs(name, fmr, share)
    table, layer = material.table, material.layer
    check_layer(table, layer)
    if not table.labelled:
        raise InvariantNetsError(f"{name}: the table does not say who is who; give people as label=…")
    test = one_of_each_source(table, numpy_rng(material.seed, 10, 0))
    present = np.unique(test.label)
    trained = np.isin(present, table.label[table.split == "train"])
    if trained.any():
        raise InvariantNetsError(
            f"{name}: {trained.sum()} of {len(present)} people of split 'test' are in split 'train', too; thresholds "
            "are for people who were never seen: divide by identity (division=identity)"
        )
    count = round(share * len(present))
    if count < 2 or len(present) - count < 2:
        raise InvariantNetsError(
            f"{name}: of {len(present)} people of split 'test', {count} would calibrate and {len(present) - count} be "
            f"others; each side needs two: give more people, or another analysis.{name}.share"
        )
    calibrates = np.isin(test.label, numpy_rng(material.seed, _DRAW).permutation(present)[:count])
    raw = test.features[layer]
    x = prepare("cosine", raw, raw.max(0))
    known, others = (People.of(x, test.label, np.flatnonzero(side)) for side in (calibrates, ~calibrates))
    if not others.mated.any():
        raise InvariantNetsError(
            f"{name}: none of the {len(others.images)} people who do not calibrate has two images of different "
            "sources: give more images of each"
        )
    held = int(max(fmr) * known.impostors + 1e-6) + 1
    if held > MOST_SCORES:
        raise InvariantNetsError(
            f"{name}: an FMR of {max(fmr):g} of {known.impostors:,} pairs is {held:,} scores, more than are held: "
            f"promise less, analysis.{name}.fmr=[{MOST_SCORES / 2 / known.impostors:.1g}]"
        )
    beyond = min(int(max(most, _BEYOND * max(fmr)) * known.impostors) + 1, MOST_SCORES // 4)
    held = max(held, beyond, LEAST_SCORES)
    material.progress(f"{name}: {known.impostors:,} pairs of two calibration people")
    return Calibration(test, known, others, highest(known, held))


def _check_knobs(name: str, fmr: Sequence[float], share: float) -> None:
    rates = list(fmr) if isinstance(fmr, Sequence) and not isinstance(fmr, str) else []
    numbers = [rate for rate in rates if isinstance(rate, float | int) and 0 < rate <= 0.5]
    if not rates or len(set(numbers)) < len(rates):
        raise InvariantNetsError(
            f"analysis.{name}.fmr={rates or fmr}: give a list of false match rates above 0 and up to 0.5, each once, "
            "e.g. [1e-2,1e-3]"
        )
    if not 0 < share < 1:
        raise InvariantNetsError(f"analysis.{name}.share={share:g}: a share of the people, between 0 and 1")


def in_per_cent(rate: float) -> str:
    """``0.01 %``, however small."""
    text = f"{100 * rate:.10f}".rstrip("0").rstrip(".")
    return f"{text} %" if float(text) else f"{100 * rate:g} %"
