"""What a report holds, in its order: what leaks, recognition, the features themselves. Plain data, nothing is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from invariantnets.report.analyses import analysis_tables, asked_for
from invariantnets.report.efficiency import OF_CURVE, curve_tables, has_curve
from invariantnets.report.readers import more_in_runs, more_on_test
from invariantnets.report.tables import Row, Table, overview, result_tables
from invariantnets.results.format import and_, chance, fitted, span, summary, written
from invariantnets.results.result import About, Result
from invariantnets.results.runs import Group
from invariantnets.results.select import (
    FEW_NUISANCES,
    IDENTITY,
    LABEL,
    RECOGNITION,
    Runs,
    failed,
    kept,
    not_probed,
    nuisances,
    over_runs,
    read_best,
    select,
)
from invariantnets.results.words import number, probe_name

__all__ = ["Section", "run_sections", "sweep_sections"]

# So many figures are cited by their titles.
_NAMED = 3
# Parts of a report, as figures name them → heading and lead.
_PARTS = {
    "leaks": ("What leaks", "How well each nuisance, which the features should have forgotten, can still be read."),
    "recognition": ("Recognition", "How well the features tell what they should."),
    "description": ("The features themselves", "What they look like, whatever is read from them."),
    "": ("More figures", ""),
}
# Each analysis is a part of its own, before this one, and its figures are about this and its name.
_BEFORE, _ASKED = "description", "analysis/"
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
    tables: dict[str, list[Table]] = {}
    for part in _PARTS:
        if part == _BEFORE:
            tables |= {f"{_ASKED}{name}": found for name, found in analysis_tables(results, units).items()}
        tables[part] = []
    targets = nuisances(results)
    best = read_best([[results]])
    many = len(targets) > FEW_NUISANCES
    ordered = [*best, *(t for t in targets if t not in best)] if many else targets
    tables["leaks"] += overview(results, ordered) if many else []
    for t in ordered:
        below = OF_CURVE if has_curve(results, t) else ()
        found = [r for r in results if r.about == "nuisance" and r.target == t and r.metric not in below]
        title = f"How well the {t} can be read{_read(found, t) if many else ''}"
        tables["leaks"] += result_tables(title, found, units, results, folded=many)
    tables["leaks"] += curve_tables(results, ordered, folded=many)
    for about, title in _TITLES.items():
        found = [r for r in results if r.about == about and not (many and r.probe.startswith("mav/"))]
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
            "AUC, strongest honest probe": ("auc", t, "strongest"),
            "R², any reader at most": ("r2_at_most", t, "any"),
            "the same, adjusted": ("r2_at_most_adjusted", t, "any"),
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


def _read(results: Sequence[Result], target: str) -> str:
    """What the strongest honest probe reads, to stand behind a title."""
    for r in select(results, "r2", target, "strongest"):
        text = written(r)
        area = "".join(f", AUC {written(a).value}" for a in select(results, "auc", target, "strongest"))
        if failed(r):
            return ": not probed" if not_probed(r) else ": failed"
        more = and_(list(more_on_test(results, target)))
        return f": R² {text.value} {text.interval}{area}{f'; on test, more is read by {more}' if more else ''}"
    return ""


def _range(groups: Sequence[Group], target: str) -> str:
    """The least and the most that is left in any group (`select.kept`), to stand behind a title."""
    found = (kept([r.here for r in g.runs], target) for g in groups)
    means = sorted(s.mean for s in found if s and s.runs)
    ends = dict.fromkeys(number(v, "r2") for v in (means[:1] + means[-1:]))
    more = any(more_in_runs([r.here for r in g.runs], target) for g in groups)
    flag = "; on test, more is read by another probe" if more else ""
    return f": R² {' to '.join(ends)}{flag}" if ends else f": failed{flag}"


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
        measured = [r for results in of_group for c in columns.values() for r in select(results, *c)]
        what = "rows" if next(iter(columns.values()))[1] != IDENTITY else "pairs or probes"
        seeds = f"{len(of_group)} seed{'s' * (len(of_group) > 1)}"
        cells = (summary(s, c[0], unit) for s, c in zip(found, columns.values(), strict=True))
        # Of all columns the nuisance is one: that of the strongest.
        target = next((t for _, t, probe in columns.values() if probe == "strongest"), "")
        more = more_in_runs(of_group, target)
        rows.append(Row(name, tuple(cells), (f"on test, more is read by {more}",) if more else ()))
        prints.append(f"{seeds}, {span([r.n for r in measured])} {what}{fitted(measured)}")
    if not rows:
        return []
    shared = prints[0] if len(set(prints)) == 1 else ""
    rows = [Row(r.name, r.cells, r.marks, "" if shared else p) for r, p in zip(rows, prints, strict=True)]
    guess = tuple(chance(every, *c, unit) for c in columns.values())
    return [Table(title, ("group", *columns), {"": rows}, shared, guess, folded, stacked=True)]


def _sections(tables: Mapping[str, Sequence[Table]], figures: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Tables and figures by section; figures are numbered as they are met, and their numbers stand in the text."""
    drawn: dict[str, list[dict[str, Any]]] = {part: [] for part in tables}
    for figure in figures:
        about = str(figure.get("about"))
        drawn[about if about in drawn else ""].append(dict(figure))
    for place, figure in enumerate(chain.from_iterable(drawn.values()), 1):
        figure["number"] = place
    sections = []
    for part in tables:
        title, lead = _PARTS.get(part) or asked_for(part.removeprefix(_ASKED))
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
