"""What is left of strangers' pose and light, and how they are told apart, against the people trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import GREY, LEAST_R2, WIDTH, curves, legend_above
from invariantnets.results.select import IDENTITY, Runs, Spread, over_runs

__all__ = ["AIM", "NUISANCES", "draw", "people_figure"]

NUISANCES = ("yaw", "pitch", "light_azimuth", "light_elevation")
"""Those that are to be forgotten of faces."""
AIM = 0.05
"""Of each at most so much of R² should be left."""

_CAPTION = (
    "Of people whom nobody was trained on, against the number of those who were: R² of the strongest honest probe "
    "(dashed: guessing; dotted: {aim}, the aim), and how they are told apart by cosine (EER: lower is better; rank 1: "
    "higher). Each curve is a method. More people may also mean that fewer steps see each of them: where all had the "
    "same steps, a curve says both. A probe that failed has no point; a reader far below 0 does not carry over to "
    "strangers, which is no forgetting (the axis ends at −0.5). Whiskers: {whiskers}."
)
# Title of a panel → metric, target and probe, and its scale.
_RECOGNITION = {
    "equal error rate (%)": ("eer", IDENTITY, "verification/cosine"),
    "rank 1 (%)": ("rank1", IDENTITY, "closed_set/cosine"),
}


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each network and data set on which methods were trained on several numbers of people."""
    for network, methods in scene.people.items():
        series = {
            name: {count: scene.groups[group] for group, count in of.items() if group in scene.groups}
            for name, of in methods.items()
        }
        if figure := people_figure(series):
            caption = _CAPTION.format(aim=AIM, whiskers=scene.whiskers)
            yield Drawn(f"people_{slug(network)}.svg", figure, f"People trained on: {network}", caption, "leaks")


def people_figure(series: Mapping[str, Mapping[int, Runs]]) -> Figure | None:
    """A panel for each nuisance and each measure of recognition, the number of people on a logarithmic axis.

    Args:
        series: method → number of people trained on → the results of each run, of one layer and on the same data.

    Returns:
        The figure; None where nothing was measured. A panel without results is left out.
    """
    panels: dict[str, tuple[str, str, str]] = {f"R² of {t}": ("r2", t, "strongest") for t in NUISANCES}
    panels |= _RECOGNITION
    found = {title: {name: _curve(of, *what) for name, of in series.items()} for title, what in panels.items()}
    found = {title: of for title, of in found.items() if any(of.values())}
    if not found:
        return None
    rows = -(-len(found) // 2)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.7 * rows), layout="constrained")
    every = figure.subplots(rows, 2, sharex=True, squeeze=False).ravel()
    for spare in every[len(found) :]:
        spare.set_visible(False)
    for axes, (title, of) in zip(every[: len(found)], found.items(), strict=True):
        curves(axes, of, 1 if title.startswith("R²") else 100)
        axes.set_title(title)
        axes.set_xscale("log")
        if title.startswith("R²"):
            axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
            axes.axhline(AIM, color=GREY, linestyle=":", linewidth=1)
            axes.set_ylim(max(axes.get_ylim()[0], LEAST_R2), None)
        else:
            axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(FixedLocator(sorted({count for curve in of.values() for count in curve})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:,.0f}")
    for axes in every[max(len(found) - 2, 0) : len(found)]:
        axes.set_xlabel("people trained on")
        axes.tick_params(labelbottom=True)
    legend_above(figure, every[0])
    return figure


def _curve(of: Mapping[int, Runs], metric: str, target: str, probe: str) -> dict[int, Spread]:
    """Number of people → the measurement, where one was made that did not fail."""
    found = {count: over_runs(runs, metric, target, probe).get(None) for count, runs in sorted(of.items())}
    return {count: spread for count, spread in found.items() if spread is not None and spread.runs}
