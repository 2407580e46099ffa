"""Of the groups of a sweep, how well the class is known against what is left of a nuisance, a point a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import UP_TO, colour, entry, legend_above, marker, new_axes, up_to, whiskers
from invariantnets.results.format import chance, fitted, span
from invariantnets.results.select import Runs, astray, at_least_chance, failed, select, strongest_of

__all__ = ["draw"]

_CAPTION = (
    "One point a run, one colour a group: {accuracy} against how much of the {target} is left. {what} R² of the "
    "strongest honest probe{fitted}: of those that are not told the answer, the best out of fold on the rows of "
    "train and val; a better reader, or one of more rows, may find more. Better is up and left. Dashed: R² 0, what "
    "guessing gives; {accuracy} by chance is {chance}. n = {n} test rows of {sources} {over}. Bars: 95 % intervals "
    "of the run over {over}; the scatter within a colour is the seed. Runs whose probes all failed, or whose "
    "strongest does not carry over to the test rows (R² below −0.02), are not shown; an R² just below 0 stands at "
    "0."
)
_WHAT = {
    "mav": "MAV: an image belongs to the class whose mean activation vector is nearest; a network's own classifier may "
    "know the class where MAV does not.",
    "closed_set/cosine": "Rank 1: the share of images whose person is found first in a gallery.",
}


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each nuisance, the groups that are not methods: those are in `pareto`."""
    groups = {name: runs for name, runs in scene.groups.items() if name not in scene.methods}
    for target in scene.chosen:
        strongest = [r for runs in groups.values() for r in strongest_of(runs, target)]
        if figure := _figure(groups, target, scene.accuracy):
            name, *_, probe = scene.accuracy
            wording = {"accuracy": name, "target": target, "what": _WHAT[probe], "fitted": fitted(strongest)}
            every = [results for runs in groups.values() for results in runs]
            wording |= {"chance": chance(every, *scene.accuracy[1:]), "over": scene.resampled}
            wording |= {"n": span([r.n for r in strongest]), "sources": span([r.sources for r in strongest])}
            bounded = any(select(r, "r2_at_most", target, "any") for runs in groups.values() for r in runs)
            caption = _CAPTION.format(**wording) + UP_TO * bounded + scene.fewer
            title = f"{name[0].upper()}{name[1:]} against {target} left"
            yield Drawn(f"trade_off_{slug(target)}.svg", figure, title, caption, "leaks")


def _figure(groups: Mapping[str, Runs], target: str, accuracy: tuple[str, str, str, str]) -> Figure | None:
    """A run whose every probe failed has no place on the axis of R² and is left out."""
    figure, axes = new_axes(3.8)
    drawn = []
    for i, (name, runs) in enumerate(groups.items()):
        points = []
        for results in runs:
            leak, high = select(results, "r2", target, "strongest"), select(results, *accuracy[1:])
            if leak and high and not failed(leak[0]) and not failed(high[0]) and not astray(leak[0]):
                points.append((at_least_chance(leak[0]), high[0]))
                for most in select(results, "r2_at_most", target, "any"):
                    up_to(axes, points[-1][0].value, most.value, 100 * high[0].value, colour(i))
        if not points:
            continue
        drawn.append(name)
        axes.errorbar(
            [leak.value for leak, _ in points],
            [100 * high.value for _, high in points],
            xerr=np.array([whiskers(r.value, r.low, r.high) for r, _ in points]).T,
            yerr=100 * np.array([whiskers(r.value, r.low, r.high) for _, r in points]).T,
            fmt=marker(i),
            color=colour(i),
            markersize=5,
            elinewidth=0.6,
            label=entry(name),
        )
    if not drawn:
        return None
    axes.set_xlabel(f"R² of {target} left (strongest honest probe; chance 0)")
    axes.set_ylabel(f"{accuracy[0]} (%)")
    axes.axvline(0, color="#888888", linewidth=0.8, linestyle="--")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    # Where nobody is who is any good, so that it hides no point.
    note: dict[str, Any] = {"xycoords": "axes fraction", "color": "#555555", "fontsize": 8}
    axes.annotate("better: up and to the left", (0.06, 0.02), **note)
    legend_above(figure, axes)
    return figure
