"""Figure 4 of Rudd et al. (2016): the classification error of every class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.overlaid import overlaid
from invariantnets.figures.style import GREYS, PALETTE, clipped, colour, entry, legend_above, marker, new_axes, whiskers
from invariantnets.results.select import FEW_NUISANCES, LABEL, Runs, Spread, nuisances, over_runs, select
from invariantnets.results.words import probe_name

__all__ = ["draw"]

# More bars than that are thinner than a phone can show.
_BARS = 50
_NAMED = 5
_MAV = (
    " MAV gives an image to the class whose mean activation vector is nearest. Softmax, the network's own answer, is "
    "grey and for comparison only; {told} part of the answer and no fair competitors. "
)
_CAPTION = (
    "Classification error of each class, and over all; lower is better."
    + _MAV.format(told="hatched bars are told")
    + "Classes have few independent images, and many are many chances to see a difference. Whiskers: {whiskers}."
)
_STRIP = (
    "Classification error of {count} classes, a thin stroke each, and over all, the large mark with whiskers; left is "
    "better." + _MAV.format(told="those marked * are told") + "In colour, in every row, the {named} classes with the "
    "largest error on average of the rows: the worst of many are in part bad luck. Whiskers: {whiskers}."
)
Errors = dict[Any, Spread]


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where accuracies by class were measured; as bars or, of more than can be seen, as strips.

    MAV at each value of a nuisance is shown where there are few of them.
    """
    groups, only = overlaid(scene, scene.groups)
    probes = {
        r.probe: probe_name(r.probe, r.title)
        for runs in groups.values()
        for results in runs
        for r in select(results, "accuracy", LABEL)
        if len(nuisances(results)) <= FEW_NUISANCES or not r.probe.startswith("mav/")
    }
    if scene.layer:
        series = {name: (groups[""], probe) for probe, name in probes.items()}
    else:
        shown = ("softmax", "mav") if len(groups) <= 3 else ("mav",)
        series = {f"{n}, {probes[p]}": (runs, p) for n, runs in groups.items() for p in shown if p in probes}
    found = {}  # name → class → accuracy, over all under None
    for name, (runs, probe) in series.items():
        if of := over_runs(runs, "accuracy", LABEL, probe, by="label"):
            found[name] = of | over_runs(runs, "accuracy", LABEL, probe)
    if not found:
        return
    every = {c for of in found.values() for c in of if c is not None}
    classes = sorted(every, key=lambda c: (isinstance(c, str), c))  # numbers by size, then texts by the alphabet
    few = len(found) * len(classes) <= _BARS
    wording = {"count": len(classes), "named": min(_NAMED, len(classes)), "whiskers": scene.whiskers}
    caption = (_CAPTION if few else _STRIP).format(**wording) + only
    figure = (_bars if few else _strips)(series, found, classes)
    yield Drawn("class_error.svg", figure, "Classification error by class", caption, "recognition")


def _bars(series: Mapping[str, tuple[Runs, str]], bars: Mapping[str, Errors], classes: Sequence[Any]) -> Figure:
    """Figure 4: of each class and over all, in per cent; softmax in grey, the others in colour."""
    groups = [*classes, None]
    figure, axes = new_axes(3.6)
    width, greys, colours = 0.84 / len(bars), cycle(GREYS), cycle(PALETTE)
    for i, (name, of) in enumerate(bars.items()):
        shown = [(g, of[g]) for g in groups if g in of and np.isfinite(of[g].mean)]
        middle = np.array([groups.index(g) + (0.4 if g is None else 0) for g, _ in shown])
        x = middle + (i - (len(bars) - 1) / 2) * width
        error = np.array([100 * (1 - s.mean) for _, s in shown])
        bounds = np.array([_error_whiskers(s) for _, s in shown]).T
        face = next(greys if series[name][1] == "softmax" else colours)
        hatch = "////" if _uses_answer(*series[name]) else None
        axes.bar(x, error, width, label=entry(name), facecolor=face, edgecolor="white", linewidth=0.3, hatch=hatch)
        axes.errorbar(x, error, bounds, fmt="none", ecolor="#222222", elinewidth=0.7)
    names = [*map(clipped, classes), "all"]
    wide = sum(map(len, names)) > 50  # characters that go beside each other
    look: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if wide else {}
    axes.set_xticks([*range(len(classes)), len(classes) + 0.4], names, **look)
    axes.set_xlabel("class")
    axes.set_ylabel("classification error (%)")
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    legend_above(figure, axes)
    return figure


def _strips(series: Mapping[str, tuple[Runs, str]], rows: Mapping[str, Errors], classes: Sequence[Any]) -> Figure:
    """The same for many classes or series: a row a series, a stroke a class, those with the largest error named."""
    # (R, C) in per cent.
    error = 100 * (1 - np.array([[of[c].mean if c in of else np.nan for c in classes] for of in rows.values()]))
    worst = np.argsort(-np.nan_to_num(error).mean(0), kind="stable")[:_NAMED]
    figure, axes = new_axes(1.2 + 0.38 * len(rows))
    for row, (name, of) in enumerate(rows.items()):
        axes.plot(error[row], np.full(len(classes), row), "|", color="#555555", alpha=0.45, markersize=9)
        axes.annotate(
            name + (" *" if _uses_answer(*series[name]) else ""),
            (0, row),
            (2, 6.5),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            fontsize=8,
            color="#777777" if series[name][1] == "softmax" else "black",
        )
        if None in of:
            bar = np.array([_error_whiskers(of[None])]).T
            middle = 100 * (1 - of[None].mean)
            axes.errorbar(middle, row, xerr=bar, fmt="D", color="black", markersize=5, elinewidth=1, zorder=4)
    for i, at in enumerate(worst):
        look: dict[str, Any] = {
            "color": colour(i),
            "markersize": 5,
            "alpha": 0.85,
            "label": entry(clipped(classes[at], 20)),
        }
        axes.plot(error[:, at], np.arange(len(rows)), linestyle="none", marker=marker(i), **look)
    axes.plot([], [], "D", color="black", markersize=5, label="over all")
    axes.plot([], [], "|", color="#555555", alpha=0.45, markersize=9, label="each class")
    axes.set_ylim(len(rows) - 0.6, -0.75)
    axes.set_yticks([])
    axes.set_xlim(left=min(-1, *axes.get_xlim()))
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("classification error (%)")
    legend_above(figure, axes, columns=3)
    return figure


def _error_whiskers(accuracy: Spread) -> tuple[float, float]:
    """Lengths of an error bar of the error in per cent, never below zero or above one hundred."""
    error = 100 * (1 - accuracy.mean)
    high = None if accuracy.low is None else min(100 * (1 - accuracy.low), 100.0)
    low = None if accuracy.high is None else max(100 * (1 - accuracy.high), 0.0)
    return whiskers(error, low, high)


def _uses_answer(runs: Runs, probe: str) -> bool:
    return any(r.uses_answer for results in runs for r in select(results, "accuracy", LABEL, probe))
