"""Which group of a sweep keeps least and most of each nuisance: the sentences at the top of its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from invariantnets.report.headline import MAV, NAMED
from invariantnets.report.readers import CARRIES_NOT, more_in_runs, strays
from invariantnets.results.format import and_, fitted, summary
from invariantnets.results.paired import What, less
from invariantnets.results.runs import Group
from invariantnets.results.select import (
    FEW_NUISANCES,
    IDENTITY,
    LABEL,
    Runs,
    Spread,
    failed,
    kept,
    nuisances,
    over_runs,
    read_best,
    select,
)


def sweep_sentences(sweep: Sequence[Group]) -> list[str]:
    """Which group keeps least and most of each nuisance, and which knows the class, or the people, best.

    Of many nuisances, those that are read best in any group. Neither classes nor people of different data are
    compared. From whom the best is not shown to differ, in pairs, stands behind it.

    Args:
        sweep: its groups.
    """
    groups: dict[str, Runs] = {g.name: [r.here for r in g.runs] for g in sweep}
    every = [results for runs in groups.values() for results in runs]
    targets = every_target = list(dict.fromkeys(t for results in every for t in nuisances(results)))
    said = []
    if len(targets) > FEW_NUISANCES:
        best_read = read_best(groups.values(), NAMED)
        said.append(f"Of {len(targets)} nuisances, {and_(best_read) or 'none'} can be read best.")
        targets = best_read
    said += [sentence for target in targets for sentence in _least_and_most(sweep, groups, target)]
    said += [sentence for target in targets for sentence in _least_bound(groups, target)]
    if more := [text for target in every_target for text in _more(groups, target)]:
        said.append(f"Validation did not choose the best on test: {'; '.join(more)}.")
    places = list(dict.fromkeys(g.data for g in sweep))
    for where in places:
        of_data = {g.name: groups[g.name] for g in sweep if g.data == where}
        if known := _ranked(of_data, "accuracy", LABEL, "mav"):
            name, best = known[-1]
            the = f"On {where}, the" if len(places) > 1 else "The"
            known_by = f"{the} class is best recognised by {name}: {summary(best, 'accuracy')} by {MAV}."
            said.append(known_by + _like(sweep, name, ("accuracy", LABEL, "mav")))
        if known := _ranked(of_data, "rank1", IDENTITY, "closed_set/cosine"):
            name, best = known[-1]
            rank1 = summary(best, "rank1")
            found_by = f"On {where}, a face is most often found first in the gallery by {name}: {rank1}."
            said.append(found_by + _like(sweep, name, ("rank1", IDENTITY, "closed_set/cosine")))
    return said


def _like(sweep: Sequence[Group], name: str, what: What) -> str:
    """A sentence about the groups of the same data that may have as much as one; empty if there is none."""
    base = next(group for group in sweep if group.name == name)
    metric, found = what[0], []
    for group in sweep:
        difference = less(group, base, what)
        low, high = difference.bounds or (math.nan, math.nan)
        if group is not base and group.data == base.data and low <= 0 <= high:
            found.append(f"{group.name} ({difference.text(metric, 3 if metric == 'r2' else 2)})")
    found[NAMED:] = [f"{len(found) - NAMED} more"] * (len(found) > NAMED)
    unit = " in points" * (metric != "r2")
    return f" {name} is not shown to differ from {and_(found)}: differences{unit}, in pairs, 95 %." if found else ""


def _ranked(groups: Mapping[str, Runs], metric: str, target: str, probe: str) -> list[tuple[str, Spread]]:
    """The groups where this was measured and did not fail, lowest first."""
    found = {name: over_runs(runs, metric, target, probe).get(None) for name, runs in groups.items()}
    return sorted(((name, s) for name, s in found.items() if s and s.runs), key=lambda item: (item[1].mean, item[0]))


def _least_and_most(sweep: Sequence[Group], groups: Mapping[str, Runs], target: str) -> list[str]:
    """Ranked by `kept`: an R² below chance is no less than chance, and far below it is a reader that says nothing."""
    found = {name: over_runs(runs, "r2", target, "strongest").get(None) for name, runs in groups.items()}
    shown = {name: _read_from(name, groups[name], target, s) for name, s in found.items() if s and s.runs}
    # As exact as it is printed: 0.993 is no less than 0.993.
    rank = {n: round(spread.mean, 3) for n in shown if (spread := kept(groups[n], target)) and spread.runs}
    order = sorted(rank, key=lambda name: (rank[name], name))
    least = [shown[name] for name in order if rank[name] == rank[order[0]]]
    said = []
    if len(order) > len(least):
        comma = "," * (len(least) > 1)
        text = (
            f"The {target} is least readable from {and_(least)}{comma} and most from {shown[order[-1]]}; chance is 0."
        )
        said.append(text + _like(sweep, order[0], ("r2", target, "strongest")))
    elif len(order) > 1:
        said.append(f"The {target} is as readable from {and_(least)}; chance is 0.")
    elif order:
        said.append(f"Strongest probe of the {target}: {least[0]}; chance is 0.")
    if astray := [f"{shown[name]}" for name in shown if strays(groups[name], target)]:
        said.append(f"A reader of the {target} {CARRIES_NOT} for {and_(astray)}; this is not evidence of invariance.")
    if lost := [name for name, s in found.items() if s and not s.runs]:
        where = ", ".join(lost)
        said.append(f"No probe of the {target} succeeded for {where}; this is not evidence of invariance.")
    return said


def _least_bound(groups: Mapping[str, Runs], target: str) -> list[str]:
    """Which group nobody can read more from than the least, where that is known of any."""
    known = _ranked(groups, "r2_at_most", target, "any")
    return [
        f"From {name} no reader of the test rows, however trained, exceeds R² {summary(most, 'r2_at_most')} of the "
        f"{target}: the least bound here."
        for name, most in known[:1]
    ]


def _read_from(name: str, runs: Runs, target: str, found: Spread) -> str:
    """A group with what is read from it, by readers fitted to how many rows."""
    rows = [r for results in runs for r in select(results, "r2", target, "strongest") if not failed(r)]
    seeds = f"n = {found.runs} seed{'s' * (found.runs > 1)}"
    return f"{name} (R² {summary(found, 'r2', places=3)}, {seeds}{fitted(rows)})"


def _more(groups: Mapping[str, Runs], target: str) -> list[str]:
    """From which groups who reads more of a nuisance on test than what was chosen."""
    found: dict[str, list[str]] = {}
    for name, runs in groups.items():
        if more := more_in_runs(runs, target):
            found.setdefault(more, []).append(name)
    return [f"of the {target} from {and_(names)} more is read by {more}" for more, names in found.items()]
