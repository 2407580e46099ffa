"""What a sweep of the bottleneck is for: recognition and nuisances against the width of the features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import GREY, LEAST_R2, WIDTH, colour, curves
from invariantnets.results.select import IDENTITY, RECOGNITION, Runs, Spread, nuisances, over_runs, read_best, select

__all__ = ["draw", "shown_nuisances", "width_figure"]

_CAPTION = (
    "How well the people of the test rows are recognised, by cosine (DIR at 1 % FAR: the share that is found first "
    "and above a threshold that one stranger in a hundred passes), and, where nuisances were probed, how much of them "
    "the strongest honest probe still reads. A width is good where the first curves are high and the second low. "
    "Dotted: chance of the curve of that colour; dashed: R² of guessing. A probe that failed has no point, and a "
    "reader below 0 does not carry over to the test rows, which is no lower than 0 (the axis ends at −0.5). Whiskers: "
    "{whiskers}."
)
# Those asked for first; then those that are read best at any width, as many as can be told apart.
_NUISANCES = ("yaw", "light_azimuth", "smile")
_MOST = 5
# Rank 10 goes with rank 1 and would only hide it.
_RECOGNITION = [row for row in RECOGNITION if row[1] != "rank10"]


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each network and data set in several widths."""
    for network, widths in scene.widths.items():
        if figure := width_figure({width: scene.groups[name] for name, width in widths.items()}):
            title, caption = f"Width of the bottleneck: {network}", _CAPTION.format(whiskers=scene.whiskers)
            yield Drawn(f"width_{slug(network)}.svg", figure, title, caption, "leaks")


def shown_nuisances(widths: Mapping[int, Runs]) -> list[str]:
    """Yaw, light and expression, where they were probed, and those that are read best, five in all.

    Args:
        widths: width → the results of each of its runs, each of one layer.
    """
    probed = {target for runs in widths.values() for results in runs for target in nuisances(results)}
    first = [target for target in _NUISANCES if target in probed]
    return [*first, *(t for t in read_best(widths.values()) if t not in first)][:_MOST]


def width_figure(widths: Mapping[int, Runs]) -> Figure | None:
    """Recognition, and the R² of nuisances below it, against the width on a logarithmic axis.

    Args:
        widths: width → the results of each of its runs, each of one layer and on the same data.

    Returns:
        The figure; None where neither was measured. A part without results is left out.
    """
    recognition = {name: _curve(widths, metric, IDENTITY, probe) for name, metric, probe in _RECOGNITION}
    read = {target: _curve(widths, "r2", target, "strongest") for target in shown_nuisances(widths)}
    parts = [part for part in (recognition, read) if any(part.values())]
    if not parts:
        return None
    figure = Figure(figsize=(WIDTH, 0.6 + 2.6 * len(parts)), layout="constrained")
    panels = figure.subplots(len(parts), sharex=True, squeeze=False)[:, 0]
    for axes, part in zip(panels, parts, strict=True):
        scale = 100 if part is recognition else 1
        curves(axes, part, scale)
        # Over its own panel, where it can hide no data.
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, columnspacing=1, handlelength=1.6
        )
        if part is recognition:
            _chance(axes, widths)
            axes.set_ylim(0, 101)
            axes.set_ylabel("people recognised (%)")
        else:
            axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
            axes.set_ylim(max(axes.get_ylim()[0], LEAST_R2), 1.02)
            axes.set_ylabel("R² (strongest honest probe)")
    panels[-1].set_xscale("log", base=2)
    panels[-1].xaxis.set_major_locator(FixedLocator(sorted(widths)))
    panels[-1].xaxis.set_minor_locator(NullLocator())
    panels[-1].xaxis.set_major_formatter("{x:g}")
    panels[-1].set_xlabel("width of the bottleneck (features)")
    return figure


def _curve(widths: Mapping[int, Runs], metric: str, target: str, probe: str) -> dict[int, Spread]:
    """Width → the measurement, where one was made that did not fail."""
    found = {width: over_runs(runs, metric, target, probe).get(None) for width, runs in sorted(widths.items())}
    return {width: spread for width, spread in found.items() if spread is not None and spread.runs}


def _chance(axes: Axes, widths: Mapping[int, Runs]) -> None:
    """What guessing gives, of each measure of recognition: the same at every width."""
    every = [results for runs in widths.values() for results in runs]
    for i, (_, metric, probe) in enumerate(_RECOGNITION):
        found = [r.chance for results in every for r in select(results, metric, IDENTITY, probe)]
        known = [chance for chance in found if chance is not None]
        if known:
            axes.axhline(100 * float(np.mean(known)), color=colour(i), linestyle=":", linewidth=1)
