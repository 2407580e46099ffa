"""What linear discriminants tell in each draw, beside who does not look (Parde et al. 2016, tables III and IV)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.analysis.lda_draws import OF_CLASS, OF_NUMBER
from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, GREYS, WIDTH, clipped, colour, legend_above, marker, whiskers
from invariantnets.results.result import Result

__all__ = ["draw"]

_CAPTION = (
    "In each of {draws} draws linear discriminants are fitted to some people and tell others (images, where people of "
    "test were trained on). Dots, one under the other: a draw each; the marker: the mean over draws, with its 95 % "
    "interval over people or images. Dashed: who does not look, and always says the mean of the fitted rows or their "
    "most frequent class. Grey stroke: the same reader of values that were dealt out at random, which should do no "
    "better. Errors are smaller to the left, hits more to the right; something is told where the whole interval is on "
    "the better side of the dashed line. Draws share most of their rows: how close the dots lie says nothing of other "
    "people, as the interval does. Where little is told the likeliest bin errs by more than who does not look, for it "
    "jumps between far bins: judge by the mean by the posterior. Many hits of an uneven category are no knowledge, nor "
    "is a small error where most are near the mean. Axes do not begin at 0, and each has its own scale.{more}"
)
MOST_NUMBERS, MOST_CLASSES = 4, 12
# The name of each mark in the legend, in this order.
_DRAWS, _MEAN, _BLIND, _SHUFFLED = "a draw", "mean, 95 %", "always the mean, or the most frequent class", "shuffled"


@dataclass(frozen=True)
class _Told:
    """One thing that is told.

    Attributes:
        name: of it, and of the part of it.
        of: reader → its mean over draws.
        draws: reader → ``(R,)`` of each draw.
    """

    name: str
    of: Mapping[str, Result]
    draws: Mapping[str, np.ndarray]

    @property
    def readers(self) -> tuple[str, ...]:
        """Of the features; then come who does not look and the control."""
        return OF_NUMBER[:2] if OF_NUMBER[0] in self.of else OF_CLASS[:1]

    @property
    def blind(self) -> Result:
        """Who does not look."""
        return self.of[OF_NUMBER[2] if OF_NUMBER[0] in self.of else OF_CLASS[1]]

    @property
    def gain(self) -> float:
        """How much better than who does not look: by what share of the error, or by how many hits."""
        best = [self.of[reader].value for reader in self.readers]
        if OF_NUMBER[0] in self.of:
            return 1 - min(best) / self.blind.value if self.blind.value > 0 else 0.0
        return max(best) - self.blind.value


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where it was measured."""
    arrays = scene.arrays.get("lda_draws")
    results = [r for r in scene.run if r.probe.startswith("lda_draws/") and r.metric in ("mae", "accuracy")]
    if not arrays or not results:
        return
    told = sorted(_told(arrays, results), key=lambda one: -one.gain)
    numbers, classes = ([one for one in told if (OF_NUMBER[0] in one.of) == number] for number in (True, False))
    left_out = len(numbers[MOST_NUMBERS:]) + len(classes[MOST_CLASSES:])
    more = f" Those that are told best are shown; left out: {left_out}." if left_out else ""
    panels = [[one] for one in numbers[:MOST_NUMBERS]] + [classes[:MOST_CLASSES]] * bool(classes)
    lines = [sum(len(one.readers) for one in panel) for panel in panels]
    figure = Figure(figsize=(1.3 * WIDTH, 0.6 + sum(0.55 + 0.3 * n for n in lines)), layout="constrained")
    every = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[0.4 + n for n in lines])[:, 0]
    for axes, panel in zip(every, panels, strict=True):
        _panel(axes, panel, first=axes is every[0])
        number, n = OF_NUMBER[0] in panel[0].of, f"n = {panel[0].blind.n:,}"
        unit = scene.units.get(panel[0].blind.target, "")
        of = f"mean absolute error of {clipped(panel[0].name, 40)}{f', {unit}' * bool(unit)} ({n})"
        axes.set_xlabel(of if number else "% that are right")
    legend_above(figure, every[0], columns=2)
    caption = _CAPTION.format(draws=arrays["of_draw"].shape[1], more=more)
    yield Drawn("lda_draws.svg", figure, "What linear discriminants tell, draw by draw", caption, "analysis/lda_draws")


def _told(arrays: Mapping[str, np.ndarray], results: Sequence[Result]) -> Iterator[_Told]:
    for target, where, of_draw in zip(arrays["target"], arrays["where"], arrays["of_draw"], strict=True):
        of = {
            r.probe.partition("/")[2]: r
            for r in results
            if (r.target, ", ".join(f"{key}: {value}" for key, value in r.where.items())) == (target, where)
        }
        readers = OF_NUMBER if OF_NUMBER[0] in of else OF_CLASS
        name = str(where) if str(where).startswith(f"{target}: ") else ", ".join(filter(None, (target, where)))
        yield _Told(name, of, {reader: of_draw[:, i] for i, reader in enumerate(readers)})


def _panel(axes: Axes, panel: Sequence[_Told], first: bool) -> None:
    """A row a reader of the features; the marks of who does not look and of the control are in the same rows."""
    number = OF_NUMBER[0] in panel[0].of
    rows = [(one, reader) for one in panel for reader in one.readers]
    scale = 1.0 if number else 100.0
    for place, (one, reader) in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        i = one.readers.index(reader) if number else 2
        r, draws = one.of[reader], scale * one.draws[reader]
        label = dict.fromkeys((_DRAWS, _MEAN, _BLIND, _SHUFFLED))
        if first and place == len(rows) - 1:
            label = {name: name for name in label}
        height = place + np.linspace(0.24, -0.24, len(draws))
        axes.plot(draws, height, ".", color=colour(i), alpha=0.45, markersize=4, mew=0, label=label[_DRAWS])
        bar = scale * np.array([whiskers(r.value, r.low, r.high)]).T
        look: dict[str, Any] = {"color": colour(i), "markersize": 4, "capsize": 3, "label": label[_MEAN]}
        axes.errorbar(scale * r.value, place, xerr=bar, fmt=marker(i), **look)
        blind, ends = scale * one.blind.value, [place - 0.5, place + 0.5]
        axes.plot([blind, blind], ends, "--", color=GREY, linewidth=1.2, label=label[_BLIND])
        if reader == one.readers[0]:  # the control is of this reader
            shuffled = scale * one.of[OF_NUMBER[3]].value
            axes.plot(shuffled, place, "|", color=GREYS[0], markersize=9, mew=2, label=label[_SHUFFLED])
    names = [reader if number else f"{clipped(one.name, 26)} ({one.of[reader].n:,})" for one, reader in rows]
    axes.set_yticks(range(len(rows) - 1, -1, -1), names, fontsize=8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.margins(x=0.08)
