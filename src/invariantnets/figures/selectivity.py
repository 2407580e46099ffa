"""What each honest probe reads of each nuisance, beside what it makes of values without a meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, LEAST_R2, colour, entry, legend_above, marker, new_axes, no_less, whiskers
from invariantnets.results.select import failed, select
from invariantnets.results.words import probe_name

__all__ = ["draw"]

_CAPTION = (
    "What each honest probe reads of each nuisance, and, as a grey tick, its shuffled control: the same probe fitted "
    "and tested on shuffled values, where there is nothing to read (Hewitt and Liang 2019). Far to the right of its "
    "tick, a probe reads the features. A tick right of 0 means that the probe, or the split, is broken. × stands for a "
    "probe that failed, which says nothing about invariance. Left of 0 a probe does not carry over to the test rows, "
    "which says no more. Ticks and probes below −0.5 stand at −0.5. Whiskers: {whiskers}."
)
_CONSTANT = (
    " What is constant within each class was shuffled by class: whoever knows the class reads that, too, and what is "
    "left of the tick is no more than identity tells."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where two honest probes or more were asked for a nuisance."""
    targets = scene.chosen
    rows = [r for t in targets for r in select(scene.run, "r2", t) if not r.uses_answer and r.probe != "strongest"]
    probes = list(dict.fromkeys(r.probe for r in rows))
    if len(probes) < 2:
        return
    figure, axes = new_axes(1.0 + len(targets) * (0.12 + 0.12 * len(probes)))
    for i, probe in enumerate(probes):
        of = [r for r in rows if r.probe == probe]
        # Within the row of a nuisance: the axis of rows has no values that this could misplace.
        place = {t: -k + 0.8 * ((len(probes) - 1) / 2 - i) / len(probes) for k, t in enumerate(targets)}
        sound = [r for r in of if not failed(r)]
        shown = [no_less(r.value, r.low, r.high) for r in sound]
        bars = np.array([whiskers(*bounds) for bounds in shown]).reshape(-1, 2).T
        look: dict[str, Any] = {"fmt": marker(i), "color": colour(i), "markersize": 4, "elinewidth": 0.8}
        label = entry(probe_name(probe, of[0].title))
        axes.errorbar([value for value, *_ in shown], [place[r.target] for r in sound], xerr=bars, label=label, **look)
        controls = [(max(r.control, LEAST_R2), place[r.target]) for r in of if r.control is not None]
        axes.plot(*np.array(controls).reshape(-1, 2).T, "|", color=GREY, markersize=6)
        lost = [place[r.target] for r in of if failed(r)]
        axes.plot([0.015] * len(lost), lost, "x", color=colour(i), markersize=4, transform=axes.get_yaxis_transform())
    axes.plot([], [], "|", color=GREY, markersize=6, label="shuffled control")
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    axes.set_yticks([-k for k in range(len(targets))], targets)
    axes.set_ylim(0.5 - len(targets), 0.5)
    axes.grid(axis="y", visible=False)
    for k in range(1, len(targets)):
        axes.axhline(0.5 - k, color="#E4E4E4", linewidth=0.6)
    axes.set_xlim(min(axes.get_xlim()[0], -0.05), 1.02)
    axes.set_xlabel("R² (chance 0)")
    legend_above(figure, axes)
    caption = _CAPTION.format(whiskers=scene.whiskers) + (_CONSTANT if any(r.fixed for r in rows) else "") + scene.fewer
    yield Drawn("selectivity.svg", figure, "What each probe reads, and its control", caption, "leaks")
