"""The false non-match rate of the comparisons that are left where those of low quality are discarded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.discard_strangers import Strangers
from invariantnets.analysis.people import open_set
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.inputs import one_of_each_source, prepared
from invariantnets.protocols.similarity import Similarity
from invariantnets.protocols.verification import Pairs, make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.discards import SHOWN, areas_of, stairs, step_at, target_threshold
from invariantnets.statistics.intervals import NOT_KNOWN, Number
from invariantnets.statistics.resampling import Resampling, shares

__all__ = ["Mated"]

REPLICATES = 500
_STREAM = 75
_QUALITY = "quality"
_FALSE = (
    "false matches: of every pair of two people among the images that reach the least quality of the mated pairs left, "
    "those with a cosine that reaches the threshold, which stays; intervals: over people, each left out with all pairs "
    "that he or she is in"
)


@dataclass(frozen=True)
class Mated:
    """Comparisons of two images of one person each; knobs as of `Discard`."""

    fnmr: float
    limit: float
    per_person: int
    title: str

    def measure(
        self, material: Material, quality: np.ndarray, missing: list[str]
    ) -> tuple[list[Result], dict[str, np.ndarray]]:
        """The rate at some shares discarded, the area under it, and its curve.

        Args:
            material: what is measured.
            quality: ``(N,)`` of every row of the table, higher is better, NaN where it is not known.
            missing: is told what cannot be measured, and why.
        """
        material.progress(f"{self.title}: mated comparisons")
        drawn = self._drawn(material, quality)
        if isinstance(drawn, str):
            missing.append(f"no false non-match rate: {drawn}")
            return [], {}
        test, pairs = drawn
        x, _ = prepared(material.table, material.layer, "cosine", test)
        scores = Similarity().pairs(x[pairs.left], x[pairs.right]).astype(np.float64)
        threshold = target_threshold(scores, self.fnmr)
        wrong = (scores < threshold).astype(np.float64)
        if not wrong.any():
            missing.append("no false non-match rate: the lowest scores of mated comparisons are all the same")
            return [], {}
        worse = np.minimum(*(test.nuisance[_QUALITY][rows] for rows in (pairs.left, pairs.right)))
        person = np.unique(test.label[pairs.left], return_inverse=True)[1]
        cuts, discarded, left = stairs(worse, np.stack([wrong, np.ones_like(wrong)], 1))
        note = (
            f"a pair has the lower quality of its two images; with a cosine below {threshold:.4g} it is a false "
            f"non-match, as {wrong.mean():.4g} of all are ({self.fnmr:g} at most); intervals of it: over people, with "
            "this threshold"
        )
        trained = "" if open_set(material.table) else "; these classes were trained on"
        note += trained
        make = partial(measured, material, target="identity", probe="discard")
        curve = {"discarded": discarded, "fnmr": left[:, 0] / left[:, 1], "limit": np.array([self.limit])}
        rates = self._rates(partial(make, title=f"{self.title}: false non-matches", note=note), worse, wrong, person)
        material.progress(f"{self.title}: pairs of two people")
        shown = cuts[[step_at(discarded, share) for share in SHOWN]]
        strangers = Strangers(x, test.label, test.nuisance[_QUALITY], threshold, shown)
        curve["fmr"] = strangers.curve(cuts)
        false = strangers.rates(partial(make, title=f"{self.title}: false matches", note=_FALSE + trained))
        areas = self._area(partial(make, title=f"{self.title}: areas"), material.seed, worse, wrong, person)
        return [*rates, *false, *areas], curve

    def _drawn(self, material: Material, quality: np.ndarray) -> tuple[FeatureTable, Pairs] | str:
        """Test rows with their quality as their only column, and mated pairs of them; or why there are none."""
        table = material.table
        known = (table.split == "test") & np.isfinite(quality)
        rows = replace(table, nuisance={_QUALITY: quality}, nuisances=()).rows(known)
        test = one_of_each_source(rows, numpy_rng(material.seed, _STREAM, 0))
        label = np.unique(test.label, return_inverse=True)[1]
        if not table.labelled or label.max() < 1 or np.bincount(label).max() < 2:
            return "it takes two people of test, one of them with two images"
        images = np.bincount(label)
        count = int(np.minimum(images * (images - 1) // 2, self.per_person).sum())
        # Dealt out in turn, so that this many are as many of each as may be.
        pairs = make_pairs(label, 1, count, numpy_rng(material.seed, _STREAM, 1))
        pairs = pairs.subset(pairs.same)
        if self.fnmr * len(pairs) < 1 - 1e-9:
            return (
                f"{self.fnmr:g} of {len(pairs)} mated comparisons is less than one; give more images of a person, or a "
                "larger analysis.discard.fnmr"
            )
        return test, pairs

    def _rates(self, make: Any, worse: np.ndarray, wrong: np.ndarray, person: np.ndarray) -> Iterator[Result]:
        """At each of `SHOWN`, and how much lower than where nothing is discarded."""
        cuts, discarded, _ = stairs(worse, np.ones((len(worse), 1)))
        inside = (worse[:, None] >= cuts[[step_at(discarded, share) for share in SHOWN]]).astype(np.float64)
        count = len(SHOWN)

        def rates(sums: np.ndarray) -> np.ndarray:
            rate = sums[:, :count] / sums[:, count:]
            return np.concatenate([rate, rate[:, :1] - rate], 1)

        kinds = [*shares(count), *(Number("any", (count, count + i)) for i in range(count))]
        found = Resampling(person).interval(np.concatenate([inside * wrong[:, None], inside], 1), rates, kinds)
        for i, share in enumerate(SHOWN):
            fields: dict[str, Any] = {
                "where": {"discarded": f"{100 * share:g} %"},
                "n": int(inside[:, i].sum()),
                "sources": len(np.unique(person[inside[:, i] > 0])),
            }
            rate, saved = (tuple(float(v[at]) for v in found) for at in (i, count + i))
            yield make("fnmr", rate[0], low=rate[1], high=rate[2], chance=float(found[0][0]), **fields)
            if share:
                yield make("fnmr_saved", saved[0], low=saved[1], high=saved[2], chance=0.0, **fields)

    def _area(self, make: Any, seed: int, worse: np.ndarray, wrong: np.ndarray, person: np.ndarray) -> Iterator[Result]:
        """Under the stairs, under the perfect ones, and what lies between, beside what random order has."""
        found = areas_of(worse, wrong, person, self.limit, REPLICATES, numpy_rng(seed, _STREAM, 2))
        reach = f"0 to {100 * self.limit:g} %"
        fields: dict[str, Any] = {"where": {"discarded": reach}, "n": len(worse), "sources": int(person.max()) + 1}
        value, low, high = found.beyond
        how = "by a bootstrap over people" if np.isfinite(low) else NOT_KNOWN
        note = (
            f"areas are under the false non-match rate, over the share discarded, {reach}; their chance is that of "
            f"random order. Intervals of the area beyond the perfect: {how}; the other two are sums that it is made of"
        )
        yield make("discard_area", found.whole, chance=found.random, note=note, **fields)
        yield make("discard_area_perfect", found.perfect, note=note, **fields)
        chance = found.random - found.perfect
        yield make("discard_area_beyond", value, low=low, high=high, chance=chance, note=note, **fields)
        value, low, high = found.relative
        yield make("discard_area_relative", value, low=low, high=high, chance=1.0, note=note, **fields)
