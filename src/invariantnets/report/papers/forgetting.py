"""What methods forget of a nuisance, and what it costs: every probe, seeds and the aim, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from invariantnets.figures.pareto import AIM, RUDD2016_DATA, RUDD2016_MAV, points
from invariantnets.report.papers.comparison import Comparison
from invariantnets.results.format import chance, span, summary
from invariantnets.results.runs import Group
from invariantnets.results.select import (
    CLASS_ACCURACY,
    LABEL,
    PEOPLE_ACCURACY,
    Runs,
    failed,
    over_runs,
    select,
    with_figures,
)
from invariantnets.results.words import NONE, probe_name

# Column → metric, target (None: the nuisance) and probe.
_COLUMNS = {
    "MAV": ("accuracy", LABEL, "mav"),
    "softmax": ("accuracy", LABEL, "softmax"),
    "rank 1": PEOPLE_ACCURACY[1:],
    "R², strongest honest probe": ("r2", None, "strongest"),
    "R², linear": ("r2", None, "ridge"),
    "R², linear per label (uses the answer)": ("r2", None, "ridge/per_label"),
    "R², kNN": ("r2", None, "knn"),
    "R², MLP": ("r2", None, "mlp"),
}
NOTE = (
    "Mean ± s.d. over seeds (one seed: 95 % interval). R²: 0 is chance; every probe is chosen on validation, and so is "
    "the strongest, of those that are not told the class. A probe that is worse than guessing on validation has "
    "failed: it says nothing about invariance and is in no mean."
)


def methods(groups: Sequence[Group]) -> list[str]:
    """The groups that the configuration gives a ``method``."""
    return [g.name for g in groups if g.setting("method")]


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Lay out what every probe reads after each method.

    Args:
        groups: of a sweep.

    Returns:
        A row for each method, data and nuisance (of many, those that are read best), then what guessing gives;
        None without two methods.
    """
    ours = [g for g in groups if g.setting("method")]
    if len(ours) < 2:
        return None
    parts = {
        (data, target): [g for g in ours if g.data == data]
        for data in dict.fromkeys(g.data for g in ours)
        for target in with_figures([_runs(g) for g in ours if g.data == data])
    }
    every = [results for g in ours for results in _runs(g)]
    columns = {
        name: (metric, of, probe)
        for name, (metric, of, probe) in _COLUMNS.items()
        if any(select(results, metric, of or target, probe) for results in every for _, target in parts)
    }
    rows: list[tuple[str, ...]] = []
    for (data, target), part in parts.items():
        for group in part:
            runs = _runs(group)
            cells = [
                summary(over_runs(runs, metric, of or target, probe).get(None), metric, places=3 if of is None else 2)
                for metric, of, probe in columns.values()
            ]
            sizes = [r.n for results in runs for r in select(results, "r2", target, "strongest")]
            rows.append(
                (_method(group), f"{target} on {data}", *cells, _which(runs, target), span(sizes), str(len(runs)))
            )
        guess = [chance([r for g in part for r in _runs(g)], m, of or target, p) for m, of, p in columns.values()]
        rows.append(("chance", f"{target} on {data}", *guess, NONE, NONE, NONE))
    header = ("method", "nuisance", *columns, "which is strongest (seeds)", "n rows", "seeds")
    note = " ".join([NOTE, *_aims(parts)])
    return Comparison("What is forgotten, and what it costs", header, rows, note, "forgetting")


def _aims(parts: dict[tuple[str, str], list[Group]]) -> Iterator[str]:
    """Who reaches the aim, on the data that it is set for."""
    for (data, target), groups in parts.items():
        if data != RUDD2016_DATA:
            continue
        placed = points({_method(g): _runs(g) for g in groups}, target, CLASS_ACCURACY)
        reached = [
            name
            for name, (left, high) in placed.items()
            if left.runs and not left.failed and left.mean <= AIM[0] and high.mean >= AIM[1]
        ]
        yield (
            f"Aim: MAV ≥ {AIM[1]:.1%} with R² of {target} ≤ {AIM[0]}, in the mean, no probe failed: reached by "
            f"{', '.join(reached) or 'none'}. Best MAV of Rudd et al. (2016): {RUDD2016_MAV:.2%}.".replace("%", " %")
        )


def _which(runs: Runs, target: str) -> str:
    """Which probe is the strongest, in how many runs."""
    best = [r for results in runs for r in select(results, "r2", target, "strongest") if not failed(r)]
    counted = Counter(probe_name(str(r.chosen.get("probe", r.probe)), r.title) for r in best)
    return ", ".join(f"{name} ({n})" for name, n in counted.most_common()) or NONE


def _method(group: Group) -> str:
    return str(group.setting("method"))


def _runs(group: Group) -> Runs:
    return [r.here for r in group.runs]
