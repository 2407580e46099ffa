"""Figure 3 of Rudd et al. (2016): the nuisance that a linear probe predicts at each true value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.overlaid import overlaid
from invariantnets.figures.style import GREY, LINES, WIDTH, colour, entry, legend_above, marker
from invariantnets.results.select import Runs, over_runs, select
from invariantnets.results.words import probe_name

__all__ = ["draw"]

_CAPTION = (
    "The {target} that a linear probe predicts at each true value: the mean above, the standard deviation below. On "
    "the black diagonal, with a small deviation, the features still tell all; a representation that had forgotten the "
    "{target} would lie on the dashed line. A linear reading only: a flat line does not say that a non-linear probe "
    "finds nothing."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each nuisance with predictions: the probes of a run in one figure, the groups of a sweep in one a probe."""
    groups, only = overlaid(scene, scene.groups)
    for target in scene.chosen:
        probes = {}
        for results in (results for runs in groups.values() for results in runs):
            for r in select(results, "predicted_mean", target, by=target):
                probes[r.probe] = probe_name(r.probe, r.title) + (" (uses the answer)" if r.uses_answer else "")
        axes = scene.axis("true", target), scene.axis("predicted", target)
        title, caption = f"{target}: predicted against true", _CAPTION.format(target=target) + scene.fewer + only
        file = f"prediction_{slug(target)}"
        if scene.layer:
            parts = {(file, title): {name: (groups[""], probe) for probe, name in probes.items()}}
        else:
            parts = {
                (f"{file}_{slug(probe)}", f"{title}, {name}"): {n: (runs, probe) for n, runs in groups.items()}
                for probe, name in probes.items()
            }
        for (file, title), series in parts.items():
            if figure := _figure(series, target, axes):
                yield Drawn(f"{file}.svg", figure, title, caption, "leaks")


def _figure(series: Mapping[str, tuple[Runs, str]], target: str, labels: tuple[str, str]) -> Figure | None:
    """Means above deviations: bars at one place would hide each other, and beside it would stand at a wrong value."""
    curves = {}
    for name, (runs, probe) in series.items():
        mean = over_runs(runs, "predicted_mean", target, probe, by=target)
        deviation = over_runs(runs, "predicted_std", target, probe, by=target)
        # A failed probe has no runs to average: better no line than a flat one.
        at = sorted(x for x in mean if mean[x].runs and x in deviation)
        if at:
            curves[name] = np.array([[x, mean[x].mean, deviation[x].mean] for x in at]).T
    if not curves:
        return None
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axes, below = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    true = np.unique(np.concatenate([c[0] for c in curves.values()]))
    axes.plot(true, true, color="black", linewidth=0.8, label="perfect reading")
    chance = [
        r.chance
        for runs, probe in series.values()
        for results in runs
        for r in select(results, "predicted_mean", target, probe, by=target)
        if r.chance is not None
    ]
    guess = float(np.mean(chance if chance else true))
    axes.axhline(guess, color=GREY, linestyle="--", linewidth=1, label="chance: always the mean")
    for i, (name, (x, centre, spread)) in enumerate(curves.items()):
        look: dict[str, Any] = {"color": colour(i), "marker": marker(i), "markersize": 4, "linewidth": 1.2}
        axes.plot(x, centre, LINES[i % len(LINES)], label=entry(name), **look)
        below.plot(x, spread, LINES[i % len(LINES)], **look)
    below.set_xlabel(labels[0])
    below.set_ylabel("s.d.")
    below.set_ylim(bottom=0)
    axes.set_ylabel(labels[1])
    if len(true) <= 13:
        below.set_xticks(true)
    legend_above(figure, axes)
    return figure
