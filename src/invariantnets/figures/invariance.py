"""What each layer does with a change of the picture, by its amount and by depth (after figure 4 of Zhong and Deng)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, LINES, WIDTH, clipped, colour, marker

__all__ = ["depth_figure", "draw", "panels_figure"]

_CURVES = (
    "Cosine distance between a layer's features of a picture and of the same picture {changed}, over that between two "
    "pictures of {others} at the same layer, mean over {n} pictures; bands are 95 % intervals. Dark lines are early "
    "layers, light ones late. At 0 a layer does not see the change; at the dashed line the picture is as far from "
    "itself as from one of {others}. Of rectified features alone any two cosines are near 1, so that a small distance "
    "by itself means nothing.{more}"
)
_PIXELS = (
    " A picture that moved is filled from its border and was never seen in training: a part of each curve is that, not "
    "the movement."
)
_DRAWN = " The other nuisances of each picture stay as they are; those in the last panel have two values only."
_DEPTH = (
    "The same by depth. Top: relative distance at one amount of each change; a line that falls is a network that "
    "is less sensitive with depth; one that rises in the middle is what Zhong and Deng report. Middle, in the "
    "same colours: standard deviation over all amounts, over that between pictures, mean over the neurons of a "
    "layer; one that never changes counts as 1, so that many of them lift the line. Bottom: how much of its "
    "length a layer changes by as the picture begins to move, by 1 % or 1°. Amounts of different changes are not "
    "comparable with each other."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Curves of each change, and all by depth, where the inspection ``invariance`` was asked for."""
    arrays = scene.arrays.get("invariance")
    if not arrays:
        return
    about, words = "analysis/invariance", {"others": str(arrays["others"][0]), "n": f"{int(arrays['n'][0]):,}"}
    for drawn, file, title, changed, more in (
        (False, "invariance.svg", "Distance by how far the picture is changed", "changed", _PIXELS),
        (True, "invariance_nuisances.svg", "Distance by how far a nuisance is changed", "drawn anew", _DRAWN),
    ):
        some = np.flatnonzero(arrays["drawn"] == drawn)
        if len(some):
            caption = _CURVES.format(changed=changed, more=more, **words)
            yield Drawn(file, panels_figure(arrays, some), title, caption, about)
    if len(arrays["layer"]) > 1 and not arrays["drawn"].all():
        yield Drawn("invariance_depth.svg", depth_figure(arrays), "Invariance by depth", _DEPTH, about)


def _shades(count: int) -> list[str]:
    """Dark to light, but not so light that it cannot be seen on white."""
    ramp = matplotlib.colormaps["viridis"]
    return [to_hex(ramp(v)) for v in np.linspace(0, 0.9, count)]


def panels_figure(arrays: Mapping[str, np.ndarray], some: np.ndarray) -> Figure:
    """A panel for each of some changes, a line for each layer; those of two amounts share the last panel."""
    steps, two = some[~arrays["binary"][some]], some[arrays["binary"][some]]
    count = len(steps) + bool(len(two))
    wide = 2 if count < 9 else 3
    rows = -(-count // wide)
    figure = Figure(figsize=(1.25 * WIDTH, 1.65 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, wide, squeeze=False).ravel()
    shades = _shades(len(arrays["layer"]))
    for axes, at in zip(panels[: len(steps)], steps, strict=True):
        known = np.isfinite(arrays["strength"][at])
        x = arrays["strength"][at][known]
        for i, shade in enumerate(shades):
            y, low, high = (arrays[part][at, i][known] for part in ("relative", "low", "high"))
            axes.plot(x, y, color=shade, linewidth=1.1, marker="o", markersize=2)
            axes.fill_between(x, low, high, color=shade, alpha=0.12, linewidth=0)
        axes.set_xlabel(str(arrays["axis"][at]), fontsize=7)
    if len(two):
        axes = panels[len(steps)]
        for i, shade in enumerate(shades):
            y = arrays["relative"][two, i, 1]
            axes.plot(np.arange(len(two)), y, color=shade, linestyle="none", marker="o", markersize=3)
        axes.set_xticks(np.arange(len(two)), [str(v) for v in arrays["said"][two]], rotation=30, ha="right")
    for axes in panels[:count]:
        axes.axhline(1, color=GREY, linestyle="--", linewidth=0.8)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
    for axes in panels[count:]:
        axes.set_axis_off()
    for axes in panels[:count:wide]:
        axes.set_ylabel("relative distance", fontsize=7)
    handles = [Line2D([], [], color=shade, marker="o", markersize=2) for shade in shades]
    names = [clipped(name, 16) for name in arrays["layer"]]
    figure.legend(handles, names, loc="outside upper left", ncols=5, fontsize=7, handlelength=1.2, columnspacing=0.9)
    return figure


def depth_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Relative distance, normalised variance and derivative of each change of the pixels, from layer to layer."""
    some = np.flatnonzero(~arrays["drawn"])
    at = [int(np.flatnonzero(arrays["strength"][c] == arrays["stated"][c])[0]) for c in some]
    parts = [
        (
            "relative distance",
            [(arrays["said"][c], arrays["relative"][c, :, a]) for c, a in zip(some, at, strict=True)],
        ),
        ("normalised variance", [(arrays["change"][c], arrays["variance"][c]) for c in some]),
        ("change (%)", [(name, 100 * speed) for name, speed in zip(arrays["local"], arrays["speed"], strict=True)]),
    ]
    parts = [(label, lines) for label, lines in parts if lines]
    figure = Figure(figsize=(WIDTH, 2.3 * len(parts) + 0.6), layout="constrained")
    panels = figure.subplots(len(parts), 1, squeeze=False, sharex=True).ravel()
    x = np.arange(len(arrays["layer"]))
    for axes, (label, lines) in zip(panels, parts, strict=True):
        for i, (name, y) in enumerate(lines):
            _line(axes, x, y, i, str(name).replace("_", " "))
        axes.set_ylabel(label)
        named = label != "normalised variance"  # whose lines are those above it
        axes.set_ylim(0, axes.get_ylim()[1] * (1.45 if named else 1))
        if named:
            axes.legend(fontsize=6, ncols=2, loc="upper right")
    panels[-1].set_xticks(x, [clipped(name) for name in arrays["layer"]], rotation=30, ha="right")
    return figure


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, i: int, name: str) -> None:
    axes.plot(
        x,
        y,
        color=colour(i),
        linestyle=LINES[i % len(LINES)],
        marker=marker(i),
        markersize=3.5,
        linewidth=1.1,
        label=name,
    )
