"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from invariantnets.results.result import Result
from invariantnets.results.select import Runs, Spread, select
from invariantnets.results.words import NONE, interval, number, places_for

__all__ = ["Written", "and_", "bounded", "chance", "count", "fitted", "span", "summary", "written"]


class Written(NamedTuple):
    """A result as text, its numbers with as many decimals as the interval lets the value carry."""

    value: str
    interval: str
    chance: str
    control: str
    selectivity: str


def written(r: Result, unit: str = "") -> Written:
    """A result beside what guessing gives, in digits that can be compared.

    Args:
        r: the result.
        unit: of its nuisance.
    """
    half = None if r.low is None or r.high is None else (r.high - r.low) / 2
    places = places_for(r.metric, half, abs(r.value))
    return Written(
        number(r.value, r.metric, unit, places=places),
        interval(r.low, r.high, r.metric, places),
        _guess(r.chance, r.metric, unit, places),
        number(r.control, r.metric, unit, places=places),
        number(r.selectivity, r.metric, unit, places=places),
    )


def bounded(r: Result, unit: str = "") -> str:
    """A value with its interval, where it has one."""
    text = written(r, unit)
    return text.value if text.interval == NONE else f"{text.value} {text.interval}"


def and_(names: Sequence[str]) -> str:
    """Names as a list in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _guess(value: float | None, metric: str, unit: str, places: int | None = None) -> str:
    """What guessing gives: a small chance is not shown as none."""
    if value and math.isfinite(value):
        found = (places, places_for(metric, None, abs(value)), places_for(metric, abs(value)))
        places = max((p for p in found if p is not None), default=None)
    return number(value, metric, unit, places=places)


def summary(spread: Spread | None, metric: str, unit: str = "", places: int | None = None) -> str:
    """A group's cell: mean ± s.d. over seeds, or one run's value with its interval; failures are named."""
    if spread is None:
        return NONE
    total = spread.runs + spread.failed
    if not spread.runs:
        return f"failed ({spread.failed} of {total})"
    half = None if spread.low is None or spread.high is None else (spread.high - spread.low) / 2
    if places is None:
        places, own = (places_for(metric, h, abs(spread.mean)) for h in (half, None))
        if spread.deviation is not None and places is not None and own is not None:
            places = min(places, own + 1)  # a few seeds may agree by luck: that is no precision
    text = number(spread.mean, metric, unit, places=places)
    if spread.deviation is not None:
        bare = number(spread.mean, metric, bare=True, places=places)
        text = f"{bare} ± {number(spread.deviation, metric, bare=True, places=places)}{text.removeprefix(bare)}"
    elif spread.low is not None:
        text += f" {interval(spread.low, spread.high, metric, places)}"
    return text + (f" ({spread.failed} of {total} failed)" if spread.failed else "")


def chance(runs: Runs, metric: str, target: str, probe: str, unit: str = "") -> str:
    """What guessing gives of one measurement: one value, or the lowest and the highest of several."""
    values = [r.chance for results in runs for r in select(results, metric, target, probe) if r.chance is not None]
    texts = list(dict.fromkeys(_guess(v, metric, unit) for v in sorted(values)))
    return " to ".join(texts[:1] + texts[1:][-1:]) or NONE


def count(value: int | None) -> str:
    """A number of rows with its thousands apart."""
    return NONE if value is None else f"{value:,}"


def span(counts: Sequence[int]) -> str:
    """One number, or the least and the most of several; ``–`` for none."""
    if not counts:
        return NONE
    return count(min(counts)) if min(counts) == max(counts) else f"{count(min(counts))} to {count(max(counts))}"


def fitted(rows: Sequence[Result]) -> str:
    """The rows that their readers were fitted to, to stand behind n: what is left depends on them. Empty if unknown."""
    sizes = [r.n_fit for r in rows if r.n_fit is not None]
    return f", fitted to {span(sizes)} rows" if sizes else ""
