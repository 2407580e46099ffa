"""What methods forget of a nuisance, and what it costs: every probe, seeds and the aim, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from invariantnets.figures.pareto import AIM, RUDD2016_DATA, RUDD2016_MAV, family, points
from invariantnets.report.efficiency import has_curve, short_curve
from invariantnets.report.papers.comparison import Comparison
from invariantnets.report.readers import more_in_runs, strays
from invariantnets.results.format import and_, bounded, chance, span, summary
from invariantnets.results.runs import Group
from invariantnets.results.select import (
    CLASS_ACCURACY,
    LABEL,
    PEOPLE_ACCURACY,
    Runs,
    failed,
    over_runs,
    reads_more,
    select,
    with_figures,
)
from invariantnets.results.words import NONE, number, probe_name

# Column → metric, target (None: the nuisance) and probe.
_COLUMNS = {
    "MAV": ("accuracy", LABEL, "mav"),
    "softmax": ("accuracy", LABEL, "softmax"),
    "rank 1": PEOPLE_ACCURACY[1:],
    "R², strongest honest probe": ("r2", None, "strongest"),
    "R², any reader at most": ("r2_at_most", None, "any"),
    "the same, adjusted": ("r2_at_most_adjusted", None, "any"),
    "R², linear": ("r2", None, "ridge"),
    "R², linear per label (uses the answer)": ("r2", None, "ridge/per_label"),
    "R², squares and products": ("r2", None, "quadratic"),
    "R², kernel": ("r2", None, "rbf"),
    "R², trees": ("r2", None, "trees"),
    "R², kNN": ("r2", None, "knn"),
    "R², MLP": ("r2", None, "mlp"),
    "R², stack": ("r2", None, "stack"),
}
# Family of an erasure → the probe that is nearest to what its paper reads with: logistic regression, support vector
# machines, quadratic classifiers, MLPs.
_OWN_PROBE = {"leace": "ridge", "inlp": "ridge", "qleace": "quadratic", "obliviator": "mlp"}
_OWN = "R², by the probe of its paper"
_OWN_NOTE = (
    "By the probe of its paper: what who published an erasure would have said of it, with the reader of ours that is "
    "nearest to theirs (LEACE and INLP: a line; QLEACE: squares and products; Obliviator: an MLP)."
)
NOTE = (
    "Mean ± s.d. over seeds (one seed: 95 % interval). R²: 0 is chance; every probe is chosen out of fold on the rows "
    "of train and val together, and so is the strongest, of those that are not told the class. A probe that is no "
    "better than guessing there has failed: it says nothing about invariance and is in no mean. An R² below 0 on test "
    "is that of a reader that does not carry over: it is shown as it is, and is no forgetting."
)
_CURVE, _BEHIND = "R² by labelled rows", ("which is strongest (seeds)", "n rows", "fitted to rows", "seeds")
_NO_CURVE = (
    "How the R² grows with the labelled rows of the reader (probes.label_rows) was not measured {of}: how much is "
    "left to somebody who has more rows is not known."
)


def methods(groups: Sequence[Group]) -> list[str]:
    """The groups that are compared by a method, or by the release of their features."""
    return [g.name for g in groups if g.method]


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Lay out what every probe reads after each method.

    Args:
        groups: of a sweep.

    Returns:
        A row for each method, data and nuisance (of many, those that are read best), then what guessing gives;
        None without two methods.
    """
    ours = [g for g in groups if g.method]
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
    curves = {(g.name, t): text for (_, t), gs in parts.items() for g in gs if (text := short_curve(_runs(g), t))}
    own = any(family(g.method) in _OWN_PROBE for g in ours)
    rows: list[tuple[str, ...]] = []
    for (data, target), part in parts.items():
        for group in part:
            runs = _runs(group)
            cells = [
                summary(over_runs(runs, metric, of or target, probe).get(None), metric, places=3 if of is None else 2)
                for metric, of, probe in columns.values()
            ]
            cells += [_by_own(group, target)] if own else []
            cells += [curves.get((group.name, target), "not measured")] if curves else []
            strongest = [r for results in runs for r in select(results, "r2", target, "strongest")]
            sizes = span([r.n for r in strongest]), span([r.n_fit for r in strongest if r.n_fit is not None])
            rows.append((group.method, f"{target} on {data}", *cells, _which(runs, target), *sizes, str(len(runs))))
        guess = [chance([r for g in part for r in _runs(g)], m, of or target, p) for m, of, p in columns.values()]
        rows.append(("chance", f"{target} on {data}", *guess, *[NONE] * (own + bool(curves)), *[NONE] * len(_BEHIND)))
    header = ("method", "nuisance", *columns, *([_OWN] if own else []), *([_CURVE] if curves else []), *_BEHIND)
    note = " ".join([NOTE, *([_OWN_NOTE] if own else []), *_aims(parts), *_without_curve(parts)])
    return Comparison("What is forgotten, and what it costs", header, rows, note, "forgetting")


def _aims(parts: Mapping[tuple[str, str], Sequence[Group]]) -> Iterator[str]:
    """Who reaches the aim, on the data that it is set for."""
    for (data, target), groups in parts.items():
        if data != RUDD2016_DATA:
            continue
        placed = points({g.method: _runs(g) for g in groups}, target, CLASS_ACCURACY)
        small = [
            name
            for name, (left, high) in placed.items()
            if left.runs and not left.failed and left.mean <= AIM[0] and high.mean >= AIM[1]
        ]
        sharp = {g.method: _runs(g) for g in groups if (at := placed.get(g.method)) and at[1].mean >= AIM[1]}
        doubts = {name: why for name, runs in sharp.items() if (why := _doubt(runs, target, name in small))}
        reached = ", ".join(name for name in small if name not in doubts) or "none"
        but = f" Not counted: {', '.join(f'{name} ({why})' for name, why in doubts.items())}." if doubts else ""
        yield (
            f"Aim: MAV ≥ {AIM[1]:.1%} with R² of {target} ≤ {AIM[0]}, in the mean, no probe failed: reached by "
            f"{reached}.{but} Best MAV of Rudd et al. (2016): {RUDD2016_MAV:.2%}.".replace("%", " %")
        )


def _doubt(runs: Runs, target: str, small: bool) -> str:
    """Why a small R² is no success: its reader does not carry over to the test rows, or another reads more there."""
    if below := strays(runs, target):
        return f"R² {number(min(below), 'r2')}: its reader does not carry over to the test rows"
    more = [r for results in runs for r in reads_more(results, target) if small and r.value > AIM[0]]
    return f"on test {probe_name(more[0].probe, more[0].title)} reads R² {bounded(more[0])}" if more else ""


def _without_curve(parts: Mapping[tuple[str, str], Sequence[Group]]) -> Iterator[str]:
    """Which label-efficiency curves are missing."""
    lacking: dict[str, list[str]] = {}
    for (_, target), groups in parts.items():
        missing = [g.name for g in groups if not all(has_curve(results, target) for results in _runs(g))]
        if missing:
            names = "any method" if len(missing) == len(groups) else and_(missing)
            lacking.setdefault(names, []).append(target)
    if lacking:
        yield _NO_CURVE.format(of="; ".join(f"of the {and_(t)} after {names}" for names, t in lacking.items()))


def _which(runs: Runs, target: str) -> str:
    """Which probe is the strongest, in how many runs; and who reads more on test all the same."""
    best = [r for results in runs for r in select(results, "r2", target, "strongest") if not failed(r)]
    counted = Counter(probe_name(str(r.chosen.get("probe", r.probe)), r.title) for r in best)
    more = more_in_runs(runs, target)
    which = ", ".join(f"{name} ({n})" for name, n in counted.most_common()) or NONE
    return f"{which}; on test, more is read by {more}" if more else which


def _by_own(group: Group, target: str) -> str:
    """What the probe that an erasure was published with reads."""
    probe = _OWN_PROBE.get(family(group.method))
    if probe is None:
        return NONE
    found = over_runs(_runs(group), "r2", target, probe).get(None)
    return f"{summary(found, 'r2', places=3)} ({probe_name(probe)})"


def _runs(group: Group) -> Runs:
    return [r.here for r in group.runs]
