"""Results as tables that say once what their rows share. Plain data, nothing is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from invariantnets.report.readers import choice, more_on_test, sized
from invariantnets.results.format import bounded, count, written
from invariantnets.results.result import Result
from invariantnets.results.select import astray, failed, not_probed, select
from invariantnets.results.words import METRICS, NONE, metric_name, number, probe_name

__all__ = ["Row", "Table", "beside", "overview", "result_tables"]

_FAILED, _TOLD = "failed: says nothing about invariance", "uses the answer"
_CONSTANT = "constant within each class"
_ASTRAY = "below chance: does not carry over"
_MORE, _LESS = "reads more on test than what validation chose", "on test, another reads more"
# Error rates of one side → which.
_SIDES = {"false_negative_rate": "positive", "false_positive_rate": "negative"}


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: what stands at its head.
        cells: one for each further column.
        marks: warnings beside the name.
        more: small print below it.
    """

    name: str
    cells: tuple[str, ...]
    marks: tuple[str, ...] = ()
    more: str = ""


@dataclass(frozen=True)
class Table:
    """A table that says once what its rows share.

    Attributes:
        title: above it.
        header: of every column; the first is that of the names.
        parts: heading (or none) → rows.
        shared: small print that holds for every row.
        chance: what guessing gives in each column, as a last row.
        folded: shown when asked for.
        stacked: on a narrow page a row becomes a list, each cell under its column's name.
    """

    title: str
    header: tuple[str, ...]
    parts: Mapping[str, Sequence[Row]]
    shared: str = ""
    chance: tuple[str, ...] = ()
    folded: bool = False
    stacked: bool = False

    def texts(self) -> Iterator[str]:
        """All that it says."""
        yield from (self.title, *self.header, self.shared, *self.parts)
        for row in (row for rows in self.parts.values() for row in rows):
            yield from (row.name, *row.cells, *row.marks, row.more)


def beside(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Rows of text, as those of a publication, as a table."""
    return Table(title, tuple(header), {"": [Row(name, tuple(cells)) for name, *cells in rows]}, stacked=True)


def result_tables(
    title: str,
    found: Sequence[Result],
    units: Mapping[str, str],
    results: Sequence[Result],
    *,
    folded: bool = False,
    apart: Callable[[Result], str] = lambda r: _heading(r) if r.probe != "description" else "",
) -> list[Table]:
    """A table of results about all rows; none if there are none.

    By metric, the strongest probe first. Columns that no row fills are left out, and so is the small print that was
    said of the same probe before.

    Args:
        title: of the table.
        found: what it shows.
        units: nuisance → unit.
        results: everything of the layer.
        folded: shown when asked for.
        apart: heading of the part where a result stands.
    """
    order = {m: i for i, m in enumerate(METRICS)}
    rows = sorted(
        (r for r in found if not r.where), key=lambda r: (order.get(r.metric, len(order)), r.probe != "strongest")
    )
    if not rows:
        return []
    prints = [_print(r, results) for r in rows]
    # Of an error rate of one side, rows and side stand in the heading: all others may share theirs.
    whole = [p for p, r in zip(prints, rows, strict=True) if r.metric not in _SIDES] or prints
    shared = {k: v for k, v in whole[0].items() if all(p.get(k) == v for p in whole)}
    texts = [written(r, units.get(r.target, "")) for r in rows]
    columns = [name for name in ("chance", "control", "selectivity") if any(getattr(t, name) != NONE for t in texts)]
    parts: dict[str, list[Row]] = {}
    flags = _flags(rows, results)
    said = set()
    for r, text, small in zip(rows, texts, prints, strict=True):
        more = "; ".join(v for k, v in small.items() if k not in shared)
        marks = (
            *((_TOLD,) if r.uses_answer else ()),
            *_lost(r),
            *flags.get((r.layer, r.target, r.metric, r.probe), ()),
        )
        cells = (bounded(r, units.get(r.target, "")), *(getattr(text, name) for name in columns))
        row = Row(_how(r, results), cells, marks, "" if (r.layer, r.probe, more) in said else more)
        parts.setdefault(apart(r), []).append(row)
        said.add((r.layer, r.probe, more))
    names = {"chance": "chance", "control": "shuffled control", "selectivity": "selectivity"}
    value = "value, 95 % interval" if any(t.interval != NONE for t in texts) else "value"
    header = ("how", value, *(names[name] for name in columns))
    # Five columns of many digits are more than a phone is wide.
    return [Table(title, header, parts, "; ".join(shared.values()), folded=folded, stacked=True)]


def _flags(rows: Sequence[Result], results: Sequence[Result]) -> dict[tuple[str, str, str, str], tuple[str, ...]]:
    """Layer, nuisance, metric and probe → the mark of a reader that beats what was chosen on test, or is so beaten."""
    found: dict[tuple[str, str, str, str], tuple[str, ...]] = {}
    for layer, target in dict.fromkeys((r.layer, r.target) for r in rows if r.about == "nuisance"):
        here = [r for r in results if r.layer == layer]
        for r in chain.from_iterable(more_on_test(here, target).values()):
            found[layer, target, r.metric, r.probe] = (_MORE,)
            found[layer, target, r.metric, "strongest"] = (_LESS,)
    return found


def _heading(r: Result) -> str:
    name = metric_name(r.metric)
    if r.metric not in _SIDES:
        return name
    _, is_named, positive = r.note.rpartition("positive is ")
    return f"{name}, of {count(r.n)} {_SIDES[r.metric]} rows" + (f" (positive: {positive})" if is_named else "")


def overview(results: Sequence[Result], targets: Sequence[str]) -> list[Table]:
    """A row for each of many nuisances, by the strongest honest probe of each; none if none was looked for."""
    columns = {
        "R²": "r2",
        "AUC": "auc",
        "balanced accuracy": "balanced_accuracy",
        "false negatives": "false_negative_rate",
        "false positives": "false_positive_rate",
    }
    rows: list[Row] = []
    filled: set[int] = set()
    for target in targets:
        for strongest in select(results, "r2", target, "strongest"):
            probe = str(strongest.chosen.get("probe", "strongest"))
            found = {metric: next(iter(select(results, metric, target, probe)), None) for metric in columns.values()}
            found["r2"] = strongest
            floor = next(iter(select(results, "r2", target, "class_mean")), None)
            control = found["auc"] or strongest
            positive = f"{count(r.n)} of " if (r := found["false_negative_rate"]) else ""
            cells = [_cell(r) for r in found.values()]
            cells += [
                written(control).control,
                written(control).selectivity,
                number(floor.value if floor else None, "r2"),
                positive + count(strongest.n),
            ]
            filled |= {i for i, cell in enumerate(cells) if cell != NONE}
            more = [f"on test, more is read by {name}" for name in more_on_test(results, target)]
            marks = (*((_CONSTANT,) if strongest.fixed else ()), *_lost(strongest), *more)
            rows.append(Row(target, tuple(cells), marks))
    shown = sorted(filled)
    of = "(AUC, else R²)"
    header = [*columns, f"shuffled control {of}", f"selectivity {of}", "class-only floor, R²", "positive of all rows"]
    rows = [Row(r.name, tuple(r.cells[i] for i in shown), r.marks) for r in rows]
    title = "What the strongest honest probe reads of each nuisance"
    return [Table(title, ("nuisance", *(header[i] for i in shown)), {"": rows}, stacked=True)] if rows else []


def _lost(r: Result) -> tuple[str, ...]:
    """The mark of what says nothing, or not what a small number might seem to say."""
    if failed(r):
        return ("not probed" if not_probed(r) else _FAILED,)
    return (_ASTRAY,) if astray(r) else ()


def _cell(r: Result | None) -> str:
    if r is None or failed(r):
        return NONE
    return bounded(r) if r.metric in ("r2", "auc") else written(r).value


def _how(r: Result, results: Sequence[Result]) -> str:
    """What a row is called: its probe, or, of a property of the features, the property."""
    if r.probe == "description":
        return metric_name(r.metric)
    name = probe_name(r.probe, r.title)
    return f"{name}: {choice(r, results)}" if r.probe == "strongest" and "probe" in r.chosen else name


def _print(r: Result, results: Sequence[Result]) -> dict[str, str]:
    """The small print: what else is needed to judge a result."""
    probed = {"class", "nuisance"}
    small = {
        "n": sized(r, results) if r.about in probed else f"n = {count(r.n)}, of {count(r.sources)} independent sources",
        "fit": f"fitted on {count(r.n_fit)} rows" if r.n_fit is not None else "",
        "split": f"{r.split} rows",
        "seed": f"seed {r.seed}",
        "fixed": f"{_CONSTANT}, so that identity alone tells it" if r.fixed else "",
        "validation": "",
        "chosen": _chosen(r),
        "note": r.note,
    }
    if r.validation is not None:
        metric, places = ("accuracy", 1) if r.about == "class" else ("r2", 3)
        small["validation"] = f"out of fold {metric_name(metric)} {number(r.validation, metric, places=places)}"
    return {k: v for k, v in small.items() if v and not (k in ("n", "note") and r.metric in _SIDES)}


def _chosen(r: Result) -> str:
    """What was chosen: of a stack, how much each of its readers weighs."""
    found = {k: _plain(v) for k, v in r.chosen.items() if k != "probe"}
    if "stack" in (r.probe, r.chosen.get("probe")):
        weights = ", ".join(f"{probe_name(k)} {v}" for k, v in found.items())
        return f"weights: {weights}" if weights else ""
    return ", ".join(f"{k.replace('_', ' ')} = {v}" for k, v in found.items())


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
