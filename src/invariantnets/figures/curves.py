"""Lines with whiskers through the measurements of several series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from invariantnets.figures.plots import colour, marker, whiskers
from invariantnets.results.select import Spread


def curves(
    axes: Axes,
    series: Mapping[str, Mapping[int, Spread]],
    scale: float,
    beside: Callable[[np.ndarray, float], np.ndarray],
) -> None:
    """Draw a line with whiskers for each series.

    Args:
        axes: where.
        series: name in the legend → place on the axis → its measurement. One without runs interrupts the line.
        scale: of what was measured.
        beside: places, and how many series to the right of the middle → where to draw, so that whiskers do not hide
            each other.
    """
    for i, (name, curve) in enumerate(series.items()):
        if not curve:
            continue
        bars = scale * np.array([whiskers(s.mean, s.low, s.high) for s in curve.values()]).T
        look: dict[str, Any] = {"color": colour(i), "marker": marker(i), "markersize": 4, "linewidth": 1.2}
        x = beside(np.array(list(curve), float), i - (len(series) - 1) / 2)
        axes.errorbar(x, [scale * s.mean for s in curve.values()], bars, capsize=2, label=name, **look)
