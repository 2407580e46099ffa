"""Errors by group at one threshold for all, and how unequal they are beside groups that are drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.calibration import Calibration, calibrate
from invariantnets.analysis.group_errors import GroupErrors, pairs_of
from invariantnets.analysis.group_measures import MEASURES, Band, at_the_level_of, beside
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.unequal import Estimate, Side

__all__ = ["Groups"]

LEAST_MATED = 10
# Of a band of 95 % each end is one draw of forty.
_LEAST_DRAWS = 40
# Of those who could, so few change groups that it is more likely a mistake.
_FEW_CHANGE = 0.1
_DRAW = 71
_RATES = (
    "one threshold for all, chosen on other people at the promised FMR; FMR of a group: of pairs of two of its people, "
    "FNMR: of pairs of one; intervals: over people"
)
_BAND = (
    "at random: groups of the same sizes that are drawn at random, brought to the mean rate of the true ones, their "
    "median and the band of 95 % of the draws; p: the share of draws that are at least as unequal, the true one among "
    "them; measured numbers have no interval, since chance alone pushes them from equality. Chance taken off: the "
    "inequality of true rates of which half of the draws are more unequal than measured, and its 95 % interval over "
    "people, which may end at equality; – where of some group not even one error is independent, as where one person "
    "has most of its pairs. Else – is not defined (0/0, no error in any group) or infinite (no error in one of them)"
)


@dataclass(frozen=True)
class Groups:
    """Error rates of each group at the thresholds of `Thresholds`, and measures of how unequal they are.

    Each measure stands beside what it is of groups that are drawn at random: equal groups have unequal errors, too.

    Args:
        by: a column of categories, of people (sex) or of images (hat); None: every one.
        fmr: false match rates to promise.
        share: of the people of split test on whom thresholds are chosen.
        draws: groups drawn at random.
        alpha: weight of FMR in measures of both rates; FNMR has the rest.
    """

    by: str | None = None
    fmr: Sequence[float] = (1e-2, 1e-3, 1e-4)
    share: float = 0.5
    draws: int = 1000
    alpha: float = 0.5
    name: ClassVar[str] = "groups"
    title: ClassVar[str] = "Errors by group, at one threshold for all"
    unequal: ClassVar[str] = "How unequal groups are, beside groups drawn at random"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        if self.draws < _LEAST_DRAWS:
            raise InvariantNetsError(f"analysis.groups.draws={self.draws}: a band of 95 % takes {_LEAST_DRAWS} or more")
        if not 0 <= self.alpha <= 1:
            raise InvariantNetsError(f"analysis.groups.alpha={self.alpha:g}: the weight of FMR, from 0 to 1")
        wanted = self._wanted(material)
        found = calibrate(material, self.name, self.fmr, self.share)
        results: list[Result] = []
        lost: list[str] = []
        for i, attribute in enumerate(wanted):
            material.progress(f"{self.title}: {attribute.name}")
            try:
                results += list(self._of(material, found, attribute, numpy_rng(material.seed, _DRAW, i)))
            except InvariantNetsError as error:
                lost.append(str(error))
        if not results:
            raise InvariantNetsError("; ".join(lost))
        return [replace(results[0], note="; ".join([results[0].note, *lost])), *results[1:]]

    def _wanted(self, material: Material) -> list[Nuisance]:
        able = [n for n in material.table.nuisances if n.kind in ("categorical", "binary")]
        found = [n for n in able if self.by in (None, n.name)]
        if found:
            return found
        names = ", ".join(n.name for n in able) or "none"
        if any(n.name == self.by for n in material.table.nuisances):
            raise InvariantNetsError(
                f"analysis.groups.by={self.by}: is a number; groups are categories (have: {names})"
            )
        asked = f"analysis.groups.by={self.by}: no such column" if self.by else "groups: no column"
        raise InvariantNetsError(f"{asked} of categories in the table (have: {names})")

    def _of(
        self, material: Material, found: Calibration, attribute: Nuisance, rng: np.random.Generator
    ) -> Iterator[Result]:
        """All of one attribute."""
        promised = np.sort(np.asarray(self.fmr, np.float64))[::-1]
        errors, names, left_out = _grouped(found, attribute, found.at(promised))
        make = partial(measured, material, target=attribute.name, n_fit=found.known.impostors)
        said = "; ".join([*left_out, _moving(errors, attribute.name)])
        rates = [errors.rates(group) for group in range(errors.groups)]
        rows = [
            ("all, across groups too", errors.rates(None), errors.people.images[:, None]),
            *((name, of, errors.images[:, [g]]) for g, (name, of) in enumerate(zip(names, rates, strict=True))),
        ]
        few = [why for rate in promised if (why := found.unsupported(float(rate)))]
        made = partial(make, title=self.title, probe="groups")
        for t, rate in enumerate(promised):
            for name, (met, missed), images in rows:
                where = {**found.promise(float(rate)), attribute.name: name}
                mated, pairs = pairs_of(images)
                false, lost = (Ends(*(float(ends[t]) for ends in of)) for of in (met, missed))
                members, with_two = int((images > 0).sum()), int((images > 1).sum())
                fields = {**false._asdict(), "n": int(pairs[0]), "sources": members, "note": "; ".join([_RATES, *few])}
                yield made("false_match_rate", **fields, where=where)
                fields = {**lost._asdict(), "n": int(mated[0]), "sources": with_two, "note": said}
                yield made("false_non_match_rate", **fields, where=where, chance=1 - false.value)
        fields = {"n": int(errors.mated.sum() + errors.impostors.sum()), "sources": len(errors.people.images)}
        made = partial(make, title=self.unequal, **fields)
        fmr, fnmr = (np.stack([of[i].value for of in rates]) for i in range(2))
        places = [found.promise(float(rate)) for rate in promised]
        drawn = [at_the_level_of(d, r) for d, r in zip(errors.drawn(self.draws, rng), (fmr, fnmr), strict=True)]
        sides = _sides((fmr, fnmr), errors.independent(), rng)
        yield from self._unequal(made, (fmr, fnmr), (drawn[0], drawn[1]), sides, places, names)

    def _unequal(
        self,
        make: Callable[..., Result],
        rates: tuple[np.ndarray, np.ndarray],
        drawn: tuple[np.ndarray, np.ndarray],
        sides: Sequence[Sequence[Side | None]],
        places: Sequence[dict[str, str]],
        names: Sequence[str],
    ) -> Iterator[Result]:
        """Each measure at each threshold, with its band.

        Args:
            make: a result.
            rates: FMR and FNMR, each ``(G, T)``.
            drawn: the same of groups drawn at random, each ``(draws, G, T)``.
            sides: the same, for ``T`` promises, with what they scatter; None without an error.
            places: ``T`` promises, as tables call them.
            names: of the groups.
        """
        lines: list[tuple[dict[str, str], float, Estimate | None, Band]] = []
        lost: list[str] = []
        for t, place in enumerate(places):
            for name, measure in MEASURES.items():
                value = float(measure.of(rates[0][:, t], rates[1][:, t], self.alpha))
                band = beside(value, measure.of(drawn[0][:, :, t], drawn[1][:, :, t], self.alpha), measure.sign)
                where = {**place, "measure": name}
                if measure.rate:
                    of = rates[measure.rate == "FNMR"][:, t]
                    where["group"] = names[int(of.argmax())] if of.any() else "none has an error"
                if band.undefined:
                    lost.append(f"{name} at {place['promised FMR']} in {band.undefined}")
                lines.append((where, value, measure.without_chance(sides[t], self.alpha), band))
        said = [_BAND, f"weight of FMR: {self.alpha:g}"]
        asked, least = f"{0.05 / len(lines):.1g}", f"{1 / (1 + self.draws):.1g}"
        said.append(
            f"p is of each line alone: of {len(lines)}, Bonferroni's correction asks for p below {asked} (the smallest "
            f"that {self.draws} draws can give is {least})"
        )
        if lost:
            said.append(f"of {self.draws} draws are not defined, and left out: {', '.join(lost)}")
        for where, value, estimate, band in lines:
            made = partial(make, where=where, note="; ".join(said))
            yield made("inequality", _finite(value), probe="groups/measured")
            taken = {} if estimate is None else {"low": estimate.low, "high": estimate.high}
            off = np.nan if estimate is None else estimate.value
            ends = {end: v for end, v in taken.items() if np.isfinite(v)}
            yield made("inequality", off, probe="groups/chance taken off", **ends)
            ends = {"low": band.low, "high": band.high} if np.isfinite(band[:3]).all() else {}
            yield made("inequality", _finite(band.middle), probe="groups/at random", **ends)
            yield made("p_value", band.p, probe="groups")


class Ends(NamedTuple):
    """A rate and its interval."""

    value: float
    low: float
    high: float


def _sides(
    rates: tuple[np.ndarray, np.ndarray], rows: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> list[list[Side | None]]:
    """FMR and FNMR at each threshold, from ``(G, T)``."""
    return [
        [Side(of[:, t], n[:, t], rng) if of[:, t].any() else None for of, n in zip(rates, rows, strict=True)]
        for t in range(rates[0].shape[1])
    ]


def _finite(value: float) -> float:
    return value if np.isfinite(value) else float("nan")


def _grouped(found: Calibration, attribute: Nuisance, ladder: np.ndarray) -> tuple[GroupErrors, list[str], list[str]]:
    """The people who do not calibrate in the groups that can be measured, their names, and what is left out.

    Raises:
        InvariantNetsError: fewer than two can be.
    """
    values = found.test.nuisance[attribute.name][found.others.row]
    known = np.isfinite(values)
    said = (
        [f"{attribute.name} of {np.count_nonzero(~known):,} images is not known: left out"] if not known.all() else []
    )
    kept = []
    code = np.where(known, values, -1).astype(np.int64)
    for group, name in enumerate(attribute.categories):
        people = np.bincount(found.others.person[code == group])
        mated, members = int((people * (people - 1) // 2).sum()), int((people > 0).sum())
        if mated >= LEAST_MATED and members > 1:
            kept.append(group)
        else:
            said.append(f"left out: {name} ({members} people, {mated} pairs of one person; {LEAST_MATED} are needed)")
    if len(kept) < 2:
        which = f"{attribute.categories[kept[0]]} only" if kept else "none"
        raise InvariantNetsError(
            f"groups by {attribute.name}: two groups are needed, of people who do not calibrate, each with "
            f"{LEAST_MATED} pairs of one person; there is {which} ({'; '.join(said)}): give more people, or a smaller "
            "analysis.groups.share"
        )
    inside = np.isin(code, kept)
    group_of = np.searchsorted(np.array(kept), code[inside])
    return GroupErrors(found.others.some(inside), group_of, ladder), [attribute.categories[g] for g in kept], said


def _moving(errors: GroupErrors, name: str) -> str:
    """What is drawn at random."""
    if errors.of_person:
        return "drawn at random: people change groups, each with all images"
    several, changing = int((errors.people.images > 1).sum()), int(errors.changing.sum())
    said = (
        f"{name} changes within {changing} of {several} people who have two images: pairs of a group are those with "
        "both images in it, and drawn at random are the images of each person"
    )
    if changing < _FEW_CHANGE * several:
        said += ", of whom few can change; if it is of the person, give everybody one value"
    return said
