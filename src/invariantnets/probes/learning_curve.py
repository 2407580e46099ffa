"""Where a learning curve is heading: R² = a - b n^-c, fitted to what was measured and followed one decade further."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.randomness import numpy_rng

__all__ = ["Heading", "curve_at", "fit_power_law", "heading"]

POWERS = np.logspace(-1.5, 0.5, 201)
# The law holds of many rows (Hestness et al. 2017); of the first ones, few of which are any use, others do.
DECADES = 2.5
AHEAD = 10
# What is asked of a fit that is believed: points, how far off it foretells the last from those before, and its range.
MIN_POINTS = 5
TOLERANCE = 0.02
WIDEST = 0.1
REPLICATES = 1000


@dataclass(frozen=True)
class Heading:
    """Where a curve goes.

    Attributes:
        rows: so many rows it speaks of.
        value: R² there; NaN: it cannot be said.
        low, high: its 95 % range.
        law: a, b and c.
        why: it cannot be said, in words.
    """

    rows: int
    value: float
    low: float
    high: float
    law: tuple[float, float, float]
    why: str = ""


def fit_power_law(rows: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Least squares of a - b n^-c, with a of at most 1 and b of at least 0: R² ends below 1, and labels do no harm.

    Args:
        rows: ``(S,)`` n.
        curves: ``(R, S)`` R² of each.

    Returns:
        ``(R, 3)`` a, b and c, the best of `POWERS`.
    """
    # In units of the last n, so that b is of the size of the curve; turned back below.
    falls = (rows / rows[-1]) ** -POWERS[:, None]
    mean, centre = curves.mean(1), falls.mean(1)
    away = falls - centre[:, None]
    b = np.maximum(-(curves @ away.T) / (away**2).sum(1), 0)
    a = mean[:, None] + b * centre
    held = np.maximum(((1 - curves) @ falls.T) / (falls**2).sum(1), 0)
    a, b = np.where(a > 1, 1, a), np.where(a > 1, held, b)
    error = ((curves[:, None] - (a[:, :, None] - b[:, :, None] * falls)) ** 2).sum(2)
    best, at = error.argmin(1), np.arange(len(curves))
    c = POWERS[best]
    return np.stack([a[at, best], b[at, best] * float(rows[-1]) ** c, c], 1)


def curve_at(law: np.ndarray, rows: np.ndarray | float) -> np.ndarray:
    """R² of ``(…, 3)`` laws at some numbers of rows."""
    found: np.ndarray = law[..., 0] - law[..., 1] * np.asarray(rows, np.float64) ** -law[..., 2]
    return found


def heading(rows: np.ndarray, curve: np.ndarray, half: np.ndarray, seed: int) -> Heading:
    """Where a curve goes, ten times as many rows as there were, if that can be said.

    Its range is that of laws fitted to the curve with errors of the size that the points have: of their intervals, and
    of what the law leaves of them.

    Args:
        rows: ``(S,)`` n, ascending.
        curve: ``(S,)`` R².
        half: ``(S,)`` half of the width of the 95 % interval of each.
        seed: of the errors.
    """
    late = rows >= rows[-1] / 10**DECADES
    rows, curve, half = rows[late].astype(np.float64), curve[late], half[late]
    to = int(AHEAD * rows[-1])
    unknown = (float("nan"),) * 3
    if len(rows) < MIN_POINTS:
        return Heading(to, *unknown, unknown, f"{len(rows)} sizes were measured where the law holds, not {MIN_POINTS}")
    (law,), (before,) = fit_power_law(rows, curve[None]), fit_power_law(rows[:-1], curve[None, :-1])
    # Three numbers were fitted.
    left = np.sqrt(((curve - curve_at(law, rows)) ** 2).sum() / (len(rows) - 3))
    errors = numpy_rng(seed, 20).normal(size=(REPLICATES, len(rows))) * np.hypot(half / 1.96, left)
    low, high = np.percentile(curve_at(fit_power_law(rows, curve + errors), to), (2.5, 97.5))
    off = float(curve_at(before, rows[-1]) - curve[-1])
    why = ""
    if abs(off) > TOLERANCE + half[-1]:
        why = f"the law of the sizes before misses the last by {abs(off):.2f}"
    elif high - low > WIDEST:
        why = f"anything from {low:.2f} to {high:.2f} fits"
    found = tuple(map(float, law))
    return Heading(
        to,
        float("nan") if why else float(curve_at(law, to)),
        float(low),
        float(high),
        (found[0], found[1], found[2]),
        why,
    )
