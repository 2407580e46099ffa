"""Whether new classes are told, and what is read of them, against the number of classes that were trained on."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from invariantnets.figures.drawing import Drawn, NewClasses, Scene, slug
from invariantnets.figures.style import GREY, LEAST_R2, WIDTH, curves, legend_above
from invariantnets.results.format import fitted
from invariantnets.results.select import LABEL, Spread, over_runs, strongest_of

__all__ = ["draw"]

_TITLE = "New classes, by the number of classes trained on"
_CAPTION = (
    "Left: how often the class is told by its mean activation vector. Right: how much of the {target} the strongest "
    "honest probe still reads{fitted}. Each of the classes that the network was trained on, and of new ones, the same "
    "for all numbers. Where forgetting carries over, the lines of new classes fall to those of the classes trained on. "
    "Left, classes trained on are told among more and more others: their line falls for that reason, too. Dashed: "
    "guessing. A probe that failed has no point. Whiskers: {whiskers}."
)
_SIDES = ("classes trained on", "new classes")


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each nuisance, where a method was trained on two numbers of classes or more."""
    several = {method: of for method, of in scene.new_classes.items() if len(of) > 1}
    every = [runs for of in several.values() for sides in of.values() for runs in sides]
    for target in scene.chosen if several else []:
        read = [r for runs in every for r in strongest_of(runs, target)]
        if read:
            caption = _CAPTION.format(target=target, fitted=fitted(read), whiskers=scene.whiskers)
            yield Drawn(f"new_classes_{slug(target)}.svg", _figure(several, target), _TITLE, caption, "leaks")


def _figure(methods: NewClasses, target: str) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    told, read = figure.subplots(1, 2)
    curves(told, _series(methods, "accuracy", LABEL, "mav"), 100)
    curves(read, _series(methods, "r2", target, "strongest"), 1)
    read.axhline(0, color=GREY, linestyle="--", linewidth=1)
    read.set_ylim(max(read.get_ylim()[0], LEAST_R2), 1.02)
    told.set_ylim(top=101)
    told.set_ylabel("told by MAV (%)")
    read.set_ylabel(f"R² of {target}")
    for axes in (told, read):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({classes for of in methods.values() for classes in of})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("classes trained on")
    legend_above(figure, told)
    return figure


def _series(methods: NewClasses, *what: str) -> dict[str, dict[int, Spread]]:
    """A line for each method and side: number of classes → the measurement, where one was made that did not fail."""
    found: dict[str, dict[int, Spread]] = {}
    for method, of in methods.items():
        for side, name in enumerate(_SIDES):
            spreads = {classes: over_runs(of[classes][side], *what).get(None) for classes in sorted(of)}
            found[f"{method}, {name}"] = {c: s for c, s in spreads.items() if s is not None and s.runs}
    return found
