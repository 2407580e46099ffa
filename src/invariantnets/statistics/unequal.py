"""How unequal rates of groups are once what chance adds is taken off, with intervals: a test turned round.

A measure of inequality is pushed from equality by chance. So it is asked which true rates would give what was measured:
groups whose rates differ as the measured ones do, but less or more (all log rates are drawn together or apart, and all
errors of all groups stay as many), are drawn again and again. Where half of the draws are more unequal than measured
stands the estimate; where 2.5 % are, and where 2.5 % are less, the ends of the interval (inversion of a test along one
line: DiCiccio and Romano 1990). Equal groups lie on the line, so that an interval may end at equality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.intervals import TAIL

__all__ = ["Estimate", "Side", "corrected", "of_both"]

# Draws at each place of the line: so many over all of it, which reaches so many standard errors beyond what was
# measured, and as many within these.
DRAWS = 1000
_PLACES = 13
_REACH = 4.0
_LEAST_ROWS = 5
Measure = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """An inequality without what chance adds, and the ends of its 95 % interval; infinite where nothing bounds it."""

    value: float
    low: float
    high: float


class Side:
    """One kind of error in all groups."""

    def __init__(self, rates: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Draw groups whose rates differ more and more.

        Args:
            rates: ``(G,)`` as measured, not all 0.
            rows: ``(G,)`` independent pairs that would scatter as much.
            rng: draws.
        """
        self.rates, self.rows, self.rng = rates, rows, rng
        # Half an error more, lest a logarithm be infinite.
        logs = np.log((rows * rates + 0.5) / (rows + 1))
        self.spread = float(logs.std())  # of log rates, as measured
        rate = (rows * rates).sum() / rows.sum()
        self.noise = float(np.sqrt(np.mean((1 - rate) / (rows * rate))))  # standard error of each, if they are equal
        # Of equal ones any direction is as good.
        away = logs - logs.mean() if self.spread > 1e-9 else np.linspace(-1, 1, len(logs))
        self._direction = away / away.std()
        self.line = _places(self.spread, self.noise)
        self.on_line, self.at_measured = self.drawn(self.line), self.drawn(np.array([self.spread]))

    @property
    def known(self) -> bool:
        """Whether of every group an independent error is to be expected, if they are equal, and there are some rows."""
        rate = (self.rows * self.rates).sum() / self.rows.sum()
        return bool((self.rows * rate).min() >= 1 and self.rows.min() >= _LEAST_ROWS)

    def at(self, spread: np.ndarray) -> np.ndarray:
        """True rates ``(L, G)`` of groups that differ by so much, ``(L,)``, in the direction of the measured ones."""
        apart = np.exp(spread[:, None] * self._direction)
        rates: np.ndarray = apart * (self.rows * self.rates).sum() / (apart @ self.rows)[:, None]
        return np.minimum(rates, 1.0)

    def drawn(self, spread: np.ndarray) -> np.ndarray:
        """What is measured of groups with these true rates, ``(L, DRAWS, G)``."""
        rows = np.maximum(np.round(self.rows), 1).astype(np.int64)
        return self.rng.binomial(rows, np.repeat(self.at(spread)[:, None], DRAWS, 1)) / rows


def corrected(side: Side, measure: Measure, most: float) -> tuple[Estimate, float]:
    """A measure of one kind of error without what chance adds.

    The high end is above what was measured at least by as much as the middle draw is above the lowest 2.5 %: of many
    groups the measured direction has some of chance in it, and the line alone would end too low.

    Args:
        side: the rates.
        measure: ``(…, G)`` → ``(…,)``, more is more unequal; finite of the measured rates.
        most: what it can be at most.

    Returns:
        the estimate, and the spread of log rates at which it is.
    """
    seen = float(measure(side.rates))
    along = measure(side.at(side.line))
    more, less = _tails(measure(side.on_line), seen)
    middle = _crossing(side.line, (more + 1 - less) / 2, 0.5)  # half of those that are equal are above
    low = float(np.interp(_crossing(side.line, more, TAIL), side.line, along))
    value = max(float(np.interp(middle, side.line, along)), low)
    end = _crossing(side.line, 1 - less, 1 - TAIL)
    if less[-1] < TAIL:
        high = float(np.interp(end, side.line, along))
    else:  # even where one group has all errors, so few would be measured as unequal
        high = float(along.max()) if np.isfinite(most) else most
    again = measure(side.at_measured[0])
    again = np.sort(again[~np.isnan(again)])
    down, half = again[int(TAIL * len(again))], again[len(again) // 2]
    high = max(high, seen + half - down) if np.isfinite(half) else most
    return Estimate(value, low, min(max(high, value), most)), middle


def of_both(sides: Sequence[Side], measure: Measure, most: float, weights: Sequence[float]) -> Estimate:
    """A weighted sum of a measure of two kinds of error, without what chance adds to it.

    Its low end is of both at once, along the line from equality through the estimates. Its high end is put together
    from theirs (Zou and Donner 2008), which at equality would not do for the low one.

    Args:
        sides: of each kind.
        measure: as of `corrected`.
        most: likewise.
        weights: of each kind; their sum is 1.
    """
    parts = [corrected(side, measure, most) for side in sides]
    value = sum(w * e.value for w, (e, _) in zip(weights, parts, strict=True))
    above = np.sqrt(sum((w * (e.high - e.value)) ** 2 for w, (e, _) in zip(weights, parts, strict=True) if w))
    spreads = [max(spread, 0.1 * side.noise) for side, (_, spread) in zip(sides, parts, strict=True)]
    steps = _places(1.0, min(max(side.noise / s for side, s in zip(sides, spreads, strict=True)), 0.25))
    drawn, along = np.zeros((len(steps), DRAWS)), np.zeros(len(steps))
    for weight, side, spread in zip(weights, sides, spreads, strict=True):
        line = steps * spread
        drawn += weight * measure(side.drawn(line))
        along += weight * measure(side.at(line))
    seen = sum(w * float(measure(side.rates)) for w, side in zip(weights, sides, strict=True))
    more, _ = _tails(drawn, float(seen))
    low = float(np.interp(_crossing(steps, more, TAIL), steps, along))
    return Estimate(float(value), min(low, float(value)), float(value + above))


def _places(middle: float, error: float) -> np.ndarray:
    """From 0 to beyond the middle, closer together about it."""
    near = middle + error * np.linspace(-_REACH, _REACH, _PLACES)
    return np.unique(np.concatenate([np.linspace(0, near[-1], _PLACES), np.maximum(near, 0)]))


def _tails(drawn: np.ndarray, seen: float) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the draws ``(L, D)`` at least, and at most, as unequal as measured; the first rises along the line."""
    known = ~np.isnan(drawn)
    count = np.maximum(known.sum(1), 1)
    edge = 1e-9 * abs(seen)
    more = (known & (drawn >= seen - edge)).sum(1) / count
    less = (known & (drawn <= seen + edge)).sum(1) / count
    return np.maximum.accumulate(more), np.minimum.accumulate(less)


def _crossing(line: np.ndarray, rising: np.ndarray, level: float) -> float:
    """Where a share that rises along a line comes to a level; an end of the line if it does not."""
    place = int(np.searchsorted(rising, level))
    if place == 0 or place == len(line):
        return float(line[min(place, len(line) - 1)])
    below, above = rising[place - 1], rising[place]
    return float(line[place - 1] + (line[place] - line[place - 1]) * (level - below) / (above - below))
