"""Measurements that were asked for as tables: a row for each target and part, a column for each reader and metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from invariantnets.analysis import ANALYSES, Analysis
from invariantnets.report.tables import Row, Table
from invariantnets.results.format import bounded, count
from invariantnets.results.result import Result
from invariantnets.results.words import NONE, metric_name, probe_name

if TYPE_CHECKING:
    from invariantnets.inspection import Inspection

__all__ = ["analysis_tables", "asked_for"]

# A longer table is shown when asked for.
ROWS = 24


def asked_for(name: str) -> tuple[str, str]:
    """Title and lead of the part of an analysis."""
    known: Mapping[str, Callable[[], Analysis | Inspection]] = ANALYSES
    if name not in known:
        from invariantnets.inspection import INSPECTIONS  # here: it loads torch, which other reports do without

        known = INSPECTIONS
    return known[name]().title if name in known else name, f"Asked for by its name, {name}."


def analysis_tables(results: Sequence[Result], units: Mapping[str, str]) -> dict[str, list[Table]]:
    """Name of an analysis → its tables, one of each title, in their order.

    Args:
        results: of one layer.
        units: nuisance → unit.
    """
    found: dict[str, dict[str, list[Result]]] = {}
    for r in results:
        if r.about == "analysis":
            found.setdefault(r.probe.partition("/")[0], {}).setdefault(r.title, []).append(r)
    tables = {name: [_table(title, of, units) for title, of in titles.items()] for name, titles in found.items()}
    # One that is called as its part is, is not called so twice.
    return {
        name: [replace(t, title="") if t.title == asked_for(name)[0] and not t.folded else t for t in of]
        for name, of in tables.items()
    }


def _table(title: str, found: Sequence[Result], units: Mapping[str, str]) -> Table:
    cells: dict[tuple[str, str], dict[str, Result]] = {}
    columns: dict[str, None] = {}
    several = len({r.probe for r in found}) > 1
    for r in found:
        column = f"{metric_name(r.metric)}, {_reader(r)}" if several and _reader(r) else metric_name(r.metric)
        part = ", ".join(f"{key}: {value}" for key, value in r.where.items())
        cells.setdefault((r.target, part), {})[column] = r
        columns.setdefault(column)
    chances = {c: dict.fromkeys(_chance(row[c], units) for row in cells.values() if c in row) for c in columns}
    # One chance for all is said once, in the last row; where rows differ, it has a column of its own.
    own = [c for c in columns if len(chances[c]) > 1]
    shared = {c: next(iter(chances[c])) for c in columns if c not in own}
    last = (
        ("", *(shared.get(c, "") for c in columns), *("" for _ in own))
        if any(v != NONE for v in shared.values())
        else ()
    )
    rows: dict[str, list[Row]] = {}
    one = len({target for target, _ in cells}) == 1
    # Of many targets of one row each, the rows are called as the targets are.
    flat = not one and len({target for target, _ in cells}) == len(cells)
    same = len({part for _, part in cells}) == 1
    for (target, part), row in cells.items():
        values = (bounded(row[c], units.get(target, "")) if c in row else NONE for c in columns)
        guesses = (_chance(row[c], units) if c in row else NONE for c in own)
        name = part or (target if one else "all")
        if flat:
            name = target if same or not part else part if part.startswith(f"{target}: ") else f"{target}, {part}"
        rows.setdefault("" if one or flat else target, []).append(Row(name, (_rows(row), *values, *guesses)))
    header = ("of what", "n (independent)", *columns, *(f"chance: {c}" for c in own))
    notes = "; ".join(dict.fromkeys(part for r in found for part in r.note.split("; ") if part))
    return Table(title, header, rows, notes, last, folded=len(cells) > ROWS, stacked=True)


def _reader(r: Result) -> str:
    """What stands behind the slash of a probe."""
    tail = r.probe.partition("/")[2]
    return probe_name(tail) if tail else ""


def _rows(row: Mapping[str, Result]) -> str:
    """How many rows the results of a row are of."""
    pairs = dict.fromkeys((r.n, r.sources) for r in row.values())
    return " / ".join(f"{count(n)} ({count(s)})" if s else count(n) for n, s in pairs)


def _chance(r: Result, units: Mapping[str, str]) -> str:
    if r.chance is None:
        return NONE
    return bounded(replace(r, value=r.chance, low=None, high=None), units.get(r.target, ""))
