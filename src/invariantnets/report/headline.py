"""What leaks, how much, against chance: the sentences at the top of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from invariantnets.report.readers import (
    CARRIES_NOT,
    choice,
    drawn,
    more_on_test,
    said_of_more,
    sized,
)
from invariantnets.results.format import and_, bounded, count, fitted, span, written
from invariantnets.results.result import Result
from invariantnets.results.select import (
    FEW_NUISANCES,
    IDENTITY,
    LABEL,
    RECOGNITION,
    above_half,
    astray,
    failed,
    not_probed,
    nuisances,
    read_best,
    select,
)
from invariantnets.results.words import NONE, metric_name, probe_name

MAV = "mean activation vectors (MAV)"
# Of more than a few nuisances, so many are named.
NAMED = 3
_PLAIN = {"rmse": "typical error (RMSE)", "mae": "mean error (MAE)", "auc": "AUC", "accuracy": "accuracy"}


@dataclass(frozen=True)
class Fact:
    """One large number of the headline with what it takes to judge it."""

    value: str
    name: str
    detail: str


def sentences(results: Sequence[Result], layer: str, units: Mapping[str, str]) -> list[str]:
    """The headline: one sentence or two per nuisance, or two over many of them, then the classes and the people.

    A failed probe never counts as invariance, nor does an R² below chance on test; an interval that holds chance is not
    called proof either. Where another honest probe reads more on test than the one that was chosen, that is said.

    Args:
        results: of one layer.
        layer: its name.
        units: nuisance → unit.
    """
    targets = nuisances(results)
    if len(targets) > FEW_NUISANCES:
        found = _leaks(results, targets, layer) + list(filter(None, (said_of_more(results, t) for t in targets)))
    else:
        found = [text for target in targets for text in _leak(results, target, layer, units.get(target, ""))]
    found = found or [f"No nuisance was probed at {layer}: nothing here speaks of invariance."]
    return found + _classes(results) + _people(results)


def lines(results: Sequence[Result], layer: str, units: Mapping[str, str]) -> list[str]:
    """The same in lines for a terminal."""
    said = sentences(results, layer, units)
    return [line for sentence in said for line in wrap(sentence, 100, initial_indent="- ", subsequent_indent="  ")]


def facts(results: Sequence[Result], units: Mapping[str, str]) -> list[Fact]:
    """The same as large numbers: R² and error, or AUC, of the strongest honest probe for each nuisance, and accuracies.

    Of many nuisances, those that are read best.
    """
    shown, targets = [], nuisances(results)
    for target in targets if len(targets) <= FEW_NUISANCES else read_best([[results]], NAMED):
        for strongest in select(results, "r2", target, "strongest"):
            if not_probed(strongest):
                continue
            more = and_(list(more_on_test(results, target)))
            shown.append(_fact(strongest, f"R² of {target}", "", f"; on test, more is read by {more}" if more else ""))
            shown += [_fact(r, f"R² of {target}, at most", "") for r in select(results, "r2_at_most", target, "any")]
            for r in _beside(results, strongest):
                shown.append(_fact(r, f"{metric_name(r.metric)} of {target}", units.get(target, "")))
    for probe in ("mav", "softmax"):
        for r in select(results, "accuracy", LABEL, probe):
            shown.append(_fact(r, f"{probe_name(probe)} accuracy", ""))
    for name, metric, probe in RECOGNITION:
        shown += [_fact(r, name, "") for r in select(results, metric, IDENTITY, probe)]
    return shown


def _beside(results: Sequence[Result], strongest: Result) -> list[Result]:
    """What says it in plainer words than R², by the same probe: RMSE, of an angle that wraps MAE, of classes AUC."""
    probe = str(strongest.chosen.get("probe", "strongest"))
    found = (select(results, metric, strongest.target, probe) for metric in ("rmse", "mae", "auc"))
    return next(filter(None, found), [])


def _fact(r: Result, name: str, unit: str, more: str = "") -> Fact:
    text = written(r, unit)
    against = f"chance {text.chance}; n = {count(r.n)}{fitted([r])}{more}"
    if failed(r):
        return Fact("failed", name, f"no evidence of invariance; {against}")
    if astray(r):
        against = f"{CARRIES_NOT}, no evidence of invariance; {against}"
    return Fact(text.value, name, against if text.interval == NONE else f"{text.interval}, {against}")


def _leak(results: Sequence[Result], target: str, layer: str, unit: str) -> list[str]:
    strongest = next(iter(select(results, "r2", target, "strongest")), None)
    if strongest is None:
        return []  # nobody looked for it in this way
    if why := not_probed(strongest):
        return [f"The {target} was not probed: {why}."]
    sure, constant = above_half(results, target), _constant(results, strongest)
    more = list(filter(None, [said_of_more(results, target)]))
    if failed(strongest):
        most = _most_on_test(results, target)
        text = f"From {layer}, no probe of the {target} succeeded{most}; this is not evidence of invariance."
        text += f" By {_read_by(sure, results)}, its AUC is {bounded(sure)}, above a half: it is there." if sure else ""
        return [text, *_at_most(results, target), *more, *constant]
    name = str(strongest.chosen.get("probe", "strongest"))
    known = "" if name == "strongest" else f" ({choice(strongest, results)})"
    shown = written(strongest)
    control = f", shuffled control {shown.control}" if strongest.control is not None else ""
    text = (
        f"From {layer}, the strongest honest probe{known} reads the {target} with R² {bounded(strongest)} "
        f"(chance {shown.chance if strongest.chance else 0}{control}; {sized(strongest, results)}{fitted([strongest])})"
    )
    for r in [*_beside(results, strongest), *select(results, "accuracy", target, name)]:
        shown = written(r, unit)
        guess = f" where guessing gives {shown.chance}" if r.chance is not None else ""
        text += f"; {_PLAIN[r.metric]} {bounded(r) if r.metric == 'auc' else shown.value}{guess}"
    if astray(strongest):
        text += f". {_where_r2_is_below_chance(sure, results)}"
    elif _holds_chance(strongest):
        text += f". {_where_r2_holds_chance(sure, results)}"
    return [f"{text}.", *_at_most(results, target), *more, *constant]


def _most_on_test(results: Sequence[Result], target: str) -> str:
    """What readers that failed out of fold have on test: how sure it is that nothing was found."""
    tried = [r for r in results if (r.metric, r.target) == ("r2", target) and not (r.uses_answer or r.where)]
    tried = [r for r in tried if math.isfinite(r.value) and r.probe != "strongest"]
    if not tried:
        return ""
    most = max(tried, key=lambda r: r.value)
    return f": on test none of them reads more than R² {bounded(most)} ({sized(most, results)}{fitted([most])})"


def _at_most(results: Sequence[Result], target: str) -> list[str]:
    """What nobody can exceed, where that is known."""
    said = []
    for r in select(results, "r2_at_most", target, "any"):
        codes = r.chosen.get("codes")
        through = f"released in {count(int(codes))} codes" if codes else f"with noise of σ {r.chosen['sigma']:g}"
        adjusted = [bounded(a) for a in select(results, "r2_at_most_adjusted", target, "any")]
        less = f"; without what so many explain by luck, {adjusted[0]}" if adjusted else ""
        said.append(f"So {through}, no reader of these rows, however trained, exceeds R² {bounded(r)}{less}.")
    return said


def _where_r2_is_below_chance(sure: Result | None, results: Sequence[Result]) -> str:
    text = f"By R² that is worse than guessing: this reader {CARRIES_NOT}, which is not evidence of invariance"
    return (
        f"{text}. By {_read_by(sure, results)} the AUC is {bounded(sure)}, above a half: it is there" if sure else text
    )


def _where_r2_holds_chance(sure: Result | None, results: Sequence[Result]) -> str:
    if sure is None:
        return "The interval holds chance: these probes found nothing, which does not prove that nothing is there"
    if sure.probe == "strongest":
        return "The interval of R² holds chance, that of the AUC does not: it is there"
    return f"The interval of R² holds chance, but by {_read_by(sure, results)} the AUC is {bounded(sure)}"


def _holds_chance(r: Result) -> bool:
    return (r.value if r.low is None else r.low) <= (r.chance or 0)


def _read_by(r: Result, results: Sequence[Result]) -> str:
    return choice(r, results) if r.probe == "strongest" else probe_name(r.probe, r.title)


def _constant(results: Sequence[Result], strongest: Result) -> list[str]:
    """What must be said of a nuisance that never varies within a class."""
    if not strongest.fixed:
        return []
    ways = {"class_mean": "by the true class", "class_mean/mav": "by the class that MAV reads"}
    floors = [f"{bounded(r)} {way}" for p, way in ways.items() for r in select(results, "r2", strongest.target, p)]
    floor = f" (class-only floor: R² {and_(floors)})" if floors else ""
    return [f"The {strongest.target} is constant within each class: identity alone tells it{floor}."]


def _leaks(results: Sequence[Result], targets: Sequence[str], layer: str) -> list[str]:
    """Of many nuisances: how many can be read, which best, and what the others do not show."""
    sound = {t: r for t in targets for r in select(results, "r2", t, "strongest") if not failed(r)}
    asked = {t: r for t in targets for r in select(results, "r2", t, "strongest")}
    looked = [t for t, r in asked.items() if not not_probed(r)]
    lost = [target for target in looked if target not in sound]
    sure = {t: r for t in looked if (r := above_half(results, t))}
    weak = [t for t, r in sound.items() if _holds_chance(r)]
    below = [t for t in weak if t not in sure and astray(sound[t])]
    unsure = [t for t in weak if t not in sure and t not in below]
    others = [t for t in [*weak, *lost] if t in sure and sure[t].probe != "strongest"]
    read = [t for t in read_best([[results]]) if t not in {*unsure, *below, *others}]
    ranked = {t: r for t in looked for r in select(results, "auc", t, "strongest")}
    chance = "R² 0, AUC 0.5" if ranked else "R² 0"
    text = f"From {layer}, {len(read)} of {len(looked)} nuisances can be read better than chance ({chance})"
    if read:
        numbers = {t: f"R² {bounded(sound[t])}" for t in read}
        numbers |= {t: f"{numbers[t]}, AUC {bounded(r)}" for t, r in ranked.items() if t in numbers}
        text += f", best {and_([f'{t} ({numbers[t]})' for t in read[:NAMED]])}"
        text += f", by the strongest honest probe of each; {_sized_all([sound[t] for t in read], results)}"
    said = [f"{text}."]
    if others:
        shown = [f"{t} (AUC {bounded(sure[t])} by {_read_by(sure[t], results)})" for t in others]
        said.append(f"By a probe that validation did not choose, {and_(shown)} may be told, too.")
    if unsure:
        said.append(f"The interval of {and_(unsure)} holds chance, which does not prove that nothing is there.")
    if below:
        said.append(
            f"R² of {and_(below)} is below chance: the reader {CARRIES_NOT}, which is not evidence of invariance."
        )
    if lost:
        said.append(f"No probe of {and_(lost)} succeeded; this is not evidence of invariance.")
    if constant := [t for t, r in sound.items() if r.fixed]:
        said.append(f"Constant within each class, so that identity alone tells it: {and_(constant)}.")
    if unasked := [t for t in asked if t not in looked]:
        said.append(f"Not probed: {and_(unasked)}.")
    return said


def _classes(results: Sequence[Result]) -> list[str]:
    rows = [r for p in ("softmax", "mav") for r in select(results, "accuracy", LABEL, p)]
    if not rows:
        return []
    parts = [f"{bounded(r)} by {'its softmax' if r.probe == 'softmax' else MAV}" for r in rows]
    against = f"chance {written(rows[0]).chance}; {sized(rows[0], results)}{fitted(rows)}"
    return [f"The class is recognised with {' and '.join(parts)} ({against})."]


def _people(results: Sequence[Result]) -> list[str]:
    found = {name: select(results, metric, IDENTITY, probe) for name, metric, probe in RECOGNITION}
    texts = {
        "verification": "two images are rightly told to show one person or two with {} ({:,} pairs)",
        "rank 1": "a face is found first in the gallery with {} ({:,} probes)",
        "DIR at 1 % FAR": "and, if strangers may raise 1 % false alarms, with {} ({:,} probes, strangers among them)",
    }
    said = [text.format(bounded(r), r.n) for name, text in texts.items() for r in found[name]]
    shown = f"Of people in the test rows, none of whom a reader was fitted to, by cosine: {', '.join(said)}."
    return [*([shown] if said else []), *_parts(results)]


def _parts(results: Sequence[Result]) -> list[str]:
    """What parts tell of people, a sentence for each way to halve."""
    said = []
    for way in ("image", "album"):
        of = {
            name: r
            for name in ("global", "parts", "unfilled", "filled")
            for r in select(results, "accuracy", IDENTITY, f"piper/{way}/{name}")
        }
        called = {"global": "the global model", "parts": "parts alone", "unfilled": "both", "filled": "both, filled"}
        shares = ", ".join(f"{bounded(r)} by {called[name]}" for name, r in of.items())
        for gain in select(
            results, "accuracy_gain", IDENTITY, f"piper/{way}/{'filled' if 'filled' in of else 'parts'}"
        ):
            against = (
                f"chance {written(of['parts']).chance}; n = {count(gain.n)} pictures of {count(gain.sources)} people"
            )
            said.append(f"By parts, halves by {way}, {shares}: filling gains {bounded(gain)} ({against}).")
    return said


def _sized_all(rows: Sequence[Result], results: Sequence[Result]) -> str:
    """The same of several: nuisances may be known of other rows, or drawn by class."""
    if len({drawn(r, results) for r in rows}) > 1:
        return f"n = {span([r.n for r in rows])} rows{fitted(rows)}"
    independent = f"{span([r.sources for r in rows])} {drawn(rows[0], results)}"
    return f"n = {span([r.n for r in rows])} rows of {independent}{fitted(rows)}"
