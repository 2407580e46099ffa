"""Finding results, and summarising one measurement over several runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from invariantnets.results.result import Result

# Targets that are no nuisance.
LABEL, FEATURES, IDENTITY, NORM = "label", "features", "identity", "norm"
# Name, metric and probe of what table 1 of Taigman et al. (2015) holds of each network.
RECOGNITION = (
    ("verification", "accuracy", "verification/cosine"),
    ("rank 1", "rank1", "closed_set/cosine"),
    ("rank 10", "rank10", "closed_set/cosine"),
    ("DIR at 1 % FAR", "dir_far1", "open_set/cosine"),
)
# With more nuisances than this, not every one has figures, columns and sentences of its own.
FEW_NUISANCES = 4

# An R² may lie so far below chance where there is nothing to read, and its reader still be sound.
STRAY = 0.02
# Intervals closer than this differ by rounding: two perfect readers do.
_ROUNDING = 1e-6

Runs = Sequence[Sequence[Result]]
# Name, metric, target and probe: how well a network knows what it should, on classes and on people never trained on.
CLASS_ACCURACY = ("MAV accuracy", "accuracy", LABEL, "mav")
PEOPLE_ACCURACY = ("rank 1 of the closed set", "rank1", IDENTITY, "closed_set/cosine")


def at_layer(results: Iterable[Result], layer: str) -> list[Result]:
    """The results of one layer; the softmax is the network's own, whichever layer it was recorded with."""
    results = list(results)
    recorded = {r.layer: None for r in results if r.probe == "softmax"}
    softmax_layer = layer if layer in recorded else next(iter(recorded), layer)
    return [r for r in results if r.layer == (softmax_layer if r.probe == "softmax" else layer)]


def select(
    results: Iterable[Result], metric: str, target: str, probe: str | None = None, by: str | None = None
) -> list[Result]:
    """The test results of one metric and target, in their order.

    Args:
        results: those of one layer (`at_layer`).
        metric: e.g. ``r2``.
        target: e.g. ``angle``.
        probe: one probe, or None for all.
        by: None for results about all rows, else the one key of ``where``, e.g. ``label``.
    """
    keys = set() if by is None else {by}
    return [
        r
        for r in results
        if (r.split, r.metric, r.target) == ("test", metric, target)
        and probe in (None, r.probe)
        and set(r.where) == keys
    ]


def nuisances(results: Iterable[Result]) -> list[str]:
    """Names of the nuisances that were probed, in their order."""
    return list(dict.fromkeys(r.target for r in results if r.about == "nuisance"))


def read_best(groups: Iterable[Iterable[Sequence[Result]]], count: int | None = None) -> list[str]:
    """The nuisances that can be read, best first: by R² of the strongest honest probe, in the group that keeps most.

    An R² below chance counts as chance (`kept`).

    Args:
        groups: the runs of each, a run as results of one layer.
        count: at most so many; None for all.

    Returns:
        Their names. One whose every probe failed everywhere is not among them.
    """
    best: dict[str, float] = {}
    for runs in map(list, groups):
        for target in dict.fromkeys(t for results in runs for t in nuisances(results)):
            found = kept(runs, target)
            if found is not None and found.runs:
                best[target] = max(found.mean, best.get(target, found.mean))
    return sorted(best, key=lambda target: -best[target])[:count]


def with_figures(groups: Iterable[Iterable[Sequence[Result]]]) -> list[str]:
    """The nuisances that have figures of their own: all, or, of more than a few, those that are read best."""
    groups = [list(runs) for runs in groups]
    every = list(dict.fromkeys(t for runs in groups for results in runs for t in nuisances(results)))
    return every if len(every) <= FEW_NUISANCES else read_best(groups, FEW_NUISANCES)


def above_half(results: Iterable[Result], target: str) -> Result | None:
    """An AUC whose interval lies above a half, so that nobody may say that nothing was found.

    Args:
        results: those of one layer.
        target: a nuisance.

    Returns:
        That of the strongest honest probe, else the surest of another honest one; None if there is none.
    """
    sure = [r for r in select(results, "auc", target) if not r.uses_answer and r.low is not None and r.low > 0.5]
    return max(sure, key=lambda r: (r.probe == "strongest", r.low), default=None)


def reads_more(results: Iterable[Result], target: str, metric: str = "r2") -> list[Result]:
    """The honest probes that read more of a nuisance on test than the one that was chosen before test was looked at.

    Args:
        results: those of one layer.
        target: a nuisance.
        metric: ``r2`` or ``auc``.

    Returns:
        Those above chance whose 95 % interval lies wholly above that of ``strongest``, most first; where every probe
        had failed, those whose interval lies above chance. That a probe failed on rows held out hides nothing here.
    """
    found = select(results, metric, target)
    chosen = next((r for r in found if r.probe == "strongest"), None)
    if chosen is None:
        return []
    guess = chosen.chance or 0.0
    least = guess if failed(chosen) else chosen.value if chosen.high is None else chosen.high
    others = [r for r in found if not r.uses_answer and r is not chosen and r.value > guess]
    more = [r for r in others if r.low is not None and r.low > least + _ROUNDING]
    return sorted(more, key=lambda r: -r.value)


def astray(result: Result) -> bool:
    """Whether an R² on test is so far below chance (`STRAY`) that its reader does not carry over to other rows.

    It shows no forgetting. One just below chance is at chance: there is nothing that could carry over.
    """
    return result.metric == "r2" and not failed(result) and result.value < (result.chance or 0.0) - STRAY


def resampled(results: Iterable[Result]) -> str:
    """What intervals are over: people, where these are told and no classes are."""
    about = {result.about for result in results}
    return "images" if "class" in about else "people" if "identity" in about else "independent sources"


def at_least_chance(result: Result) -> Result:
    """An R² as what ranks may make of it: below chance, which is `astray`, no better than at chance."""
    floor = result.chance or 0.0
    low, high = (None if bound is None else max(bound, floor) for bound in (result.low, result.high))
    return replace(result, value=max(result.value, floor), low=low, high=high)


def kept(runs: Iterable[Sequence[Result]], target: str) -> Spread | None:
    """What is left of a nuisance, to compare groups by: R² of the strongest honest probe, `at_least_chance`.

    A run whose R² is below −`STRAY` is counted with those whose probe failed: −0.69 is no less than 0.

    Args:
        runs: of a group, each as results of one layer.
        target: the nuisance.

    Returns:
        The mean over runs of what counts; None where nobody looked.
    """
    rows = [r for results in runs for r in select(results, "r2", target, "strongest")]
    lost = [replace(r, status="failed") if astray(r) else at_least_chance(r) for r in rows]
    return spread(lost) if rows else None


def strongest_of(runs: Iterable[Sequence[Result]], target: str) -> list[Result]:
    """R² of the strongest honest probe of each run, where it did not fail."""
    return [r for results in runs for r in select(results, "r2", target, "strongest") if not failed(r)]


def not_probed(result: Result) -> str:
    """Why nobody could look for a nuisance at all; empty if somebody did."""
    _, prefix, why = result.note.partition("not probed: ")
    return why if prefix else ""


def failed(result: Result) -> bool:
    """Whether a result says nothing: its probe failed where it was chosen, or it is not a number."""
    return result.status == "failed" or not math.isfinite(result.value)


@dataclass(frozen=True)
class Spread:
    """One measurement over the runs (seeds) of a group.

    Attributes:
        mean: mean over the runs whose probe did not fail; NaN if none.
        low, high: mean ∓ s.d. over seeds; for a single run its 95 % interval, which may be None.
        runs: runs averaged.
        failed: runs left out because their probe failed.
    """

    mean: float
    low: float | None
    high: float | None
    runs: int
    failed: int = 0

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (n − 1), None for a single run."""
        return None if self.runs < 2 or self.high is None else self.high - self.mean


def spread(results: Sequence[Result]) -> Spread:
    """Summarise the same measurement of several runs; failed probes are counted, never averaged."""
    sound = [r for r in results if not failed(r)]
    lost = len(results) - len(sound)
    if not sound:
        return Spread(math.nan, None, None, 0, lost)
    if len(sound) == 1:
        return Spread(sound[0].value, sound[0].low, sound[0].high, 1, lost)
    values = np.array([r.value for r in sound])
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    return Spread(mean, mean - deviation, mean + deviation, len(sound), lost)


def over_runs(
    runs: Iterable[Sequence[Result]], metric: str, target: str, probe: str, by: str | None = None
) -> dict[Any, Spread]:
    """`spread` of one measurement over runs, for each value of ``by`` (the key None when ``by`` is None)."""
    found: dict[Any, list[Result]] = {}
    for results in runs:
        for result in select(results, metric, target, probe, by):
            found.setdefault(result.where.get(by) if by else None, []).append(result)
    return {key: spread(rows) for key, rows in found.items()}
