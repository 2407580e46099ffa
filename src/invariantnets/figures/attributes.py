"""How well each of many attributes, present or absent, can be told: one row each, best first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, clipped, colour, marker, new_axes, whiskers
from invariantnets.results.result import Result
from invariantnets.results.select import failed, nuisances, select

__all__ = ["MANY", "areas", "draw"]

# So many attributes have a figure of their own kind.
MANY = 6
_CAPTION = (
    "How well each attribute can be told from the features, by the strongest honest probe, chosen by its R² out "
    "of fold. AUC: how often a picture that shows it is scored above one that does not, 0.5 for guessing and 1 "
    "for a perfect reading, however rare it is; of several classes each against the rest. Hollow: the interval holds "
    "chance, which says nothing about invariance. Grey ticks: the shuffled control. Where there is nothing to tell, "
    "one whisker in forty lies right of the line by luck. Whiskers: {whiskers}, or over classes where the attribute "
    "never varies within a class (marked *). Not shown: those whose every probe failed."
)


def areas(scene: Scene) -> list[Result]:
    """Of a run, the AUC of the strongest honest probe of each nuisance that has one, if there are many, worst first."""
    every = [r for target in nuisances(scene.run) for r in select(scene.run, "auc", target, "strongest")]
    found = [r for r in every if not failed(r)]
    return sorted(found, key=lambda r: r.value) if len(found) >= MANY else []


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where there are many binary or categorical nuisances."""
    rows = areas(scene)
    if not rows:
        return
    figure, axes = new_axes(0.9 + 0.17 * len(rows))
    for place, r in enumerate(rows):  # the axis counts from below
        bar, sure = np.array([whiskers(r.value, r.low, r.high)]).T, r.low is not None and r.low > 0.5
        face = colour(0) if sure else "white"
        axes.errorbar(r.value, place, xerr=bar, fmt=marker(0), color=colour(0), mfc=face, markersize=4, elinewidth=0.9)
    controls = [(r.control, place) for place, r in enumerate(rows) if r.control is not None]
    axes.plot(*np.array(controls).reshape(-1, 2).T, "|", color=GREY, markersize=6)
    axes.axvline(0.5, color=GREY, linestyle="--", linewidth=1)
    names = [clipped(r.target, 22) + (" *" if r.fixed else "") for r in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(right=1.02)
    axes.set_xlabel("AUC (strongest honest probe; chance 0.5)")
    caption = _CAPTION.format(whiskers=scene.whiskers)
    yield Drawn("attributes.svg", figure, "What can be told of each attribute", caption, "leaks")
