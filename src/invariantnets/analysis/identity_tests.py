"""Are features invariant, or are people? Tests of every feature within every person (Parde et al. 2016, section V)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.bands import bands
from invariantnets.analysis.norm import correlation
from invariantnets.analysis.pair_area import mean_area
from invariantnets.analysis.side_reading import SideReading, read_side
from invariantnets.analysis.sides import Sided, Sides, sided, split
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.rates import FARS, roc, tar_at
from invariantnets.protocols.verification import make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.lengths import unit
from invariantnets.statistics.resampling import Resampling, ratio, shares
from invariantnets.statistics.two_sample import shuffled_tests, two_sample

__all__ = ["IdentityTests"]

_SHARES = "Features that differ between two sides of a nuisance, person by person"
_BANDS = "Whether it is people or features that differ"
_ROC = "Verification of those who differ least"
_WHO = "Who differs least and most"
PAPER = 7 / 38  # of the people, those that the paper calls most invariant
MAPS, PAIRS, NAMED = 99, 3000, 5


@dataclass(frozen=True)
class IdentityTests:
    """t-tests of every feature between two sides of a nuisance, within every person who has enough images of both.

    Args:
        nuisance: which; None for every one of which somebody has enough images on both sides.
        at: see `invariantnets.analysis.sides.split`.
        category: the same.
        magnitude: the same.
        least: images that a person needs on each side.
        most: images of a person that are used on each side, at random; None: all. As many of everybody as of any
            other make shares of people comparable: of more images smaller differences are found.
        alpha: of all tests of a person together; each has it over the number of features (Bonferroni).
        welch: each side has a variance of its own; else both share one.
        shuffles: of the sides within each person, for what is found where there is nothing.
        invariant: people of whom the verification is compared with that of all others; None: 7 in 38.
    """

    nuisance: str | None = None
    at: float | Sequence[float] | None = None
    category: str | None = None
    magnitude: bool = True
    least: int = 20
    most: int | None = None
    alpha: float = 0.05
    welch: bool = True
    shuffles: int = 20
    invariant: int | None = None
    name: ClassVar[str] = "identity_tests"
    title: ClassVar[str] = "Tests within each person"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table = material.table
        if self.least < 2 or not 0 < self.alpha < 1 or self.shuffles < 1 or (self.most or 2) < 2:
            raise InvariantNetsError(
                f"analysis.identity_tests: least={self.least} and most={self.most} are 2 or more, alpha={self.alpha} "
                f"between 0 and 1, shuffles={self.shuffles} 1 or more"
            )
        if not table.labelled:
            raise InvariantNetsError(f"{self.title} need to know who is on each image: add a column 'label'")
        wanted = [n for n in table.nuisances if self.nuisance in (None, n.name)]
        if not wanted:
            named = ", ".join(n.name for n in table.nuisances) or "none"
            asked = f"analysis.identity_tests.nuisance={self.nuisance}: no such" if self.nuisance else "no"
            raise InvariantNetsError(f"{asked} nuisance in the table (it has {named})")
        check_layer(table, material.layer)
        results: list[Result] = []
        too_few: dict[str, int] = {}
        for place, nuisance in enumerate(wanted):
            sides = split(table, nuisance, self.at, self.category, self.magnitude)
            known = np.isfinite(sides.code)
            part, code = table.rows(known), sides.code[known]
            images = 0
            if (part.split == "test").any():
                test = part.part("test")
                rng = numpy_rng(material.seed, 60, place)
                found, images = sided(test, code[part.split == "test"], self.least, self.most, rng)
                if found is not None:
                    material.progress(f"{self.title}: {nuisance.name}, {len(found.people)} people")
                    of_part = Sides(nuisance, sides.names, code)
                    results += _Measured(self, material, part, test, of_part, found, place).results()
                    continue
            too_few[nuisance.name] = images
        if not results:
            name, most = max(too_few.items(), key=lambda item: item[1])
            give = f" or analysis.identity_tests.least={most}" if most > 1 else ""
            raise InvariantNetsError(
                f"nobody in split 'test' has {self.least} images on both sides of {name!r}; the most is {most}: give "
                f"more images, another analysis.identity_tests.at=…{give}"
            )
        few = [f"of {name!r} nobody has {self.least} images on both sides" for name in too_few]
        return [replace(results[0], note="; ".join([results[0].note, *few])), *results[1:]]


@dataclass(frozen=True)
class _Measured:
    """All of one nuisance.

    Attributes:
        asked: how.
        material: of what.
        part: rows on either side, of every split.
        test: those of test.
        sides: the two, of ``part``.
        found: who has enough images of both.
        place: number of the nuisance.
    """

    asked: IdentityTests
    material: Material
    part: FeatureTable
    test: FeatureTable
    sides: Sides
    found: Sided
    place: int

    def results(self) -> list[Result]:
        asked, found, seed = self.asked, self.found, self.material.seed
        x = self.test.features[self.material.layer][found.rows]
        width, alpha = x.shape[1], asked.alpha / x.shape[1]
        tests = two_sample(x, found.who, found.second, asked.welch)
        differs = tests.p < alpha
        draws = asked.shuffles
        null = shuffled_tests(x, found.who, found.second, draws, alpha, self._rng(61), welch=asked.welch) / width
        share = differs.mean(1)
        # Between equals, who has the smaller differences.
        order = np.lexsort((np.nan_to_num(np.abs(tests.t), posinf=1e300).mean(1), share))
        reading = read_side(self.part, self.material.layer, seed, self.sides, found)
        if len(share) < 2:
            return self._who(order, share, reading)
        results = [*self._shares(share, null, reading, alpha), *self._bands(differs), *self._who(order, share, reading)]
        verified, curves = self._verified(x, order)
        names = np.array([self._name(i) for i in order])
        self.material.keep(
            f"identity_tests_{self.place}",
            {
                "map": differs[order],
                "names": names,
                "null": null.mean(0)[order],
                "chance": np.array(alpha),
                "nuisance": np.array(self.sides.nuisance.name),
                "sides": np.array(self.sides.names),
                "images": found.images[order],
                **curves,
            },
        )
        return results + verified

    def _make(self, metric: str, value: float, low: float | None = None, high: float | None = None, **f: Any) -> Result:
        base: dict[str, Any] = {"probe": self.asked.name, "n": len(self.found.rows), "sources": len(self.found.people)}
        known = low is not None and np.isfinite(low)
        ends = {"low": low if known else None, "high": high if known else None}
        return measured(self.material, metric, value, target=self.sides.nuisance.name, **{**base, **ends, **f})

    def _name(self, i: int) -> str:
        label = int(self.found.people[i])
        return str(self.test.classes[label] if self.test.classes else label)

    def _shares(self, share: np.ndarray, null: np.ndarray, reading: SideReading | str, alpha: float) -> list[Result]:
        asked, people = self.asked, Resampling(np.arange(len(share)))
        note = (
            f"{self.sides.names[0]} against {self.sides.names[1]}: {'Welch' if asked.welch else 'Student'}'s t, "
            f"two-tailed, p below {alpha:.3g} ({asked.alpha:g} over the features: Bonferroni, within a person); "
            f"{len(share)} people with {asked.least} images or more on both sides, {self.found.left_out} with "
            "fewer left out; intervals: over people, none of the least and the most, which move with how many people "
            "there are; "
            f"shuffled: sides within each person, {asked.shuffles} times"
        )
        rows: list[tuple[str, str, np.ndarray, tuple[float, float], float | None, str, int | None]] = []
        rows.append(("features_that_differ", "", share, (share.min(), share.max()), alpha, note, None))
        by_chance = (null.min(1).mean(), null.max(1).mean())
        rows.append(("features_that_differ", "/sides shuffled", null.mean(0), by_chance, None, note, None))
        if isinstance(reading, SideReading):
            whose = "other images of the same people" if reading.closed else "other people"
            said = f"AUC: which side it is, told by a line that was fitted to {reading.n_fit:,} rows of {whose}"
            extremes = (reading.areas.min(), reading.areas.max())
            rows.append(("auc", "/side", reading.areas, extremes, 0.5, said, reading.n_fit))
        results = []
        for metric, probe, values, (least, most), chance, said, n_fit in rows:
            counted = np.stack([values, np.ones(len(values))], 1)
            mean, low, high = (float(v[0]) for v in people.interval(counted, ratio, shares(1)))
            fields: dict[str, Any] = {"title": _SHARES, "note": said, "chance": chance, "n_fit": n_fit}
            for who, value, ends in (("mean", mean, (low, high)), ("least", least, ()), ("most", most, ())):
                of = {"people": who}
                results.append(self._make(metric, value, *ends, probe=self.asked.name + probe, where=of, **fields))
        return results

    def _bands(self, differs: np.ndarray) -> list[Result]:
        make = partial(self._make, title=_BANDS)
        if differs.all() or not differs.any():
            said = "the map is all the same: it has no bands"
            return [make("variance_share", np.nan, where={"of": "people"}, note=said)]
        note = (
            "of the variance of the map (1: differs), in the means of people, and in those of features; chance: of "
            f"{MAPS} maps in which people are shuffled within each feature, or features within each person; features "
            "that go together differ together, which is a band of people, too"
        )
        results = []
        for name, band in zip(("people", "features"), bands(differs, MAPS, self._rng(62)).values(), strict=True):
            fields: dict[str, Any] = {"where": {"of": name}, "note": note}
            results.append(make("variance_share", band.value, band.low, band.high, chance=band.chance, **fields))
            results.append(make("p_value", band.p, probe=f"{self.asked.name}/by shuffling", **fields))
        from scipy.stats import rankdata  # here: to import it takes a tenth of a second

        # Of as many images on both sides as would tell as much.
        size = 2 / (1 / self.found.images).sum(1)
        ranks = (rankdata(values) for values in (differs.mean(1), size))
        r, low, high = correlation(Resampling(np.arange(len(size))), *ranks)
        if np.isfinite(r):
            said = "correlation: of ranks, of a person's share of features that differ with how many images are tested"
            results.append(make("correlation", r, low, high, where={"of": "people"}, chance=0.0, note=said))
        return results

    def _who(self, order: np.ndarray, share: np.ndarray, reading: SideReading | str) -> list[Result]:
        few = len(order) <= 2 * NAMED
        shown = list(order) if few else [*order[:NAMED], *order[-NAMED:]]
        note = (
            f"{'all' if few else f'the {NAMED} who differ least and the {NAMED} who differ most of'} {len(order)} "
            "people, from least to most; shares have no interval: features are not independent of each other; AUC of "
            "the side: intervals over the images of that person (DeLong et al. 1988)"
        )
        if isinstance(reading, str):
            note += f"; {reading}"
        if len(order) < 4:
            note += f"; of {self.sides.nuisance.name} too few people have enough: 2 make a mean, 4 a verification"
        results = []
        for i in map(int, shown):
            images = int(self.found.images[i].sum())
            fields: dict[str, Any] = {"n": images, "sources": images, "where": {"person": self._name(i)}}
            fields |= {"title": _WHO, "note": note}
            results.append(self._make("features_that_differ", share[i], **fields))
            if isinstance(reading, SideReading):
                fields |= {"probe": f"{self.asked.name}/side", "n_fit": reading.n_fit, "chance": 0.5}
                results.append(self._make("auc", reading.areas[i], *reading.ends[i], **fields))
        return results

    def _verified(self, x: np.ndarray, order: np.ndarray) -> tuple[list[Result], dict[str, np.ndarray]]:
        """AUC of pairs among those who differ least, and among all others; and their ROC."""
        people, asked = len(order), self.asked.invariant
        count = asked if asked is not None else max(2, round(PAPER * people))
        if not 2 <= count <= people - 2:
            if asked is None:
                return [], {}
            fields: dict[str, Any] = {"title": _ROC, "where": {"people": "differ least"}}
            why = f"verification needs two people or more who differ least, and two others: there are {people}"
            return [self._make("auc", np.nan, note=why, **fields)], {}
        # One row of each image, also where it was rendered on both sides.
        source = self.test.source[self.found.rows]
        single = np.unique(source, return_index=True)[1]
        label, rows = self.found.who[single], unit(x[single])
        results, curves, ends = [], {"far": np.array(FARS)}, []
        groups = {f"the {count} who differ least": order[:count], f"the {people - count} others": order[count:]}
        note = (
            f"cosine of pairs among these people alone, {PAIRS:,} of one person and as many of two at most; intervals: "
            "over people, none of fewer than three; who differs least is chosen on the images that are compared"
        )
        for place, (name, group) in enumerate(groups.items()):
            inside = np.flatnonzero(np.isin(label, group))
            who, faces = label[inside], rows[inside]
            pairs = make_pairs(who, 1, PAIRS, self._rng(63 + place))
            scores = np.einsum("pd,pd->p", faces[pairs.left], faces[pairs.right])
            (area,), low, high, seen = mean_area(scores[:, None], pairs, who)
            curves[f"tar_{place}"] = tar_at(*roc(scores, pairs.same), np.array(FARS))
            ends.append((float(area), low, high))
            said: dict[str, Any] = {"n": len(pairs), "sources": seen, "where": {"people": name}, "title": _ROC}
            results.append(self._make("auc", area, low, high, chance=0.5, note=note, **said))
        curves["groups"] = np.array(list(groups))
        # The difference of two independent numbers, from their intervals (Zou and Donner 2008).
        (a, la, ua), (b, lb, ub) = ends
        low, high = a - b - np.hypot(a - la, ub - b), a - b + np.hypot(ua - a, b - lb)
        said = {"where": {"people": "difference"}, "title": _ROC, "chance": 0.0, "note": note}
        results.append(self._make("auc", a - b, low, high, n=len(label), **said))
        return results, curves

    def _rng(self, stream: int) -> np.random.Generator:
        return numpy_rng(self.material.seed, stream, self.place)
