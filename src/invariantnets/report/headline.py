"""What leaks, how much, against chance: the sentences at the top of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invariantnets.results.format import count, span, summary, written
from invariantnets.results.result import Result
from invariantnets.results.select import (
    FEW_NUISANCES,
    IDENTITY,
    LABEL,
    RECOGNITION,
    Runs,
    Spread,
    above_half,
    failed,
    not_probed,
    nuisances,
    over_runs,
    read_best,
    select,
)
from invariantnets.results.words import NONE, metric_name, probe_name

_MAV = "mean activation vectors (MAV)"
# Of more than a few nuisances, so many are named.
_NAMED = 3
_PLAIN = {"rmse": "typical error (RMSE)", "mae": "mean error (MAE)", "auc": "AUC", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Fact:
    """One large number of the headline with what it takes to judge it."""

    value: str
    name: str
    detail: str


def sentences(results: Sequence[Result], layer: str, units: Mapping[str, str]) -> list[str]:
    """The headline: one sentence or two per nuisance, or two over many of them, then the classes and the people.

    A failed probe never counts as invariance, and an interval that holds chance is not called proof either.

    Args:
        results: of one layer.
        layer: its name.
        units: nuisance → unit.
    """
    targets = nuisances(results)
    if len(targets) > FEW_NUISANCES:
        found = _leaks(results, targets, layer)
    else:
        found = [text for target in targets for text in _leak(results, target, layer, units.get(target, ""))]
    found = found or [f"No nuisance was probed at {layer}: nothing here speaks of invariance."]
    return found + _classes(results) + _people(results)


def facts(results: Sequence[Result], units: Mapping[str, str]) -> list[Fact]:
    """The same as large numbers: R² and error, or AUC, of the strongest honest probe for each nuisance, and accuracies.

    Of many nuisances, those that are read best.
    """
    shown, targets = [], nuisances(results)
    for target in targets if len(targets) <= FEW_NUISANCES else read_best([[results]], _NAMED):
        for strongest in select(results, "r2", target, "strongest"):
            if not_probed(strongest):
                continue
            shown.append(_fact(strongest, f"R² of {target}", ""))
            for r in _beside(results, strongest):
                shown.append(_fact(r, f"{metric_name(r.metric)} of {target}", units.get(target, "")))
    for probe in ("mav", "softmax"):
        for r in select(results, "accuracy", LABEL, probe):
            shown.append(_fact(r, f"{probe_name(probe)} accuracy", ""))
    for name, metric, probe in RECOGNITION:
        shown += [_fact(r, name, "") for r in select(results, metric, IDENTITY, probe)]
    return shown


def sweep_sentences(groups: Mapping[str, Runs], data: Mapping[str, str]) -> list[str]:
    """Which group keeps least and most of each nuisance, and which knows the class, or the people, best.

    Of many nuisances, those that are read best in any group.

    Args:
        groups: name → results of each run, of one layer.
        data: group → its data: neither classes nor people of different data are compared.
    """
    every = [results for runs in groups.values() for results in runs]
    targets = list(dict.fromkeys(t for results in every for t in nuisances(results)))
    said = []
    if len(targets) > FEW_NUISANCES:
        best_read = read_best(groups.values(), _NAMED)
        said.append(f"Of {len(targets)} nuisances, {and_(best_read) or 'none'} can be read best.")
        targets = best_read
    said += [sentence for target in targets for sentence in _least_and_most(groups, target)]
    for where in dict.fromkeys(data.values()):
        of_data = {name: runs for name, runs in groups.items() if data[name] == where}
        if known := _ranked(of_data, "accuracy", LABEL, "mav"):
            name, best = known[-1]
            the = f"On {where}, the" if len(set(data.values())) > 1 else "The"
            said.append(f"{the} class is best recognised by {name}: {summary(best, 'accuracy')} by {_MAV}.")
        if known := _ranked(of_data, "rank1", IDENTITY, "closed_set/cosine"):
            name, best = known[-1]
            rank1 = summary(best, "rank1")
            said.append(f"On {where}, a face is most often found first in the gallery by {name}: {rank1}.")
    return said


def _beside(results: Sequence[Result], strongest: Result) -> list[Result]:
    """What says it in plainer words than R², by the same probe: RMSE, of an angle that wraps MAE, of classes AUC."""
    probe = str(strongest.chosen.get("probe", "strongest"))
    found = (select(results, metric, strongest.target, probe) for metric in ("rmse", "mae", "auc"))
    return next(filter(None, found), [])


def _ranked(groups: Mapping[str, Runs], metric: str, target: str, probe: str) -> list[tuple[str, Spread]]:
    """The groups where this was measured and did not fail, lowest first."""
    found = {name: over_runs(runs, metric, target, probe).get(None) for name, runs in groups.items()}
    return sorted(((name, s) for name, s in found.items() if s and s.runs), key=lambda item: (item[1].mean, item[0]))


def _least_and_most(groups: Mapping[str, Runs], target: str) -> list[str]:
    read = _ranked(groups, "r2", target, "strongest")
    shown = [f"{name} (R² {summary(s, 'r2', places=3)}, n = {s.runs} seed{'s' * (s.runs > 1)})" for name, s in read]
    said = []
    if len(shown) > 1:
        said.append(f"The {target} is least readable from {shown[0]} and most from {shown[-1]}; chance is 0.")
    elif shown:
        said.append(f"Strongest probe of the {target}: {shown[0]}; chance is 0.")
    found = {name: over_runs(runs, "r2", target, "strongest").get(None) for name, runs in groups.items()}
    if lost := [name for name, s in found.items() if s and not s.runs]:
        where = ", ".join(lost)
        said.append(f"No probe of the {target} succeeded for {where}; this is not evidence of invariance.")
    return said


def _fact(r: Result, name: str, unit: str) -> Fact:
    text = written(r, unit)
    against = f"chance {text.chance}; n = {count(r.n)}"
    if failed(r):
        return Fact("failed", name, f"no evidence of invariance; {against}")
    return Fact(text.value, name, against if text.interval == NONE else f"{text.interval}, {against}")


def _leak(results: Sequence[Result], target: str, layer: str, unit: str) -> list[str]:
    strongest = next(iter(select(results, "r2", target, "strongest")), None)
    if strongest is None:
        return []  # nobody looked for it in this way
    if why := not_probed(strongest):
        return [f"The {target} was not probed: {why}."]
    sure, constant = above_half(results, target), _constant(results, strongest)
    if failed(strongest):
        text = f"From {layer}, no probe of the {target} succeeded; this is not evidence of invariance."
        text += (
            f" By {_read_by(sure, results)}, its AUC is {_bounded(sure)}, above a half: it is there." if sure else ""
        )
        return [text, *constant]
    name = str(strongest.chosen.get("probe", "strongest"))
    known = "" if name == "strongest" else f" ({choice(strongest, results)})"
    shown = written(strongest)
    control = f", shuffled control {shown.control}" if strongest.control is not None else ""
    text = (
        f"From {layer}, the strongest honest probe{known} reads the {target} with R² {_bounded(strongest)} "
        f"(chance {shown.chance if strongest.chance else 0}{control}; {sized(strongest, results)})"
    )
    for r in [*_beside(results, strongest), *select(results, "accuracy", target, name)]:
        shown = written(r, unit)
        guess = f" where guessing gives {shown.chance}" if r.chance is not None else ""
        text += f"; {_PLAIN[r.metric]} {_bounded(r) if r.metric == 'auc' else shown.value}{guess}"
    if _holds_chance(strongest):
        text += f". {_where_r2_holds_chance(sure, results)}"
    return [f"{text}.", *constant]


def _where_r2_holds_chance(sure: Result | None, results: Sequence[Result]) -> str:
    if sure is None:
        return "The interval holds chance: these probes found nothing, which does not prove that nothing is there"
    if sure.probe == "strongest":
        return "The interval of R² holds chance, that of the AUC does not: it is there"
    return f"The interval of R² holds chance, but by {_read_by(sure, results)} the AUC is {_bounded(sure)}"


def _holds_chance(r: Result) -> bool:
    return (r.value if r.low is None else r.low) <= (r.chance or 0)


def _read_by(r: Result, results: Sequence[Result]) -> str:
    return choice(r, results) if r.probe == "strongest" else probe_name(r.probe, r.title)


def _constant(results: Sequence[Result], strongest: Result) -> list[str]:
    """What must be said of a nuisance that never varies within a class."""
    if not strongest.fixed:
        return []
    ways = {"class_mean": "by the true class", "class_mean/mav": "by the class that MAV reads"}
    floors = [f"{_bounded(r)} {way}" for p, way in ways.items() for r in select(results, "r2", strongest.target, p)]
    floor = f" (class-only floor: R² {and_(floors)})" if floors else ""
    return [f"The {strongest.target} is constant within each class: identity alone tells it{floor}."]


def choice(strongest: Result, results: Sequence[Result]) -> str:
    """The name of the probe that is the strongest, as it calls itself."""
    probe = str(strongest.chosen.get("probe", "strongest"))
    return probe_name(probe, next((r.title for r in results if r.probe == probe), ""))


def _leaks(results: Sequence[Result], targets: Sequence[str], layer: str) -> list[str]:
    """Of many nuisances: how many can be read, which best, and what the others do not show."""
    sound = {t: r for t in targets for r in select(results, "r2", t, "strongest") if not failed(r)}
    asked = {t: r for t in targets for r in select(results, "r2", t, "strongest")}
    looked = [t for t, r in asked.items() if not not_probed(r)]
    lost = [target for target in looked if target not in sound]
    sure = {t: r for t in looked if (r := above_half(results, t))}
    weak = [t for t, r in sound.items() if _holds_chance(r)]
    unsure = [t for t in weak if t not in sure]
    others = [t for t in [*weak, *lost] if t in sure and sure[t].probe != "strongest"]
    read = [t for t in read_best([[results]]) if t not in {*unsure, *others}]
    ranked = {t: r for t in looked for r in select(results, "auc", t, "strongest")}
    chance = "R² 0, AUC 0.5" if ranked else "R² 0"
    text = f"From {layer}, {len(read)} of {len(looked)} nuisances can be read better than chance ({chance})"
    if read:
        numbers = {t: f"R² {_bounded(sound[t])}" for t in read}
        numbers |= {t: f"{numbers[t]}, AUC {_bounded(r)}" for t, r in ranked.items() if t in numbers}
        text += f", best {and_([f'{t} ({numbers[t]})' for t in read[:_NAMED]])}"
        text += f", by the strongest honest probe of each; {_sized_all([sound[t] for t in read], results)}"
    said = [f"{text}."]
    if others:
        shown = [f"{t} (AUC {_bounded(sure[t])} by {_read_by(sure[t], results)})" for t in others]
        said.append(f"By a probe that validation did not choose, {and_(shown)} may be told, too.")
    if unsure:
        said.append(f"The interval of {and_(unsure)} holds chance, which does not prove that nothing is there.")
    if lost:
        said.append(f"No probe of {and_(lost)} succeeded; this is not evidence of invariance.")
    if constant := [t for t, r in sound.items() if r.fixed]:
        said.append(f"Constant within each class, so that identity alone tells it: {and_(constant)}.")
    if unasked := [t for t in asked if t not in looked]:
        said.append(f"Not probed: {and_(unasked)}.")
    return said


def and_(names: Sequence[str]) -> str:
    """Names as a list in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _classes(results: Sequence[Result]) -> list[str]:
    rows = [r for p in ("softmax", "mav") for r in select(results, "accuracy", LABEL, p)]
    if not rows:
        return []
    parts = [f"{_bounded(r)} by {'its softmax' if r.probe == 'softmax' else _MAV}" for r in rows]
    against = f"chance {written(rows[0]).chance}; {sized(rows[0], results)}"
    return [f"The class is recognised with {' and '.join(parts)} ({against})."]


def _people(results: Sequence[Result]) -> list[str]:
    found = {name: select(results, metric, IDENTITY, probe) for name, metric, probe in RECOGNITION}
    texts = {
        "verification": "two images are rightly told to show one person or two with {} ({:,} pairs)",
        "rank 1": "a face is found first in the gallery with {} ({:,} probes)",
        "DIR at 1 % FAR": "and, if strangers may raise 1 % false alarms, with {} ({:,} probes, strangers among them)",
    }
    said = [text.format(_bounded(r), r.n) for name, text in texts.items() for r in found[name]]
    return [f"Of people in the test rows, by cosine: {', '.join(said)}."] if said else []


def _bounded(r: Result) -> str:
    text = written(r)
    return text.value + ("" if text.interval == NONE else f" {text.interval}")


def sized(r: Result, results: Sequence[Result]) -> str:
    """Rows, and what is independent among them: people, where these are told and no classes are."""
    return f"n = {count(r.n)} rows of {count(r.sources)} {_drawn(r, results)}"


def _sized_all(rows: Sequence[Result], results: Sequence[Result]) -> str:
    """The same of several: nuisances may be known of other rows, or drawn by class."""
    if len({_drawn(r, results) for r in rows}) > 1:
        return f"n = {span([r.n for r in rows])} rows"
    return f"n = {span([r.n for r in rows])} rows of {span([r.sources for r in rows])} {_drawn(rows[0], results)}"


def _drawn(r: Result, results: Sequence[Result]) -> str:
    about = {other.about for other in results}
    if "class" in about:
        return "classes" if r.fixed else "images"
    return "people" if "identity" in about else "independent sources"
