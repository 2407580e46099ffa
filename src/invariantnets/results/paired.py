"""What two groups of runs differ by, measured in pairs: of the same sources, within each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.results.result import Result
from invariantnets.results.runs import Group, Run
from invariantnets.results.select import astray, failed, select
from invariantnets.results.words import NONE, interval, number

__all__ = ["HOW", "Less", "less"]

HOW = (
    "In brackets the 95 % interval of the difference, over other images or people (both are measured on the "
    "same draws of them) and, of several seeds, over other seeds; without such draws over seeds alone. Two seeds say "
    "little of others, so that their interval is very wide; three or more help."
)
What = tuple[str, str, str]


@dataclass(frozen=True)
class Less:
    """What one group has less another: one number a seed that both have.

    Attributes:
        values: of each seed.
        variance: squared standard error of their mean over other sources; None where it is not known.
        sources: among how many.
    """

    values: tuple[float, ...]
    variance: float | None = None
    sources: int = 0

    @property
    def seeds(self) -> int:
        """How many both have."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Over seeds; NaN for none."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def bounds(self) -> tuple[float, float] | None:
        """95 % of the mean; None where nothing is known.

        Sources and seeds each have a half width of their own, by Student's t; these are added in quadrature. One t of
        pooled degrees of freedom (Welch 1947) would be usual, but of two seeds, which may agree by chance, it holds
        the truth in 87 of 100; this one in 95 or more.
        """
        from scipy.special import stdtrit  # here: to import it takes a tenth of a second

        parts = [(self.variance, self.sources - 1)] if self.variance is not None and self.sources > 1 else []
        if self.seeds > 1:
            parts.append((float(np.var(self.values, ddof=1)) / self.seeds, self.seeds - 1))
        if not parts:
            return None
        half = math.sqrt(sum(variance * float(stdtrit(df, 0.975)) ** 2 for variance, df in parts))
        return self.mean - half, self.mean + half

    def text(self, metric: str, places: int) -> str:
        """A cell: points of per cent, or of R²."""
        if not self.values:
            return NONE
        said = number(self.mean, metric, bare=True, places=places)
        said = said if said.startswith("−") else f"+{said}"
        if self.seeds > 1:
            said += f" ± {number(float(np.std(self.values, ddof=1)), metric, bare=True, places=places)}"
        elif self.bounds is None:
            said += " (one seed)"
        return said if self.bounds is None else f"{said} {interval(*self.bounds, metric, places)}"


def less(group: Group, base: Group, what: What) -> Less:
    """Metric, target and probe of a group, less those of a base, in the seeds of which both say something.

    Args:
        group: of a sweep.
        base: of the same sweep.
        what: metric, target and probe.
    """
    mine, theirs = _by_seed(group.runs, what), _by_seed(base.runs, what)
    pairs = [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]
    values = tuple(a.value - b.value for a, b in pairs)
    draws = [np.subtract(a.draws, b.draws) for a, b in pairs if _same_sources(a, b)]
    sources = min((a.sources for a, _ in pairs), default=0)
    if not draws or len(draws) < len(pairs) or len({len(d) for d in draws}) > 1 or sources < 2:
        return Less(values)
    # Seeds are measured on the same draws too: their mean in each.
    variance = float(np.nanvar(np.mean(draws, 0))) * sources / (sources - 1)
    return Less(values, variance, sources)


def _same_sources(a: Result, b: Result) -> bool:
    return bool(len(a.draws)) and (len(a.draws), a.n, a.sources) == (len(b.draws), b.n, b.sources)


def _by_seed(runs: Sequence[Run], what: What) -> Mapping[object, Result]:
    """Seeds → what was measured, where it says something."""
    found: dict[object, Result] = {}
    for run in runs:
        for result in select(run.here, *what):
            if not failed(result) and not astray(result):
                found[run.seeds] = result
    return found
