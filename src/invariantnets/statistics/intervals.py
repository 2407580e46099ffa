"""95 % intervals from a number, its scatter over independent sources, and what kind of number it is.

Each is Student's t on a scale on which the number scatters evenly and beyond whose ends it cannot go; shares have an
interval of their own. `docs/intervals.md` says how often they hold the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

__all__ = [
    "NOT_KNOWN",
    "Number",
    "Scatter",
    "bounds",
    "degrees_of_freedom",
    "effective_sources",
    "mean_bounds",
    "scaled",
    "share_bounds",
]

TAIL = 0.025
NOT_KNOWN = "no interval: of one source, or without any scatter, nothing can be said of others"
# Its reach on a logarithm, as a multiple of Fay and Feuer's: a mean of squares is no sum of counts (tests/coverage).
GAMMA = 1.3
_ROUNDING = 1e-24  # of a squared standard error
Array = np.ndarray


class Number(NamedTuple):
    """What a number is.

    Attributes:
        scale: ``share`` from 0 to 1; ``difference`` of two shares; ``below_one`` as R²; ``positive``; ``correlation``
            from -1 to 1; or ``any``.
        counts: columns of the quantities that say how many rows it is of; of several, such as positives and negatives,
            it needs all.
        parts: places of the shares, in the same list, that it is the mean of; it then needs no counts of its own.
    """

    scale: Literal["share", "difference", "below_one", "positive", "correlation", "any"]
    counts: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()


class Scatter(NamedTuple):
    """How far a number scatters, if the sources were others.

    Attributes:
        variance: squared standard error.
        sources: among how many sources of equal say that is spread: 3 (Σu²)² / Σu⁴ of their influences u, which is as
            many as there are if these are normal, and few if few of them matter.
        lean: Σu³ / (Σu²)^1.5, above 0 if single sources raise it far and none lowers it as much.
    """

    variance: float
    sources: float
    lean: float = 0.0


class _Scale(NamedTuple):
    to: Callable[[Array], Array]
    back: Callable[[Array], Array]
    slope: Callable[[Array], Array]


_SCALES = {
    "any": _Scale(lambda x: x, lambda x: x, np.ones_like),
    "positive": _Scale(np.log, np.exp, lambda x: 1 / x),
    # The ratio of two mean squares: its logarithm.
    "below_one": _Scale(lambda x: np.log(1 - x), lambda x: -np.expm1(x), lambda x: -1 / (1 - x)),
    "correlation": _Scale(np.arctanh, np.tanh, lambda x: 1 / (1 - x**2)),  # Fisher (1915)
    "share": _Scale(lambda x: x, lambda x: x, np.ones_like),
    "difference": _Scale(lambda x: x, lambda x: np.clip(x, -1, 1), np.ones_like),
}


def scaled(kind: Number, value: Array) -> Array:
    """Values on the scale on which they scatter evenly."""
    return _SCALES[kind.scale].to(value)


def effective_sources(rows: Array) -> Array:
    """Sources of equal size that would be worth those that there are (Kish 1965).

    Args:
        rows: ``(S, C)`` how many each source has.

    Returns:
        ``(C,)``; 0 where there are none.
    """
    squares = (rows**2).sum(0)
    return np.divide(rows.sum(0) ** 2, squares, out=np.zeros(rows.shape[1]), where=squares > 0)


def worth(effective: Array) -> Array:
    """Of independent rows, the part that is left where their scatter is known from so many sources: (z / t)².

    Args:
        effective: sources, as by `effective_sources`.
    """
    from scipy.special import stdtrit

    found: Array = (_t(np.inf) / stdtrit(np.maximum(effective - 1, 1.0), 1 - TAIL)) ** 2
    return found


def degrees_of_freedom(effective: Array) -> float:
    """Of a number that needs rows of several sides, each of which scatters with one over its sources (Welch 1947).

    Args:
        effective: ``(C,)`` sources of each side.
    """
    share = 1 / effective
    return float(share.sum() ** 2 / (share**2 / np.maximum(effective - 1, 0.5)).sum())


def bounds(kind: Number, value: float, plain: Scatter, even: Scatter, effective: Array) -> tuple[float, float]:
    """Low and high end of the interval.

    Args:
        kind: what the number is.
        value: the number.
        plain: its scatter.
        even: that on its scale; NaN where that has no value for some.
        effective: ``(C,)`` sources of each of its counts, as by `effective_sources`.

    Returns:
        NaN where nothing can be said.
    """
    if not np.isfinite(value) or effective.min() <= 0:
        return np.nan, np.nan
    freedom = max(degrees_of_freedom(effective), 1.0)
    if kind.scale == "share":
        return share_bounds(value, plain, float(effective.min()), freedom, alone=effective.min() < 1.5)
    if kind.scale != "difference" and len(effective) == 1 and effective[0] < 1 + 1e-9:  # one source knows no others
        return np.nan, np.nan
    scale = _SCALES[kind.scale]
    if kind.scale == "below_one" and value == 1:
        # No error at all: as if a source that is read wrongly were read as badly as by the mean.
        return float(TAIL ** (1 / effective.min())), 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        centre, slope = float(scale.to(np.float64(value))), float(scale.slope(np.float64(value)))
    if not np.isfinite(centre):
        return np.nan, np.nan
    use = even
    if not np.isfinite(even.variance):
        use = Scatter(plain.variance * slope**2, plain.sources, plain.lean * float(np.sign(slope)))
    # Of few sources the fourth power is too small, so that fewer matter than it says: three quarters hold the truth.
    reach = _t(min(freedom, max(0.75 * use.sources - 1, 3.0))) * use.variance**0.5
    # Sources that move it far are rare, so that they may be missing here: it reaches further there (Johnson 1978).
    further = use.lean * (1 + 2 * _t(max(freedom, 3.0)) ** 2) / 6 * use.variance**0.5
    if kind.scale == "difference":  # of few sources, the same in all: one that differs need not have been seen
        reach = max(reach, 1 - TAIL ** (1 / float(effective.min())))
    above = reach + max(further, 0)
    if kind.scale in ("below_one", "positive"):  # a logarithm
        above = min(above, GAMMA * _gamma_reach(plain.variance * slope**2, plain.sources) * _t(freedom) / _t(np.inf))
    with np.errstate(over="ignore"):
        reached = np.array([centre - reach + min(further, 0), centre + above])
        ends = scale.back(reached).tolist()
    return min(*ends, value), max(*ends, value)  # there and back, a value may lose its last digit


def _gamma_reach(variance: float, sources: float) -> float:
    """How far up a sum of weighted counts reaches, as a logarithm (Fay and Feuer 1997).

    Where one row holds most of the error, t on the logarithm reaches a hundred times as far as there is any reason for.

    Args:
        variance: of the sum, as a part of its square.
        sources: that matter, as in `Scatter`: of them follows what the largest is, at most.
    """
    from scipy.special import gammaincinv

    if not variance > 0:
        return np.inf
    largest = variance**0.5 * (3 / sources) ** 0.25
    mean, spread = 1 + largest, variance + largest**2
    return float(np.log(spread / mean * gammaincinv(mean**2 / spread, 1 - TAIL)))


def share_bounds(
    value: float, scatter: Scatter, most: float, freedom: float, alone: bool = False
) -> tuple[float, float]:
    """Ends of the interval of a share: that of as many independent rows as would scatter as much.

    By Clopper and Pearson (1934); of rows in clusters Korn and Graubard (1998).

    Args:
        value: from 0 to 1.
        scatter: how far it scatters.
        most: sources that it would be of, if all rows of a source were right or wrong together.
        freedom: degrees of freedom of the scatter.
        alone: whether one of its sides has one source only, so that how far this scatters is not known.
    """
    worst, seen = value * (1 - value) / most, scatter.variance
    if seen < _ROUNDING or worst <= 0:
        rows = most
    else:
        # Where few sources are wrong, how much they are wrong together is hardly known.
        rows = value * (1 - value) / (seen * max(1.0, worst / seen) ** (1.0 if alone else 1 / scatter.sources))
        rows *= (_t(np.inf) / _t(freedom)) ** 2
    from scipy.special import betaincinv

    right, wrong = value * rows, (1 - value) * rows
    low = float(betaincinv(right, wrong + 1, TAIL)) if value > 0 else 0.0
    high = float(betaincinv(right + 1, wrong, 1 - TAIL)) if value < 1 else 1.0
    return low, high


def mean_bounds(
    value: float, variance: float, parts: Sequence[tuple[float, float, float]], variances: Sequence[float]
) -> tuple[float, float]:
    """Ends of the interval of a mean of shares, from those of the shares (Zou and Donner 2008).

    Where nobody of a few is right, the scatter of their share is 0, the reach of its interval is not.

    Args:
        value: the mean.
        variance: its squared standard error.
        parts: value, low and high of each share; one that is not defined has no say.
        variances: squared standard error of each.
    """
    middle, low, high = np.array([p for p in parts if np.isfinite(p[0])]).reshape(-1, 3).T
    if not np.isfinite(value):
        return np.nan, np.nan
    # Shares of the same sources are not independent: by as much as the mean scatters more, or less.
    independent = float(np.nansum(variances)) / len(middle) ** 2
    related = variance / independent if independent > _ROUNDING else 1.0
    below, above = (float(np.sqrt(related * (reach**2).sum())) / len(middle) for reach in (middle - low, high - middle))
    return max(value - below, 0.0), min(value + above, 1.0)


def _t(freedom: float) -> float:
    from scipy.special import stdtrit  # here: to import the package takes a tenth of a second, and so would this

    return float(stdtrit(freedom, 1 - TAIL))
