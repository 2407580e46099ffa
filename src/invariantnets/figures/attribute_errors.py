"""What linear SVMs miss and see in vain of each attribute, in groups (Rudd et al. 2016, figure 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, WIDTH, clipped, colour, entry, legend_above, marker, whiskers
from invariantnets.results.result import Result
from invariantnets.results.select import Runs, over_runs

__all__ = ["compare", "draw"]

_CAPTION = (
    "Linear SVMs told each attribute from the features of people that they were not fitted to. Left, how many of the "
    "pictures that show it were missed; right, in how many of the others it was seen in vain. Who does not look is "
    "wrong in half of both, at the dashed line, or in more of one by as much as in fewer of the other: one side alone "
    "misleads. Hollow: the interval of both together (balanced accuracy) holds a half, so that nothing was shown to be "
    "left; of forty attributes that are not there one is filled by luck. Behind each name how many test pictures show "
    "it: of few, whiskers are long. Whiskers: 95 % intervals over people, over pictures where people of test were "
    "trained on. Groups are by how much of an attribute's variance lies within people, unless they were named."
)
_OWN = " Crosses: the network's own answers, which it was trained to give."
_COMPARED = (
    "Each attribute as told from the features of each group, by linear SVMs and, where a network was trained to tell "
    "it, by its own answers. Left, how many of the test pictures that show it were missed; right, in how many of the "
    "others it was seen in vain. Dashed: who does not look; one side alone misleads. Whiskers: {whiskers}."
)
_WIDEST = 8  # groups and readers that can be told apart
READERS = {"attributes": "", "attributes/own answers": ", own answers"}
RATES = {"false_negative_rate": "missed, of those that show it", "false_positive_rate": "seen in vain, of the others"}


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where attributes were told."""
    found, own = (
        {
            metric: {r.target: r for r in scene.run if (r.probe, r.metric) == (probe, metric)}
            for metric in ("balanced_accuracy", *RATES)
        }
        for probe in READERS
    )
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
                if said := own[metric].get(both.target):
                    axes.plot([100 * said.value], [place], "x", color=colour(i), markersize=6)
    widest = max(r.high or r.value for of in (found, own) for metric in RATES for r in of[metric].values())
    _frame(panels, ticks, widest, lines)
    yield Drawn(
        "attribute_errors.svg",
        figure,
        "What is missed and seen in vain of each attribute",
        _CAPTION + _OWN * bool(own["balanced_accuracy"]),
        "analysis/attributes",
    )


def compare(scene: Scene) -> Iterator[Drawn]:
    """Of a sweep: the attributes of several groups, or of several readers, side by side."""
    series: dict[str, tuple[str, Runs]] = {}
    for name, runs in scene.groups.items():
        probes = {r.probe for results in runs for r in results}
        series |= {f"{name}{said}": (probe, runs) for probe, said in READERS.items() if probe in probes}
    if not 1 < len(series) <= _WIDEST:
        return
    every = [r for _, runs in series.values() for results in runs for r in results if r.probe in READERS]
    names = list(dict.fromkeys(r.target for r in every))
    figure = Figure(figsize=(1.5 * WIDTH, 1.2 + 0.12 * len(names) * (len(series) + 1)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    widest = 0.0
    for i, (label, (probe, runs)) in enumerate(series.items()):
        for place, name in enumerate(reversed(names)):
            height = place + 0.7 * (0.5 - (i + 0.5) / len(series))
            for axes, metric in zip(panels, RATES, strict=True):
                found = next(iter(over_runs(runs, metric, name, probe, by="group").values()), None)
                if found is None:
                    continue
                widest = max(widest, found.high or found.mean)
                bar = 100 * np.array([whiskers(found.mean, found.low, found.high)]).T
                look: dict[str, Any] = {"color": colour(i), "markersize": 4, "elinewidth": 0.9}
                shown = entry(label) if place == len(names) - 1 and metric == next(iter(RATES)) else None
                axes.errorbar(100 * found.mean, height, xerr=bar, fmt=marker(i), label=shown, **look)
    _frame(panels, {place: clipped(name, 22) for place, name in enumerate(reversed(names))}, widest, len(names))
    legend_above(figure, panels[0])
    title = "What is missed and seen in vain of each attribute, side by side"
    yield Drawn("attribute_errors.svg", figure, title, _COMPARED.format(whiskers=scene.whiskers), "description")


def _frame(panels: Sequence[Axes], ticks: Mapping[float, str], widest: float, lines: int) -> None:
    """Axes of rates, and names of attributes at the left ones."""
    for axes, title in zip(panels, RATES.values(), strict=True):
        axes.axvline(50, color=GREY, linestyle="--", linewidth=1)
        axes.set_xlim(-1, max(62.0, 100 * widest + 2))
        axes.set_xlabel(f"% {title}")
    panels[0].set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    panels[0].set_ylim(-0.7, lines - 0.3)


def _point(axes: Axes, r: Result, place: float, group: int, face: str) -> None:
    bar = 100 * np.array([whiskers(r.value, r.low, r.high)]).T
    look: dict[str, Any] = {"color": colour(group), "mfc": face, "markersize": 4, "elinewidth": 0.9}
    axes.errorbar(100 * r.value, place, xerr=bar, fmt=marker(group), **look)
