"""What linear SVMs miss and see in vain of each attribute, in groups (Rudd et al. 2016, figure 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, WIDTH, clipped, colour, marker, whiskers
from invariantnets.results.result import Result

__all__ = ["draw"]

_CAPTION = (
    "Linear SVMs told each attribute from the features of people that they were not fitted to. Left, how many of the "
    "pictures that show it were missed; right, in how many of the others it was seen in vain. Who does not look is "
    "wrong in half of both, at the dashed line, or in more of one by as much as in fewer of the other: one side alone "
    "misleads. Hollow: the interval of both together (balanced accuracy) holds a half, so that nothing was shown to be "
    "left; of forty attributes that are not there one is filled by luck. Behind each name how many test pictures show "
    "it: of few, whiskers are long. Whiskers: 95 % intervals over people, over pictures where people of test were "
    "trained on. Groups are by how much of an attribute's variance lies within people, unless they were named."
)
RATES = {"false_negative_rate": "missed, of those that show it", "false_positive_rate": "seen in vain, of the others"}


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where attributes were told."""
    found = {
        metric: {r.target: r for r in scene.run if (r.probe, r.metric) == ("attributes", metric)}
        for metric in ("balanced_accuracy", *RATES)
    }
    names = list(found["false_negative_rate"])
    if not names:
        return
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(str(found["false_negative_rate"][name].where["group"]), []).append(name)
    lines = sum(map(len, groups.values())) + len(groups)
    figure = Figure(figsize=(1.5 * WIDTH, 0.9 + 0.17 * lines), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    ticks: dict[float, str] = {}
    place = lines
    for i, (group, members) in enumerate(groups.items()):
        place -= 1
        panels[0].text(0.0, place, f" {group}", va="center", fontsize=8, fontweight="bold", color=colour(i))
        for both in sorted((found["balanced_accuracy"][name] for name in members), key=lambda r: -r.value):
            place -= 1
            ticks[place] = f"{clipped(both.target, 22)} ({found['false_negative_rate'][both.target].n:,})"
            face = colour(i) if both.low is not None and both.low > 0.5 else "white"
            for axes, metric in zip(panels, RATES, strict=True):
                _point(axes, found[metric][both.target], place, i, face)
    widest = max(r.high or r.value for metric in RATES for r in found[metric].values())
    for axes, (_, title) in zip(panels, RATES.items(), strict=True):
        axes.axvline(50, color=GREY, linestyle="--", linewidth=1)
        axes.set_xlim(-1, max(62.0, 100 * widest + 2))
        axes.set_xlabel(f"% {title}")
    panels[0].set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    panels[0].set_ylim(-0.7, lines - 0.3)
    yield Drawn(
        "attribute_errors.svg",
        figure,
        "What is missed and seen in vain of each attribute",
        _CAPTION,
        "analysis/attributes",
    )


def _point(axes: Axes, r: Result, place: float, group: int, face: str) -> None:
    bar = 100 * np.array([whiskers(r.value, r.low, r.high)]).T
    look: dict[str, Any] = {"color": colour(group), "mfc": face, "markersize": 4, "elinewidth": 0.9}
    axes.errorbar(100 * r.value, place, xerr=bar, fmt=marker(group), **look)
