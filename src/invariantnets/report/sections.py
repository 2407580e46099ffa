"""What a report holds, in its order: what leaks, recognition, the features themselves. Plain data, nothing is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from invariantnets.report.headline import and_, choice, sized
from invariantnets.results.format import chance, count, span, summary, written
from invariantnets.results.result import About, Result
from invariantnets.results.runs import Group
from invariantnets.results.select import (
    FEW_NUISANCES,
    IDENTITY,
    LABEL,
    RECOGNITION,
    Runs,
    failed,
    nuisances,
    over_runs,
    read_best,
    select,
)
from invariantnets.results.words import METRICS, NONE, metric_name, number, probe_name

__all__ = ["Row", "Section", "Table", "beside", "run_sections", "sweep_sections"]

# So many figures are cited by their titles.
_NAMED = 3
_FAILED, _TOLD = "failed: says nothing about invariance", "uses the answer"
# Parts of a report, as figures name them → heading and lead.
_PARTS = {
    "leaks": ("What leaks", "How well each nuisance, which the features should have forgotten, can still be read."),
    "recognition": ("Recognition", "How well the features tell what they should."),
    "description": ("The features themselves", "What they look like, whatever is read from them."),
    "": ("More figures", ""),
}
# Where a table stands; what is not said here, a map, say, is of the features.
_PART: dict[About, str] = {"class": "recognition", "identity": "recognition"}
_TITLES: dict[About, str] = {
    "class": "How well the class is recognised",
    "identity": "How well people are recognised",
    "features": "What the features look like",
    "norm": "What the length of the features tells",
    "map": "What a map of the features shows",
}


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


@dataclass(frozen=True)
class Section:
    """A part of a report: a sentence, tables, figures."""

    title: str
    lead: str
    tables: Sequence[Table]
    figures: Sequence[Mapping[str, Any]]

    def texts(self) -> Iterator[str]:
        """All that it says."""
        yield from (self.title, self.lead)
        for table in self.tables:
            yield from table.texts()
        for figure in self.figures:
            yield from (figure["title"], figure["caption"])


def run_sections(
    results: Sequence[Result], units: Mapping[str, str], figures: Sequence[Mapping[str, Any]]
) -> list[Section]:
    """The parts of a run's report.

    Args:
        results: of one layer.
        units: nuisance → unit.
        figures: those of the run, each with ``about``; one without it goes to the end.
    """
    tables: dict[str, list[Table]] = {part: [] for part in _PARTS}
    targets = nuisances(results)
    best = read_best([[results]])
    many = len(targets) > FEW_NUISANCES
    for t in [*best, *(t for t in targets if t not in best)] if many else targets:
        found = [r for r in results if r.about == "nuisance" and r.target == t]
        title = f"How well the {t} can be read{_read(found, t) if many else ''}"
        tables["leaks"] += result_tables(title, found, units, results, folded=many)
    for about, title in _TITLES.items():
        found = [r for r in results if r.about == about]
        tables[_PART.get(about, "description")] += result_tables(title, found, units, results)
    return _sections(tables, figures)


def sweep_sections(
    groups: Sequence[Group], units: Mapping[str, str], figures: Sequence[Mapping[str, Any]]
) -> list[Section]:
    """The parts of a sweep's report: a table for each nuisance, for the class, and for people.

    Args:
        groups: of the sweep.
        units: nuisance → unit.
        figures: those of the sweep, as of `run_sections`.
    """
    every: Runs = [r.here for g in groups for r in g.runs]
    targets = list(dict.fromkeys(t for results in every for t in nuisances(results)))
    best = read_best([r.here for r in g.runs] for g in groups)
    many = len(targets) > FEW_NUISANCES
    tables: dict[str, list[Table]] = {part: [] for part in _PARTS}
    for t in [*best, *(t for t in targets if t not in best)] if many else targets:
        columns = {
            "R², strongest honest probe": ("r2", t, "strongest"),
            "R², linear": ("r2", t, "ridge"),
            "RMSE, linear per true label (uses the answer)": ("rmse", t, "ridge/per_label"),
        }
        title = f"How well the {t} can be read{_range(groups, t) if many else ''}"
        tables["leaks"] += _group_table(title, groups, columns, units.get(t, ""), folded=many)
    columns = {"softmax": ("accuracy", LABEL, "softmax"), "MAV": ("accuracy", LABEL, "mav")}
    per = {f"mav/estimated_{t}" for t in targets}
    columns |= {probe_name(p): ("accuracy", LABEL, p) for p in sorted(per)} if not many else {}
    tables["recognition"] += _group_table("How well the class is recognised", groups, columns)
    columns = {name: (metric, IDENTITY, probe) for name, metric, probe in RECOGNITION}
    tables["recognition"] += _group_table("How well people are recognised", groups, columns)
    return _sections(tables, figures)


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
    apart: Callable[[Result], str] = lambda r: metric_name(r.metric) if r.probe != "description" else "",
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
    shared = {k: v for k, v in prints[0].items() if all(p.get(k) == v for p in prints)}
    texts = [written(r, units.get(r.target, "")) for r in rows]
    columns = [name for name in ("chance", "control") if any(getattr(t, name) != NONE for t in texts)]
    parts: dict[str, list[Row]] = {}
    said = set()
    for r, text, small in zip(rows, texts, prints, strict=True):
        more = "; ".join(v for k, v in small.items() if k not in shared)
        value = text.value if text.interval == NONE else f"{text.value} {text.interval}"
        marks = (*((_TOLD,) if r.uses_answer else ()), *((_FAILED,) if failed(r) else ()))
        cells = (value, *(getattr(text, name) for name in columns))
        row = Row(_how(r, results), cells, marks, "" if (r.layer, r.probe, more) in said else more)
        parts.setdefault(apart(r), []).append(row)
        said.add((r.layer, r.probe, more))
    names = {"chance": "chance", "control": "shuffled control"}
    value = "value, 95 % interval" if any(t.interval != NONE for t in texts) else "value"
    header = ("how", value, *(names[name] for name in columns))
    return [Table(title, header, parts, "; ".join(shared.values()), folded=folded)]


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
        "validation": "",
        "chosen": ", ".join(f"{k.replace('_', ' ')} = {_plain(v)}" for k, v in r.chosen.items() if k != "probe"),
        "note": r.note,
    }
    if r.validation is not None:
        metric, places = ("accuracy", 1) if r.about == "class" else ("r2", 3)
        small["validation"] = f"validation {metric_name(metric)} {number(r.validation, metric, places=places)}"
    return {k: v for k, v in small.items() if v}


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _read(results: Sequence[Result], target: str) -> str:
    """What the strongest honest probe reads, to stand behind a title."""
    for r in select(results, "r2", target, "strongest"):
        text = written(r)
        return ": failed" if failed(r) else f": R² {text.value} {text.interval}"
    return ""


def _range(groups: Sequence[Group], target: str) -> str:
    """The least and the most that the strongest honest probe reads in any group, to stand behind a title."""
    found = (over_runs([r.here for r in g.runs], "r2", target, "strongest").get(None) for g in groups)
    means = sorted(s.mean for s in found if s and s.runs)
    ends = dict.fromkeys(number(v, "r2") for v in (means[:1] + means[-1:]))
    return f": R² {' to '.join(ends)}" if ends else ": failed"


def _group_table(
    title: str,
    groups: Sequence[Group],
    columns: Mapping[str, tuple[str, str, str]],
    unit: str = "",
    *,
    folded: bool = False,
) -> list[Table]:
    """A row a group, of those where any of the columns was measured; none if there is none."""
    runs = {g.name: [r.here for r in g.runs] for g in groups}
    every = [results for of_group in runs.values() for results in of_group]
    columns = {name: c for name, c in columns.items() if any(select(results, *c) for results in every)}
    rows, prints = [], []
    for name, of_group in runs.items():
        found = [over_runs(of_group, *column).get(None) for column in columns.values()]
        if not any(found):
            continue
        sizes = [r.n for results in of_group for c in columns.values() for r in select(results, *c)]
        what = "rows" if next(iter(columns.values()))[1] != IDENTITY else "pairs or probes"
        seeds = f"{len(of_group)} seed{'s' * (len(of_group) > 1)}"
        cells = (summary(s, c[0], unit) for s, c in zip(found, columns.values(), strict=True))
        rows.append(Row(name, tuple(cells)))
        prints.append(f"{seeds}, {span(sizes)} {what}")
    if not rows:
        return []
    shared = prints[0] if len(set(prints)) == 1 else ""
    rows = [Row(r.name, r.cells, more="" if shared else p) for r, p in zip(rows, prints, strict=True)]
    guess = tuple(chance(every, *c, unit) for c in columns.values())
    return [Table(title, ("group", *columns), {"": rows}, shared, guess, folded, stacked=True)]


def _sections(tables: Mapping[str, Sequence[Table]], figures: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Tables and figures by section; figures are numbered as they are met, and their numbers stand in the text."""
    drawn: dict[str, list[dict[str, Any]]] = {part: [] for part in _PARTS}
    for figure in figures:
        about = str(figure.get("about"))
        drawn[about if about in _PARTS else ""].append(dict(figure))
    for place, figure in enumerate(chain.from_iterable(drawn.values()), 1):
        figure["number"] = place
    sections = []
    for part, (title, lead) in _PARTS.items():
        if tables[part] or drawn[part]:
            texts = (lead, _cited(drawn[part]) if tables[part] else "")
            sections.append(Section(title, " ".join(filter(None, texts)), tables[part], drawn[part]))
    return sections


def _cited(figures: Sequence[Mapping[str, Any]]) -> str:
    """Figures by their numbers: a few with their titles."""
    if len(figures) > _NAMED:
        return f"Drawn in figures {figures[0]['number']} to {figures[-1]['number']}."
    named = [f"figure {f['number']} ({f['title']})" for f in figures]
    return f"Drawn in {and_(named)}." if named else ""
