"""Measurements that were asked for as tables: a row for each target and part, a column for each reader and metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from invariantnets.report.tables import Row, Table
from invariantnets.results.format import bounded, count
from invariantnets.results.result import Result
from invariantnets.results.words import NONE, metric_name, probe_name

__all__ = ["analysis_tables"]


def analysis_tables(results: Sequence[Result], units: Mapping[str, str]) -> Iterator[Table]:
    """One of each title, in their order.

    Args:
        results: of one layer.
        units: nuisance → unit.
    """
    titles: dict[str, list[Result]] = {}
    for r in results:
        if r.about == "analysis":
            titles.setdefault(r.title, []).append(r)
    for title, found in titles.items():
        yield _table(title, found, units)


def _table(title: str, found: Sequence[Result], units: Mapping[str, str]) -> Table:
    cells: dict[tuple[str, str], dict[str, Result]] = {}
    columns: dict[str, None] = {}
    several = len({r.probe for r in found}) > 1
    for r in found:
        column = f"{metric_name(r.metric)}, {_reader(r)}" if several and _reader(r) else metric_name(r.metric)
        part = ", ".join(f"{key}: {value}" for key, value in r.where.items())
        cells.setdefault((r.target, part), {})[column] = r
        columns.setdefault(column)
    guessed = [c for c in columns if any(row[c].chance is not None for row in cells.values() if c in row)]
    rows: dict[str, list[Row]] = {}
    one = len({target for target, _ in cells}) == 1
    # Of many targets of one row each, the rows are called as the targets are.
    flat = not one and len({target for target, _ in cells}) == len(cells)
    same = len({part for _, part in cells}) == 1
    for (target, part), row in cells.items():
        values = (bounded(row[c], units.get(target, "")) if c in row else NONE for c in columns)
        chances = (_chance(row[c], units.get(target, "")) if c in row else NONE for c in guessed)
        name = part or (target if one else "all")
        if flat:
            name = target if same or not part else part if part.startswith(f"{target}: ") else f"{target}, {part}"
        rows.setdefault("" if one or flat else target, []).append(Row(name, (_rows(row), *values, *chances)))
    header = ("of what", "n (independent)", *columns, *(f"chance: {c}" for c in guessed))
    notes = "; ".join(dict.fromkeys(r.note for r in found if r.note))
    return Table(title, header, rows, notes, stacked=True)


def _reader(r: Result) -> str:
    """What stands behind the slash of a probe."""
    tail = r.probe.partition("/")[2]
    return probe_name(tail) if tail else ""


def _rows(row: Mapping[str, Result]) -> str:
    """How many rows the results of a row are of."""
    pairs = dict.fromkeys((r.n, r.sources) for r in row.values())
    return " / ".join(f"{count(n)} ({count(s)})" if s else count(n) for n, s in pairs)


def _chance(r: Result, unit: str) -> str:
    return NONE if r.chance is None else bounded(replace(r, value=r.chance, low=None, high=None), unit)
