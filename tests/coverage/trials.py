"""How often intervals hold the truth: today's, and percentiles of a bootstrap, as they were made before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from invariantnets.randomness import numpy_rng
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling, draw

REPLICATES = 200  # of the old intervals
Ends = Mapping[str, tuple[float, float]]


class Found(NamedTuple):
    """What one sample gave: metric → ends of the interval."""

    old: Ends
    new: Ends


class Sample(NamedTuple):
    """Rows, and what is summed over them."""

    source: np.ndarray
    quantities: np.ndarray
    statistic: Callable[[np.ndarray], np.ndarray]
    numbers: Sequence[Number]


@dataclass(frozen=True)
class Case:
    """A population of which the truth is known.

    Attributes:
        about: its name.
        sources: independent sources of a sample.
        truth: metric → the number that the same predictor would have on all of the population.
        trial: draws one sample.
    """

    about: str
    sources: int
    truth: Mapping[str, float]
    trial: Callable[[np.random.Generator], Found]


class Held(NamedTuple):
    """Of one metric: how many trials, the share in which the truth was inside, and the mean width; old and new."""

    case: Case
    metric: str
    trials: int
    old: float
    new: float
    old_width: float
    new_width: float


@cache
def _counts(sources: int) -> np.ndarray:
    """Bootstrap draws, the same for all samples of as many sources."""
    return draw(sources, REPLICATES, numpy_rng(99, sources)).astype(np.float64)


def percentiles(sample: Sample, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends as before: 2.5 % and 97.5 % of replicates that draw sources with replacement."""
    source = np.unique(sample.source, return_inverse=True)[1]
    sums = np.stack([np.bincount(source, column) for column in sample.quantities.T], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = sample.statistic(_counts(len(sums)) @ sums)[:, :width]
    undefined = np.isnan(replicates).all(0)
    replicates = np.where(undefined, 0.0, replicates)
    of = np.nanpercentile if np.isnan(replicates).any() else np.percentile
    low, high = of(replicates, (2.5, 97.5), axis=0)
    return np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)


def of_sums(metrics: Sequence[str], sample: Sample) -> Found:
    """Both intervals of numbers that are made of sums over rows."""
    _, low, high = Resampling(sample.source).interval(sample.quantities, sample.statistic, sample.numbers)
    return Found(_ends(metrics, *percentiles(sample, len(metrics))), _ends(metrics, low, high))


def _ends(metrics: Sequence[str], low: np.ndarray, high: np.ndarray) -> dict[str, tuple[float, float]]:
    count = len(metrics)
    ends = zip(low[:count].tolist(), high[:count].tolist(), strict=True)
    return dict(zip(metrics, ends, strict=True))


def count(case: Case, trials: int, seed: int = 0) -> Iterator[Held]:
    """Draw samples and count. An interval that says nothing (NaN) has not held, and has no width."""
    found = [case.trial(numpy_rng(seed, trial)) for trial in range(trials)]
    for metric, truth in case.truth.items():
        shares, widths = [], []
        for ends in (np.array([f.old[metric] for f in found]), np.array([f.new[metric] for f in found])):
            shares.append(float(np.mean((ends[:, 0] - 1e-9 <= truth) & (truth <= ends[:, 1] + 1e-9))))
            widths.append(float(np.nanmean(ends[:, 1] - ends[:, 0])))
        yield Held(case, metric, trials, *shares, *widths)
