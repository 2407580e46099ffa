"""How well attributes are told by balanced linear SVMs, what is missed and what is seen in vain (Rudd et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.balanced_svm import Svms, fit_balanced, weights_of
from invariantnets.probes.suite import probable
from invariantnets.probes.task import Task, prepare, refuse_collapsed
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN, Number
from invariantnets.statistics.resampling import Resampling

__all__ = ["GROUPS", "Attributes", "variation_within"]

# Of default groups, the most of an attribute's variance that may lie within people: of the first not quite none, for
# who labelled the pictures erred now and then.
GROUPS = {"identity-dependent": 0.05, "identity-correlated": 0.5, "identity-independent": np.inf}
OTHERS = "in no group"
OWN = "attributes/own answers"
METRICS = ("balanced_accuracy", "false_negative_rate", "false_positive_rate")
_NUMBERS = (
    Number("share", parts=(3, 4)),
    Number("share", (1,)),
    Number("share", (3,)),
    Number("share", (1,)),
    Number("share", (3,)),
)


@dataclass(frozen=True)
class Attributes:
    """A linear SVM of squared hinge for every binary nuisance, either side weighing the same in its loss.

    Categories of which the table has two are binary, too: the attribute is the latter of them, as the note says.
    C of each attribute is chosen by balanced accuracy on people (images of a closed set) that it was not fitted to.
    Where the network itself was trained to tell some of them, its own answers stand beside.

    Args:
        penalties: values of C to choose from, ascending; features are standardised.
        groups: name → attributes; None: by how much of their variance lies within people, see `GROUPS`.
    """

    penalties: Sequence[float] = (0.01, 0.1, 1.0, 10.0, 100.0)
    groups: Mapping[str, Sequence[str]] | None = None
    name: ClassVar[str] = "attributes"
    title: ClassVar[str] = "Attributes by linear SVMs"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table = _of_two_values(material.table)
        binary, cannot = self._wanted(table)
        closed = probable(table, material.layer)
        task = prepare(replace(table, nuisances=()), material.layer, material.seed, closed)
        refuse_collapsed(task, material.layer)
        cannot |= {n.name: why for n in binary if (why := _why_not(n.name, task))}
        told = [n for n in binary if n.name not in cannot]
        skipped = "; ".join(f"{name!r}: {why}" for name, why in cannot.items())
        if not told:
            raise InvariantNetsError(f"no attribute can be told: {skipped}")
        material.progress(f"{self.title}: {len(told)} attributes, {len(self.penalties)} values of C")
        group = self._grouped(table, told)
        order = [*(self.groups or GROUPS), OTHERS]
        told.sort(key=lambda n: order.index(group[n.name]))
        results: list[Result] = []
        for nuisance, found in zip(told, self._read(task, told), strict=True):
            title = f"{self.title}: {group[nuisance.name]}" if table.labelled else self.title
            results += found.results(material, task, nuisance, group[nuisance.name], title)
            if (own := task.parts["test"].answers.get(nuisance.name)) is not None:
                results += _Read(own > 0, probe=OWN).results(material, task, nuisance, group[nuisance.name], title)
        sides = ", ".join(f"{n.name} {n.categories[1]!r}" for n in told)
        note = (
            "C by balanced accuracy out of fold; n is of all test rows, of those with the attribute (false negatives) "
            f"and of those without; the attribute is there where it is: {sides}"
        )
        return [
            replace(r, note="; ".join(filter(None, (note, r.note, f"not told: {skipped}" * bool(skipped)))))
            for r in results
        ]

    def _wanted(self, table: FeatureTable) -> tuple[list[Nuisance], dict[str, str]]:
        binary = [n for n in table.nuisances if n.kind == "binary"]
        penalties = self._penalties
        if not penalties or penalties[0] <= 0 or (np.diff(penalties) <= 0).any():
            raise InvariantNetsError(f"analysis.attributes.penalties={penalties}: they must ascend from more than 0")
        # What has one value only in the whole table may have been taken for a number: only who names it means it.
        for of, names in (self.groups or {}).items():
            if unknown := next((n for n in names if n not in table.nuisance), None):
                known = ", ".join(n.name for n in binary) or "none"
                raise InvariantNetsError(
                    f"analysis.attributes.groups: {unknown!r} of {of!r} is no column (binary ones: {known})"
                )
        if not binary:
            raise InvariantNetsError(
                "no binary nuisance in the table: give a column of 0 and 1 or of two words, or kinds={hat: binary}"
            )
        single = {n: table.nuisance[n] for n in table.nuisance if n not in {b.name for b in binary}}
        constant = {n: v[~np.isnan(v)] for n, v in single.items() if len(np.unique(v[~np.isnan(v)])) == 1}
        words = {n.name: n.categories for n in table.nuisances}
        values = {n: words[n][int(v[0])] if words.get(n) else f"{v[0]:g}" for n, v in constant.items()}
        return binary, {n: f"it has one value only ({value})" for n, value in values.items()}

    @property
    def _penalties(self) -> list[float]:
        return [float(c) for c in self.penalties]

    def _grouped(self, table: FeatureTable, told: Sequence[Nuisance]) -> dict[str, str]:
        if self.groups is not None:
            of = {name: group for group, names in self.groups.items() for name in names}
            return {n.name: of.get(n.name, OTHERS) for n in told}
        if not table.labelled:
            return {n.name: OTHERS for n in told}
        within = {n.name: variation_within(table.nuisance[n.name], table.label) for n in told}
        return {
            name: OTHERS if np.isnan(share) else next(g for g, most in GROUPS.items() if share <= most)
            for name, share in within.items()
        }

    def _read(self, task: Task, told: Sequence[Nuisance]) -> Iterator[_Read]:
        """All attributes and folds at once."""
        known, folds, penalties = task.parts["known"], task.folds, self._penalties
        value = np.stack([known.nuisance[n.name] for n in told])
        present = value == 1
        fitted = [np.isin(np.arange(len(known)), folds.fit(k)) for k in task.fits]
        columns = [(i, ~np.isnan(value[i]) & rows) for rows in fitted for i in range(len(told))]
        weights = np.stack([weights_of(present[i], rows) for i, rows in columns])
        svms = fit_balanced(task.x["known"], task.moments(), present[[i for i, _ in columns]], weights, penalties)
        hits, sides = np.zeros((2, len(penalties), len(told))), np.zeros((2, len(told)))
        for k in range(folds.count):
            held, part = folds.held(k), slice(k * len(told), (k + 1) * len(told))
            said = _part(svms, part).scores(task.x["known"], held) > 0
            for side in (0, 1):
                rows = (value[:, held] == side).T
                sides[side] += rows.sum(0)
                hits[side] += (rows & (said == bool(side))).sum(1)
        with np.errstate(invalid="ignore"):
            balanced = (hits / sides[:, None]).mean(0)
        best = np.where(np.isnan(balanced), -1, balanced).argmax(0)
        last = _part(svms, slice(folds.count * len(told), None))
        scores = last.scores(task.x["test"], np.arange(len(task.x["test"])))
        for i in range(len(told)):
            fit = int((~np.isnan(value[i])).sum())
            found = float(balanced[best[i], i])
            yield _Read(
                scores[best[i], :, i] > 0, fit, found if np.isfinite(found) else None, {"C": penalties[best[i]]}
            )


@dataclass(frozen=True)
class _Read:
    """What is said of one attribute: ``(N,)`` of the test rows, of how many rows, how good out of fold, by which C."""

    said: np.ndarray
    n_fit: int | None = None
    validation: float | None = None
    chosen: Mapping[str, float] = field(default_factory=dict)
    probe: str = "attributes"

    def results(self, material: Material, task: Task, nuisance: Nuisance, group: str, title: str) -> Iterator[Result]:
        test = task.parts["test"]
        value = test.nuisance[nuisance.name]
        there, absent = value == 1, value == 0
        people = Resampling(test.source if task.closed and not nuisance.fixed else test.label)
        quantities = np.stack([there & ~self.said, there, absent & self.said, absent], 1).astype(np.float64)
        # The interval of the first needs that of all shares that it is made of; these three are shown.
        found = [ends[: len(METRICS)] for ends in people.interval(quantities, _rates, _NUMBERS)]
        for metric, rows, value_, low, high in zip(METRICS, (there | absent, there, absent), *found, strict=True):
            known = np.isfinite(high)
            ends: dict[str, Any] = {"low": float(low), "high": float(high)} if known else {"note": NOT_KNOWN}
            yield measured(
                material,
                metric,
                float(value_),
                **ends,
                target=nuisance.name,
                probe=self.probe,
                where={"group": group},
                n=int(rows.sum()),
                sources=len(np.unique(people.group[rows])),
                chance=0.5,
                n_fit=self.n_fit,
                validation=self.validation,
                chosen=dict(self.chosen),
                title=title,
                fixed=nuisance.fixed,
            )


def _rates(sums: np.ndarray) -> np.ndarray:
    """Of ``(R, 4)`` missed, there, seen in vain, absent: balanced accuracy, both rates, and what they leave of 1."""
    missed, vain = sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]
    return np.stack([1 - (missed + vain) / 2, missed, vain, 1 - missed, 1 - vain], 1)


def _of_two_values(table: FeatureTable) -> FeatureTable:
    """The same table, in which categories of which it has two are binary: 1 is the latter of their order."""
    columns, nuisances = dict(table.nuisance), list(table.nuisances)
    for i, n in enumerate(nuisances):
        value = columns.get(n.name)
        codes = np.unique(value[~np.isnan(value)]) if n.kind == "categorical" and value is not None else np.zeros(0)
        if value is not None and len(codes) == 2:
            columns[n.name] = np.where(np.isnan(value), np.nan, value == codes[1])
            nuisances[i] = replace(n, kind="binary", categories=tuple(n.categories[int(code)] for code in codes))
    return replace(table, nuisance=columns, nuisances=tuple(nuisances))


def _part(svms: Svms, columns: slice) -> Svms:
    return replace(svms, weights=svms.weights[:, :, columns], bias=svms.bias[:, columns])


def _why_not(name: str, task: Task) -> str:
    """Why an attribute cannot be told; empty if it can."""
    for part, least in (("known", 2), ("test", 1)):
        table = task.parts[part]
        value = table.nuisance[name]
        split = "'train' and 'val'" if part == "known" else "'test'"
        source = table.source if task.closed else table.label
        what = "images" if task.closed else "people"
        for side, of in ((1, "with"), (0, "without")):
            if (count := len(np.unique(source[value == side]))) < least:
                return f"{count} {what} of splits {split} are {of} it, and {least} are needed"
    return ""


def variation_within(value: np.ndarray, label: np.ndarray) -> float:
    """How much of an attribute's variance lies within people: 0 if it never varies, about 1 if it is by chance.

    Args:
        value: ``(N,)``, NaN where it is unknown.
        label: ``(N,)`` who it is.

    Returns:
        The mean square within people over the variance; NaN if nobody has two rows.
    """
    known = ~np.isnan(value)
    value = value[known]
    _, who, count = np.unique(label[known], return_inverse=True, return_counts=True)
    more = count[who] > 1
    freedom = int(more.sum()) - int((count > 1).sum())
    if freedom < 1 or value.std() == 0:
        return float("nan")
    mean = np.bincount(who, value) / count
    return float(((value - mean[who])[more] ** 2).sum() / freedom / value.var(ddof=1))
