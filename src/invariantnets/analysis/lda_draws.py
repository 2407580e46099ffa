"""What linear discriminants read of what is known of images, over draws (Parde et al. 2016, section IV)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.special import softmax, stdtrit

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.draws import FITTED, TESTED, draw_sides
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.lda_weighted import Discriminant, weighted_discriminants
from invariantnets.probes.suite import known_together, probable
from invariantnets.probes.targets import shuffled_by_class
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN, Number
from invariantnets.statistics.resampling import Resampling, ratio

__all__ = ["OF_CLASS", "OF_NUMBER", "LdaDraws"]

STREAM = 71
NUMBERS, CLASSES = (
    "How far off linear discriminants are, over draws",
    "How often linear discriminants are right, over draws",
)
# Which readings, beside what errs with them; the spread over draws is that of the first two and one.
OF_NUMBER = ("likeliest bin", "mean by the posterior", "always the mean", "shuffled")
OF_CLASS = ("likeliest class", "most frequent class", "shuffled")
READERS = {"mae": 2, "accuracy": 1}  # of the features: the first so many


@dataclass(frozen=True)
class Asked:
    """What is told from the features.

    Attributes:
        target: the nuisance.
        where: what of it, where that is not the nuisance itself.
        group: ``(N,)`` codes from 0.
        number: ``(N,)`` whose mean over a group stands for it; None where groups are categories.
        shuffled: ``(N,)`` the row whose value each has in the control.
    """

    target: str
    where: Mapping[str, str]
    group: np.ndarray
    number: np.ndarray | None
    shuffled: np.ndarray


@dataclass(frozen=True)
class LdaDraws:
    """Linear discriminants of numbers in bins, of a number within a limit or not, and of categories.

    Nobody is fitted to and tested on in one draw: the paper drew images, so that others of a person could be on the
    other side.

    Args:
        draws: how many, two or more.
        fit: rows of each that are fitted to; of fewer rows than are asked for the same share.
        test: rows of each that are tested.
        bins: of a number of more values, each of as many rows.
        magnitude: read |x| of every number, or of those named, as training on mirrored images leaves no more of yaw.
        within: number → limit: told is whether it is within ± that.
        shrinkage: of the covariance to its mean variance, from 0 to 1. The paper speaks of none.
        rows: ``all``, or ``test``: those that a network was trained on are left out.
    """

    draws: int = 20
    fit: int = 18_000
    test: int = 6_502
    bins: int = 16
    magnitude: bool | Sequence[str] = False
    within: Mapping[str, float] | None = None
    shrinkage: float = 0.0
    rows: str = "all"
    name: ClassVar[str] = "lda_draws"
    title: ClassVar[str] = "Linear discriminants over draws"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        closed = probable(material.table, material.layer)
        table = material.table if self.rows == "all" else material.table.part("test")
        cannot = self._check(table)
        results: list[Result] = []
        told: list[_Scores] = []
        for part, _ in known_together(table, tuple(cannot)):
            if part.nuisances:
                scores, found = self._read(material, part, closed, cannot)
                results += found
                told += scores
        if not results:
            raise InvariantNetsError("nothing to tell from the features: " + _listed(cannot))
        of_draw = np.full((len(told), self.draws, len(OF_NUMBER)), np.nan)
        for i, of in enumerate(told):
            of_draw[i, :, : len(of.readers)] = of.of_draw
        names = [of.asked.target for of in told]
        where = [", ".join(f"{key}: {value}" for key, value in of.asked.where.items()) for of in told]
        material.keep(self.name, {"target": np.array(names), "where": np.array(where), "of_draw": of_draw})
        return results

    def _check(self, table: FeatureTable) -> dict[str, str]:
        """Nuisances that cannot be read, and why.

        Raises:
            InvariantNetsError: what was asked for makes no sense.
        """
        numbers = [n.name for n in table.nuisances if n.kind == "continuous"]
        named = () if isinstance(self.magnitude, bool) else self.magnitude
        for knob, names in (("within", self.within or {}), ("magnitude", named)):
            if unknown := next((name for name in names if name not in numbers), None):
                raise InvariantNetsError(
                    f"analysis.lda_draws.{knob}: {unknown!r} is no number among the nuisances "
                    f"(numbers: {', '.join(numbers) or 'none'})"
                )
        if self.rows not in ("all", "test"):
            raise InvariantNetsError(f"analysis.lda_draws.rows={self.rows}: choose from all, test")
        if not 0 <= self.shrinkage <= 1:
            raise InvariantNetsError(f"analysis.lda_draws.shrinkage={self.shrinkage}: it is from 0 to 1")
        for knob, value, least in (
            ("draws", self.draws, 2),
            ("bins", self.bins, 2),
            ("fit", self.fit, 1),
            ("test", self.test, 1),
        ):
            if value < least:
                raise InvariantNetsError(f"analysis.lda_draws.{knob}={value}: {least} or more are needed")
        if not table.nuisances:
            raise InvariantNetsError("the table has no nuisance to tell from the features: add a column, such as yaw")
        return {n.name: why for n in table.nuisances if (why := _why_not(n, table.nuisance.get(n.name)))}

    def _asked(self, part: FeatureTable, seed: int) -> Iterator[Asked]:
        for place, n in enumerate(part.nuisances):
            value = part.nuisance[n.name]
            rng = numpy_rng(seed, STREAM, 1, place)
            if n.fixed:  # somebody gets what another has
                rows = shuffled_by_class(np.arange(len(part)).astype(np.float64), part.label, part.split == "test", rng)
                other = rows.astype(np.int64)
            else:
                other = rng.permutation(len(part))
            if n.kind != "continuous":
                yield Asked(n.name, {}, np.unique(value, return_inverse=True)[1], None, other)
                continue
            by_magnitude = self.magnitude if isinstance(self.magnitude, bool) else n.name in self.magnitude
            number = np.abs(value) if by_magnitude else value
            if len(np.unique(number)) > 1:
                yield Asked(n.name, {n.name: "magnitude"} if by_magnitude else {}, self._binned(number), number, other)
            if n.name in (self.within or {}):
                limit = (self.within or {})[n.name]
                beyond = (np.abs(value) > limit).astype(np.int64)
                if not 0 < beyond.mean() < 1:
                    side = "beyond" if beyond.any() else "within"
                    raise InvariantNetsError(
                        f"analysis.lda_draws.within={{{n.name}: {limit:g}}}: every row is {side} it; "
                        f"the numbers reach from {value.min():.3g} to {value.max():.3g}"
                    )
                yield Asked(n.name, {n.name: f"within ±{limit:g}"}, beyond, None, other)

    def _binned(self, number: np.ndarray) -> np.ndarray:
        values, group = np.unique(number, return_inverse=True)
        if len(values) <= self.bins:
            return group
        edges = np.quantile(number, np.arange(1, self.bins) / self.bins)
        return np.unique(np.searchsorted(edges, number, side="right"), return_inverse=True)[1]

    def _read(
        self, material: Material, part: FeatureTable, closed: bool, cannot: Mapping[str, str]
    ) -> tuple[list[_Scores], list[Result]]:
        source = part.source if closed else part.label
        sides = draw_sides(source, self.fit, self.test, self.draws, material.seed, STREAM, 0)
        asked = list(self._asked(part, material.seed))
        names = ", ".join(dict.fromkeys(a.target for a in asked))
        material.progress(f"{self.title}: {names} by {self.draws} draws of {len(part)} rows")
        x = part.features[material.layer]
        groupings = [codes for a in asked for codes in (a.group, a.group[a.shuffled])]
        scores = [_Scores(a, sides) for a in asked]
        singular = 0
        fits = weighted_discriminants(x, groupings, (sides == FITTED).astype(np.uint8), self.shrinkage)
        for r, found in enumerate(fits):
            rows = np.flatnonzero(sides[r] == TESTED)
            wide = _together(found).scores(x, rows)
            stops = np.cumsum([len(one.group) for one in found])
            posteriors = [softmax(s, axis=1) for s in np.split(wide, stops[:-1], axis=1)]
            for i, of in enumerate(scores):
                of.judge(r, rows, found[2 * i : 2 * i + 2], posteriors[2 * i : 2 * i + 2])
            singular += found[0].singular
        fitted, tested = (float((sides == side).sum(1).mean()) for side in (FITTED, TESTED))
        note = [
            f"each of {self.draws} draws fits to {100 * fitted / len(part):.0f} % of the rows and tests "
            f"{100 * tested / len(part):.0f} %, of other {'images' if closed else 'people'}; s.d. is over draws, whose "
            "rows overlap: it says nothing of other data, as the interval does, the wider of that over people and of "
            "Nadeau and Bengio's over draws",
            "rows of every split are drawn from, those that a network was trained on, too: analysis.lda_draws.rows=test"
            * (self.rows == "all"),
            "some directions have no variance within groups, and were not used: analysis.lda_draws.shrinkage=0.1 would "
            "use them" * bool(singular),
            f"not told: {_listed(cannot)}" * bool(cannot),
        ]
        people = Resampling(source)
        common = {"n_fit": round(fitted), "note": "; ".join(filter(None, note))}
        return scores, [result for of in scores for result in of.results(material, people, common)]


class _Scores:
    """How far off the readings of one thing are, draw by draw and row by row."""

    metric: str
    readers: tuple[str, ...]

    def __init__(self, asked: Asked, sides: np.ndarray) -> None:
        self.asked, self.sides = asked, sides
        self.metric, self.readers = ("accuracy", OF_CLASS) if asked.number is None else ("mae", OF_NUMBER)
        draws, rows = sides.shape
        self.of_draw = np.zeros((draws, len(self.readers)))
        # Each draw counts as much as the others, however many rows it tests.
        self.of_row, self.weight = np.zeros((rows, len(self.readers))), np.zeros(rows)

    def judge(self, r: int, rows: np.ndarray, found: Sequence[Discriminant], posteriors: Sequence[np.ndarray]) -> None:
        """Of the rows that draw r tests, by what was fitted to the truth and to the shuffled truth."""
        group, number, other = self.asked.group, self.asked.number, self.asked.shuffled
        named = [one.group[p.argmax(1)] for one, p in zip(found, posteriors, strict=True)]
        if number is None:
            frequent = found[0].group[found[0].count.argmax()]
            off = [named[0] == group[rows], frequent == group[rows], named[1] == group[other[rows]]]
        else:
            true, false = (self._values(r, n, g) for n, g in ((number, group), (number[other], group[other])))
            truth, mean = number[rows], number[self.sides[r] == FITTED].mean()
            by_posterior = posteriors[0] @ true[found[0].group]
            off = [np.abs(guess - truth) for guess in (true[named[0]], by_posterior, mean)]
            off.append(np.abs(false[named[1]] - number[other[rows]]))
        errors = np.stack(off, 1).astype(np.float64)
        self.of_draw[r] = errors.mean(0)
        self.of_row[rows] += errors / len(rows)
        self.weight[rows] += 1 / len(rows)

    def _values(self, r: int, number: np.ndarray, group: np.ndarray) -> np.ndarray:
        """``(G,)`` mean of each group over the rows that draw r is fitted to; NaN where it has none."""
        fitted = self.sides[r] == FITTED
        count = np.bincount(group[fitted], minlength=int(group.max()) + 1)
        total = np.bincount(group[fitted], number[fitted], len(count))
        return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)

    def results(self, material: Material, people: Resampling, common: Mapping[str, Any]) -> Iterator[Result]:
        """The mean over draws of each reader, and of those of the features the spread."""
        width = len(self.readers)
        weights = np.repeat(self.weight[:, None], width, 1)
        counts = [(width + i,) for i in range(width)]
        numbers = [Number("positive", of) if self.metric == "mae" else Number("share", of) for of in counts]
        value, low, high = people.interval(np.concatenate([self.of_row, weights], 1), ratio, numbers)
        reach = self._over_draws()
        low, high = np.minimum(low, np.maximum(value - reach, 0)), np.maximum(high, value + reach)
        high = np.minimum(high, 1) if self.metric == "accuracy" else high
        tested = self.weight > 0
        fields: dict[str, Any] = {
            **common,
            "target": self.asked.target,
            "where": self.asked.where,
            "n": int(tested.sum()),
            "sources": len(np.unique(people.group[tested])),
            "title": NUMBERS if self.metric == "mae" else CLASSES,
        }
        for i, reader in enumerate(self.readers):
            known = np.isfinite(high[i])
            ends = {"low": float(low[i]), "high": float(high[i])} if known else {}
            note = fields["note"] if known else f"{fields['note']}; {NOT_KNOWN}"
            probe = {"probe": f"lda_draws/{reader}"}
            yield measured(material, self.metric, float(value[i]), **{**fields, **ends, **probe, "note": note})
            if i >= READERS[self.metric]:
                continue
            spread = float(self.of_draw[:, i].std(ddof=1))
            yield measured(material, f"{self.metric}_over_draws", spread, **fields, **probe)

    def _over_draws(self) -> np.ndarray:
        """``(readers,)`` half an interval that holds how other people would have been fitted to, by Nadeau and Bengio.

        Over people alone the fits are held as they are. Draws of the same rows scatter less than other rows would, by
        as much as is tested of what is fitted to (Nadeau and Bengio 2003, equation 10).
        """
        draws = len(self.of_draw)
        tested, fitted = ((self.sides == side).sum() for side in (TESTED, FITTED))
        error = self.of_draw.std(axis=0, ddof=1) * np.sqrt(1 / draws + tested / fitted)
        return np.asarray(error * stdtrit(draws - 1, 0.975))


def _together(found: Sequence[Discriminant]) -> Discriminant:
    """One that scores the groups of all of them, so that rows are read once."""
    weights, intercept = np.concatenate([d.weights for d in found], 1), np.concatenate([d.intercept for d in found])
    return replace(found[0], weights=weights, intercept=intercept)


def _why_not(nuisance: Nuisance, values: np.ndarray | None) -> str:
    """Why a nuisance cannot be told; empty if it can."""
    if values is None:
        return "the table has no such column; add or drop it"
    if nuisance.kind == "circular":
        return "it goes round a circle, which has no bins from least to greatest: +probe=lda reads it"
    known = values[~np.isnan(values)]
    if np.isinf(known).any():
        return f"{np.count_nonzero(np.isinf(known))} values are infinite; drop those rows"
    if len(np.unique(known)) < 2:
        return f"it has {len(np.unique(known))} values; two are needed"
    return ""


def _listed(cannot: Mapping[str, str]) -> str:
    return "; ".join(f"{name!r}: {why}" for name, why in cannot.items())
