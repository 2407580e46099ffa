"""Who is recognised by which parts, by parts together, and what each weighs (Zhang et al. 2015, tables 2 and 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, WIDTH, clipped, colour, legend_above, marker, whiskers
from invariantnets.results.result import Result
from invariantnets.results.select import IDENTITY, select

__all__ = ["draw"]

_SHOWN = 16  # parts by themselves, those that weigh most
_NAMES = {
    "global": "global",
    "parts": "parts",
    "unfilled": "both, not filled",
    "unfilled_same_weights": "same, weights of filled",
    "filled": "both, filled",
}
_CAPTION = (
    "How many pictures are given the right name, by the global model, by all parts without it, by both, and by each "
    "part alone, where one that does not fire guesses. Filling: where a part does not fire, or does not know a person, "
    "the global model speaks. By album, a person's other half of pictures is of other days: what is told by clothes or "
    "background falls. Bars: 95 % intervals over people; all are of the same pictures, so that two may differ though "
    "their bars overlap. Dashed: chance. Right: the weights of the sum with filling, of the sum of their sizes; what "
    "fills a silent part is the global model's, so that its own weight may well be negative. How far weights scatter "
    "is not known.{fewer}"
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of a run with parts."""
    rows = [r for r in scene.run if r.probe.startswith("piper/")]
    found = [r for r in select(rows, "accuracy", IDENTITY) if len(r.probe.split("/", 2)) == 3]
    ways = {way: {r.probe.split("/", 2)[2]: r for r in found if r.probe.split("/")[1] == way} for way in _ways(found)}
    ways = {way: {name: r for name, r in of.items() if _is_arrangement(name)} for way, of in ways.items()}
    if not ways:
        return
    weights = {way: _weights(rows, way) for way in ways}
    first = next(iter(ways))
    parts = [name for name in ways[first] if name.startswith("part ")]
    shown = sorted(parts, key=lambda name: -abs(weights[first].get(name.removeprefix("part "), 0.0)))[:_SHOWN]
    names = [*(name for name in _NAMES if name in ways[first]), *(name for name in parts if name in shown)]
    figure = Figure(figsize=(1.5 * WIDTH, 1.2 + 0.22 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    place = -np.arange(len(names))
    for i, (way, of) in enumerate(ways.items()):
        _accuracies(left, place - 0.2 * i, [of[name] for name in names if name in of], f"halves by {way}", i)
    left.axvline(100 * (next(iter(ways[first].values())).chance or 0), color=GREY, linestyle="--", linewidth=1)
    left.set_yticks(place, [clipped(_NAMES.get(name, name.removeprefix("part ")), 24) for name in names])
    left.set_xlabel(f"% right (n = {next(iter(ways[first].values())).n:,})")
    left.set_xlim(left=0)
    of_parts = [name for name in names if name == "global" or name.startswith("part ")]
    for i, way in enumerate(ways):
        values = [weights[way].get(name.removeprefix("part "), np.nan) for name in of_parts]
        right.plot(values, -np.arange(len(of_parts)) - 0.2 * i, marker(i), color=colour(i), markersize=4)
    right.axvline(0, color=GREY, linewidth=0.8)
    right.set_yticks(-np.arange(len(of_parts)), [clipped(name.removeprefix("part "), 12) for name in of_parts])
    right.set_xlabel("weight, filled")
    legend_above(figure, left)
    fewer = f" The {len(shown)} of {len(parts)} parts that weigh most." if len(shown) < len(parts) else ""
    title = "People by their parts, alone and together"
    yield Drawn("parts.svg", figure, title, _CAPTION.format(fewer=fewer), "recognition")


def _ways(found: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(r.probe.split("/")[1] for r in found))


def _is_arrangement(name: str) -> bool:
    return name in _NAMES or name.startswith("part ")


def _weights(rows: Sequence[Result], way: str) -> dict[str, float]:
    """Part → its weight in the sum that is best: with filling, or, without a global model, of the parts."""
    for name in ("filled", "parts"):
        of = {r.where["part"]: r.value for r in rows if r.metric == "part_weight" and r.probe == f"piper/{way}/{name}"}
        if of:
            return of
    return {}


def _accuracies(axes: Axes, place: np.ndarray, found: Sequence[Result], name: str, i: int) -> None:
    bars = 100 * np.array([whiskers(r.value, r.low, r.high) for r in found]).T
    look: dict[str, Any] = {"color": colour(i), "marker": marker(i), "markersize": 4, "capsize": 2, "linestyle": "none"}
    axes.errorbar([100 * r.value for r in found], place[: len(found)], xerr=bars, label=name, **look)
