"""How much of a nuisance is read by how many labelled rows: without these, what is left is half a claim."""

from __future__ import annotations

from collections.abc import Sequence

from invariantnets.report.tables import Row, Table
from invariantnets.results.format import and_, bounded, count, written
from invariantnets.results.result import Result
from invariantnets.results.select import Runs, failed, over_runs, select
from invariantnets.results.words import metric_name, number, places_for

__all__ = ["OF_CURVE", "ROWS", "curve_tables", "has_curve", "short_curve"]

# Key of `Result.where`: how many rows of train and val the reader had.
ROWS = "labelled_rows"
# Of the whole curve, in the order in which they stand below it.
OF_CURVE = ("r2_heading", "description_length")


def curve_tables(results: Sequence[Result], targets: Sequence[str], *, folded: bool = False) -> list[Table]:
    """Of each nuisance, what the strongest honest probe reads with more and more labelled rows; none if not measured.

    Below it the R² that the curve is heading for, and the description length.

    Args:
        results: of one layer.
        targets: nuisances.
        folded: a table each, shown when asked for; else all in one.
    """
    parts = {t: rows for t in targets if (rows := _curve(results, t))}
    title = "How many labelled rows it takes to read {}"
    header = ("labelled rows", "R², 95 % interval", "chance", "shuffled control")
    shared = "test rows; the strongest honest probe, chosen and fitted anew on so many rows of train and val"
    if folded:
        return [Table(title.format(f"the {t}"), header, {"": rows}, shared, folded=True) for t, rows in parts.items()]
    name = f"the {and_(list(parts))}"
    headed = parts if len(parts) > 1 else {"": next(iter(parts.values()), [])}
    return [Table(title.format(name), header, headed, shared)] if parts else []


def has_curve(results: Sequence[Result], target: str) -> bool:
    """Whether it was measured."""
    return bool(select(results, "r2", target, "strongest", by=ROWS))


def _curve(results: Sequence[Result], target: str) -> list[Row]:
    found = select(results, "r2", target, "strongest", by=ROWS)
    points = sorted(found, key=lambda r: int(r.where[ROWS]))
    rows = [Row(count(int(r.where[ROWS])), _cells(r, "failed"), more=r.note) for r in points]
    for metric in OF_CURVE if rows else ():
        rows += [
            Row(metric_name(metric), _cells(r, "cannot be said"), more=r.note)
            for r in select(results, metric, target, "strongest")
        ]
    return rows


def _cells(r: Result, lost: str) -> tuple[str, str, str]:
    text = written(r)
    return (lost if failed(r) else bounded(r), text.chance, text.control)


def short_curve(runs: Runs, target: str) -> str:
    """The curve in one cell: rows and R², mean over runs, and what it is heading for; empty where not measured."""
    curve = over_runs(runs, "r2", target, "strongest", by=ROWS)
    parts = []
    for rows, spread in sorted(curve.items()):
        half = None if spread.low is None or spread.high is None else (spread.high - spread.low) / 2
        value = number(spread.mean, "r2", places=places_for("r2", half)) if spread.runs else "failed"
        parts.append(f"{count(int(rows))}: {value}")
    heading = over_runs(runs, "r2_heading", target, "strongest").get(None)
    if parts and heading is not None and heading.runs:
        parts.append(f"heading for {number(heading.mean, 'r2_heading')}")
    return "; ".join(parts)
