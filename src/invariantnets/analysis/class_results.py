"""What is said of how far a nuisance is read within each class: of all of them, and of each by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.class_scores import Apart, Scores, apart, centred, score
from invariantnets.analysis.norm import correlation
from invariantnets.nuisance import Nuisance
from invariantnets.probes.linear_readings import read_blind, read_by_label
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN, Number
from invariantnets.statistics.resampling import Resampling, ratio

__all__ = ["ClassByClass"]

NAME, ALL, STREAM = "per_class", "Leakage class by class", 90
_WHO = "Which classes leak least and most"
NAMED = 6  # of either end; of no more than twice as many all are shown
LEFT_OUT = 5  # that are called by their names
SHUFFLED, OWN = f"{NAME}/shuffled within the class", f"{NAME}/a line of its own"


class _Found(NamedTuple):
    """What was read within each of C classes.

    Attributes:
        scores: by what it is judged, and chance.
        value: ``(C, metrics)``.
        ends: ``(C, metrics, 2)`` of their intervals.
        control: ``(C, metrics)`` of the nuisance shuffled within each class.
        own: ``(C, metrics)`` by a line of each class of its own; None where there is none.
        rows: ``(C,)`` how many each has.
        images: ``(C,)`` how many of them are independent.
        varies: ``(C,)`` variance of the nuisance within each, over all columns of its encoding.
        far: how far classes lie apart; None of one class alone.
    """

    scores: Scores
    value: np.ndarray
    ends: np.ndarray
    control: np.ndarray
    own: np.ndarray | None
    rows: np.ndarray
    images: np.ndarray
    varies: np.ndarray
    far: Apart | None


@dataclass(frozen=True)
class ClassByClass:
    """One nuisance, class by class.

    Attributes:
        material: of what.
        task: what was read.
        real: the nuisance.
        twin: the same, shuffled within each class.
        rows: ``(N,)`` bool, test rows that count.
        classes: ``(C,)`` codes of those that have enough of them.
        place: number of the nuisance.
        least: images that a class needed.
        draws: for how far classes lie apart by chance.
    """

    material: Material
    task: Task
    real: Target
    twin: Target
    rows: np.ndarray
    classes: np.ndarray
    place: int
    least: int
    draws: int

    def results(self) -> list[Result]:
        """All of the nuisance; what its figure needs is kept."""
        found = self._read()
        order = np.argsort(found.value[:, 0], kind="stable")
        of: dict[str, np.ndarray] = {
            "value": found.value[:, 0],
            "low": found.ends[:, 0, 0],
            "high": found.ends[:, 0, 1],
            "control": found.control[:, 0],
            "chance": found.scores.chance[:, 0],
            "images": found.images,
            "varies": found.varies,
            "names": np.array([str(self._name(code)) for code in self.classes]),
        }
        if found.own is not None:
            of["own"] = found.own[:, 0]
        if found.far:
            of |= {"p": found.far.of_class, "band_low": found.far.low, "band_high": found.far.high}
        words = {"nuisance": np.array(self._nuisance.name), "metric": np.array(found.scores.metrics[0])}
        self.material.keep(f"per_class_{self.place}", {name: x[order] for name, x in of.items()} | words)
        shown = order if len(order) <= 2 * NAMED else np.concatenate([order[:NAMED], order[-NAMED:]])
        return [*self._all(found), *(r for i in shown for r in self._one(found, int(i)))]

    def _read(self) -> _Found:
        test, count = self.task.parts["test"], len(self.classes)
        source, who = test.source[self.rows], np.searchsorted(self.classes, test.label[self.rows])

        def scored(lines: np.ndarray, target: Target) -> Scores:
            true, mean = self.task.y["test"][self.rows, target.true], self.task.mean(target.true)
            return score(target.nuisance, lines[self.rows, target.true], true, mean, who)

        lines, of_class = self.task.once(read_blind).test, self.task.per_class
        true, shuffled = scored(lines, self.real), scored(lines, self.twin)
        own = scored(self.task.once(read_by_label).test, self.real).by_class(who, count) if of_class else None
        rng = numpy_rng(self.material.seed, STREAM, self.place, 1)
        images = np.bincount(np.unique(np.stack([who, source]), axis=1)[0])
        return _Found(
            true,
            true.by_class(who, count),
            true.intervals(who, count, source),
            shuffled.by_class(who, count),
            own,
            rows := np.bincount(who),
            images,
            np.bincount(who, (centred(self.task.y["test"][self.rows, self.real.true], who) ** 2).sum(1)) / rows,
            apart(true, who, source, self.draws, rng) if count > 1 else None,
        )

    def _all(self, found: _Found) -> list[Result]:
        """Mean, least and most of all classes, and how far they lie apart."""
        value, control, count = found.value[:, 0], float(found.control[:, 0].mean()), len(self.classes)
        metric, mean = found.scores.metrics[0], float(found.value[:, 0].mean())
        if self.task.closed:  # classes are those that there are: what else could be are their images
            # Of independent numbers, from their intervals (Zou and Donner 2008).
            reach = np.sqrt(((found.ends[:, 0] - value[:, None]) ** 2).sum(0)) / count
            low, high = mean - reach[0], mean + reach[1]
        else:
            kind = Number("share" if metric == "balanced_accuracy" else "any", (1,))
            sums = np.column_stack([value, np.ones(count)])
            _, (low,), (high,) = Resampling(np.arange(count)).interval(sums, ratio, [kind])
        over = "the images of all classes" if self.task.closed else "classes"
        say = partial(
            self._make,
            n=int(found.rows.sum()),
            sources=int(found.images.sum()) if self.task.closed else count,
            title=ALL,
            chance=float(found.scores.chance[:, 0].mean()),
            note=f"{self._left_out()}; interval of the mean: over {over}",
        )
        results = [
            say(metric, mean, low, high, where={"classes": "mean"}, control=control),
            say(metric, control, where={"classes": "mean"}, probe=SHUFFLED, chance=None),
            say(metric, float(value.min()), where={"classes": "least"}),
            say(metric, float(value.max()), where={"classes": "most"}),
        ]
        if found.own is not None:
            mean_of = partial(say, where={"classes": "mean"}, probe=OWN, chance=None, uses_answer=True)
            results.append(mean_of(metric, float(found.own[:, 0].mean())))
        if found.far:
            between = partial(say, where={"classes": "how far apart"})
            note = (
                f"s.d. over classes: its chance and p are of {self.draws} draws in which images, less the offset "
                "of their class, belong to any class, each of which has as many as it has"
            )
            results.append(between("sd_over_classes", found.far.sd, chance=found.far.chance, note=note))
            results.append(between("p_value", found.far.p, chance=None, note=""))
            if metric == "r2":
                results += self._by_variance(found, between)
        return results

    @staticmethod
    def _by_variance(found: _Found, say: Callable[..., Result]) -> list[Result]:
        """Whether R² is low where there is little to read."""
        from scipy.stats import rankdata  # here: to import it takes a tenth of a second

        ranks = (rankdata(values) for values in (found.value[:, 0], found.varies))
        r, low, high = correlation(Resampling(np.arange(len(found.varies))), *ranks)
        note = (
            "Spearman's correlation: of R² with the variance of the nuisance in the class; near 1, classes differ in "
            "how much it varies, and not in how far off the line is"
        )
        return [say("spearman", r, low, high, chance=0.0, note=note)] if np.isfinite(r) else []

    def _one(self, found: _Found, i: int) -> list[Result]:
        """Of one class, by its name."""
        say = partial(
            self._make,
            n=int(found.rows[i]),
            sources=int(found.images[i]),
            where={"class": self._name(int(self.classes[i]))},
            title=f"{_WHO}: {self._nuisance.name}",
            note=self._note(found),
        )
        results = []
        for j, metric in enumerate(found.scores.metrics):
            value, control, chance = (float(of[i, j]) for of in (found.value, found.control, found.scores.chance))
            results.append(say(metric, value, *found.ends[i, j].tolist(), control=control, chance=chance))
            if j == 0:
                results.append(say(metric, control, probe=SHUFFLED))
                if found.own is not None:
                    results.append(say(metric, float(found.own[i, j]), probe=OWN, uses_answer=True))
        return [*results, say("p_value", float(found.far.of_class[i]))] if found.far else results

    def _make(
        self, metric: str, value: float, low: float | None = None, high: float | None = None, **fields: Any
    ) -> Result:
        ends: dict[str, float] = {}
        if low is not None and high is not None:
            if np.isfinite(low) and np.isfinite(high):
                ends = {"low": float(low), "high": float(high)}
            elif np.isfinite(value):
                fields["note"] = f"{fields['note']}; {NOT_KNOWN}"
        base = {"target": self._nuisance.name, "probe": NAME, "n_fit": len(self.task.parts["known"])}
        return measured(self.material, metric, value, **{**base, **ends, **fields})

    @property
    def _nuisance(self) -> Nuisance:
        return self.real.nuisance

    def _name(self, code: int) -> str | int:
        names = self.material.table.classes
        return names[code] if names else int(code)

    def _left_out(self) -> str:
        """How many classes are spoken of, and which have too few images."""
        said = f"{self._nuisance.name}: of {len(self.classes)} classes with {self.least} images or more in test"
        others = np.setdiff1d(self.task.parts["test"].label, self.classes)
        if not len(others):
            return said
        named = ", ".join(str(self._name(c)) for c in others[:LEFT_OUT])
        more = f" and {len(others) - LEFT_OUT} more" if len(others) > LEFT_OUT else ""
        return f"{said}; {len(others)} with fewer among which it varies are left out ({named}{more})"

    def _note(self, found: _Found) -> str:
        count = len(self.classes)
        which = f"all {count} classes" if count <= 2 * NAMED else f"the {NAMED} that leak least and most of {count}"
        own = (
            "balanced accuracy of what exceeds its mean within the class; chance: one in as many as the class shows"
            if self._nuisance.categories
            else "R² and errors within the class, less its own offset; chance: always its mean"
        )
        tested = f"; p: corrected for {count} classes (max T, Westfall and Young 1993)" if found.far else ""
        return f"{which}, by one ridge regression; {own}; intervals: over the images of the class{tested}"
