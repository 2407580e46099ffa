"""People never trained on: what each method leaves of pose and light, and whether it still tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from invariantnets.figures.people_trained import AIM, NUISANCES
from invariantnets.report.papers.comparison import Comparison
from invariantnets.report.readers import choice, strays
from invariantnets.results.format import and_, chance, span, summary
from invariantnets.results.paired import HOW, Less, less
from invariantnets.results.result import Result
from invariantnets.results.runs import Group
from invariantnets.results.select import (
    IDENTITY,
    STRAY,
    Runs,
    failed,
    kept,
    over_runs,
    reads_more,
    select,
)
from invariantnets.results.words import NONE, number

__all__ = ["NOTE", "compare", "people"]

BASELINE = "softmax"
EER, RANK1 = ("eer", IDENTITY, "verification/cosine"), ("rank1", IDENTITY, "closed_set/cosine")
_RECOGNITION = {"EER": EER, "rank 1": RANK1, "DIR at 1 % FAR": ("dir_far1", IDENTITY, "open_set/cosine")}
_BEHIND = ("strongest readers (nuisances × seeds)", "n rows", "strangers", "fitted to rows", "seeds")
NOTE = (
    "Of people whom nobody was trained on. Mean ± s.d. over seeds (one seed: its 95 % interval over people). R²: the "
    "strongest honest reader, fitted to those trained on and chosen among them, out of fold; 0 is chance. A reader "
    "that failed there, or is far below 0 on strangers, says nothing and is no forgetting, unless all of them failed "
    f"and each of them is at chance on strangers, too (not below −{STRAY}, its interval not above {AIM}): then nobody "
    "finds anything. At most: no reader exceeds it on these rows (docs/upper_bounds.md). Less softmax: within each "
    f"seed, of the same first network, people and pairs; mean ± s.d. {HOW}"
)


class Setting(NamedTuple):
    """What must be the same for two methods to be compared."""

    network: str
    people: int | None
    width: int | None


def people(groups: Sequence[Group]) -> dict[str, dict[str, dict[str, int]]]:
    """On how many people each method was trained, where a sweep varies that.

    Args:
        groups: of a sweep.

    Returns:
        Network and data → method (and its features, where several) → group → people trained on. A method that was
        trained on one number of people in two ways is left out: its groups differ in something else, too.
    """
    ours = [g for g in _ours(groups) if _setting(g).people is not None]
    wide = len({_setting(g).width for g in ours}) > 1
    found: dict[str, dict[str, dict[str, int]]] = {}
    for group in ours:
        setting = _setting(group)
        series = group.method + (f", {setting.width} features" if wide else "")
        found.setdefault(setting.network, {}).setdefault(series, {})[group.name] = setting.people or 0
    kept_ = {
        network: {name: of for name, of in methods.items() if 1 < len(of) == len(set(of.values()))}
        for network, methods in found.items()
    }
    return {network: methods for network, methods in kept_.items() if methods}


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Lay out what is left of strangers' pose and light after each method, beside how they are told apart.

    Args:
        groups: of a sweep.

    Returns:
        Two rows for each method, number of people trained on and data: what was measured, and that less softmax
        within seeds; then what guessing gives. None without two methods on people never trained on.
    """
    ours = _ours(groups)
    if len({group.method for group in ours}) < 2:
        return None
    every = [results for group in ours for results in _here(group)]
    sizes = [f"|{t}|" for t in NUISANCES]
    targets = [t for t in (*NUISANCES, *sizes) if any(select(results, "r2", t, "strongest") for results in every)]
    asked = [*NUISANCES, *(size for size in sizes if size in targets)]
    columns: dict[str, tuple[str, str, str]] = {}
    for target in targets:
        columns[f"R² of {target}"] = ("r2", target, "strongest")
        if any(select(results, "r2_at_most", target, "any") for results in every):
            columns[f"{target}, any reader at most"] = ("r2_at_most", target, "any")
    columns |= {name: what for name, what in _RECOGNITION.items() if any(select(r, *what) for r in every)}
    header = ("method", "people trained on", "features", "data", *columns, *_BEHIND)
    baselines = {_setting(g): g for g in ours if g.method == BASELINE}
    rows: list[tuple[str, ...]] = []
    reached: list[str] = []
    nearest: list[str] = []
    for group in ours:
        setting, runs = _setting(group), _here(group)
        name, (count, width) = group.method, (_count(setting.people), _count(setting.width))
        cells = [summary(over_runs(runs, *what).get(None), what[0], places=_places(what)) for what in columns.values()]
        rows.append((name, count, width, group.data, *cells, *_behind(runs, targets, columns)))
        base = baselines.get(setting)
        if base is None or base is group:
            continue
        differ = {what: less(group, base, what) for what in columns.values()}
        blank = [NONE] * (len(_BEHIND) - 1)
        paired = str(len(differ[EER].values)) if EER in differ else NONE
        cells = [of.text(what[0], _places(what)) for what, of in differ.items()]
        rows.append((f"{name}, less softmax", count, width, group.data, *cells, *blank, paired))
        where = f"{name} ({count} people, {width} features, {group.data})"
        why = _not_reached(runs, asked, differ)
        (nearest if why else reached).append(f"{where}: {why}" if why else f"{where}{_surely(differ)}")
    guess = [chance(every, *what) for what in columns.values()]
    rows.append(("chance", NONE, NONE, NONE, *guess, *[NONE] * len(_BEHIND)))
    return Comparison(
        "Strangers: pose, light, and who it is", header, rows, f"{NOTE} {_aim(asked, reached, nearest)}", "strangers"
    )


def _ours(groups: Sequence[Group]) -> list[Group]:
    """Methods that were looked at on people never trained on, of whom a nuisance of the aim is known."""
    return [
        g
        for g in groups
        if g.setting("method")
        and any(select(results, *EER) for results in _here(g))
        and any(select(results, "r2", t, "strongest") for results in _here(g) for t in NUISANCES)
    ]


def _here(group: Group) -> Runs:
    return [run.here for run in group.runs]


def _setting(group: Group) -> Setting:
    backbone = ("model", "backbone")
    width = group.setting(*backbone, "bottleneck") or group.setting(*backbone, "embedding_dim")
    number_of = group.setting("data", "num_classes")
    return Setting(
        group.network, number_of if isinstance(number_of, int) else None, width if isinstance(width, int) else None
    )


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _places(what: tuple[str, str, str]) -> int:
    return 3 if what[0].startswith("r2") else 2


def _behind(runs: Runs, targets: Sequence[str], columns: Mapping[str, tuple[str, str, str]]) -> tuple[str, ...]:
    strongest = [(r, results) for results in runs for t in targets for r in select(results, "r2", t, "strongest")]
    counted = Counter(choice(r, results) for r, results in strongest if not failed(r))
    which = ", ".join(f"{name} ({n})" for name, n in counted.most_common()) or NONE
    sizes = [[getattr(r, size) for r, _ in strongest] for size in ("n", "sources", "n_fit")]
    return which, *(span([size for size in of if size is not None]) for of in sizes), str(len(runs))


def _not_reached(runs: Runs, asked: Sequence[str], less: Mapping[tuple[str, str, str], Less]) -> str:
    """Why a method does not reach the aim; empty where it does."""
    said = []
    for target in asked:
        left = kept(runs, target)
        if left is None or left.runs + left.failed < len(runs):
            said.append(f"{target} was not probed in all seeds")
        elif left.failed > sum(_found_by_nobody(results, target) for results in runs):
            said.append(f"no reader of {target} " + ("carries over" if strays(runs, target) else "passed in all seeds"))
        elif left.runs and left.mean > AIM:
            said.append(f"{target} {number(left.mean, 'r2', places=3)}")
        else:
            more = [r.value for results in runs for r in reads_more(results, target) if r.value > AIM]
            said += [f"on test another reads {number(max(more), 'r2', places=3)} of {target}"] if more else []
    for name, what, worse in (("EER", EER, 1), ("rank 1", RANK1, -1)):
        of = less.get(what, Less(()))
        if not of.values:
            said.append(f"{name} has no softmax of the same seed beside it")
        elif worse * of.mean > 0:
            said.append(f"{name} {of.text(what[0], 2)} points")
    return ", ".join(said)


def _found_by_nobody(results: Sequence[Result], target: str) -> bool:
    """Whether every honest reader failed where they are chosen, and each of them is at chance on strangers as well."""
    rows = [r for r in select(results, "r2", target) if not r.uses_answer]
    tried = [r for r in rows if r.probe != "strongest"]
    at_chance = [r.value >= -STRAY and r.high is not None and r.high <= AIM for r in tried]
    return all(failed(r) for r in rows) and bool(tried) and all(at_chance)


def _surely(less: Mapping[tuple[str, str, str], Less]) -> str:
    """Whether the intervals leave room for a loss, of one who reaches the aim."""
    of = {"EER": (less[EER], 1), "rank 1": (less[RANK1], -1)}
    open_ = [name for name, (x, worse) in of.items() if x.bounds is None or max(worse * b for b in x.bounds) > 0]
    return f", though a loss of {and_(open_)} is not ruled out" if open_ else ""


def _aim(asked: Sequence[str], reached: Sequence[str], nearest: Sequence[str]) -> str:
    text = (
        f"Aim: R² of {and_(list(asked))} each ≤ {AIM}, in the mean over seeds and by no reader more, at an EER and "
        f"a rank 1 that are in the mean no worse than those of softmax: reached by {'; '.join(reached) or 'none'}."
    )
    return text + (f" What is lacking: {'; '.join(nearest)}." if nearest else "")
