"""Which features differ between two sides of a nuisance, person by person (Parde et al. 2016, figures 2 and 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import GREY, LINES, PALETTE, WIDTH, clipped, legend_above, new_axes
from invariantnets.results.select import FEW_NUISANCES

__all__ = ["draw", "map_figure", "roc_figure"]

NAMES = 40  # of people; more would overlap
LEAST = 0.001  # false accept rate: of some thousand pairs it is of a few
_MAP = (
    "A row is a person, a column a feature, in the order of the layer; blue: the mean of the feature differs between "
    "{sides} (corrected for as many tests as there are features). Bars: the share of blue of each person and of each "
    "feature; grey: what is found where sides are shuffled within that person; dashed: chance. Bands along rows are "
    "people who are seen alike, or not, from both sides; bands along columns are features that tell the sides for "
    "everybody. Rows are sorted by their share, which would make a gradient of anything. Of people with more images "
    "smaller differences are found: they look less invariant. What is white may differ in all but its mean."
)
_ROC = (
    "Verification among those whose features differ least between {sides}, and among all others: pairs of images of "
    "one person accepted, by pairs of two that are (logarithmic). Who differs least is chosen on the images that are "
    "compared, and the groups are different people: one may be harder to tell apart for another reason."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """The map of each nuisance, of many those that change most, and the ROC of those who differ least."""
    every = [arrays for name, arrays in scene.arrays.items() if name.startswith("identity_tests_")]
    most = sorted(every, key=lambda arrays: -float(arrays["map"].mean()))[:FEW_NUISANCES]
    fewer = f" Of {len(every)} nuisances, the {len(most)} of which most differs have such a figure."
    fewer *= len(most) < len(every)
    for arrays in most:
        nuisance, sides = str(arrays["nuisance"]), " and ".join(f"“{side}”" for side in arrays["sides"])
        title = f"Features that differ, person by person: {nuisance}"
        file = f"identity_tests_{slug(nuisance)}"
        yield Drawn(
            f"{file}.png", map_figure(arrays), title, _MAP.format(sides=sides) + fewer, "analysis/identity_tests"
        )
        if "far" in arrays:
            title = f"Verification of those who differ least: {nuisance}"
            yield Drawn(
                f"{file}_roc.svg", roc_figure(arrays), title, _ROC.format(sides=sides), "analysis/identity_tests"
            )


def map_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """People by features, with bars of both.

    Args:
        arrays: ``map`` ``(I, D)`` bool, ``names`` ``(I,)``, ``null`` ``(I,)`` and ``chance``.
    """
    found, names = arrays["map"], arrays["names"]
    people = len(found)
    figure = Figure(figsize=(WIDTH, 1.9 + min(max(0.12 * people, 1.2), 5.0)), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(0.7, max(0.12 * min(people, 42), 1.2)))
    main = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=main)
    right = figure.add_subplot(grid[1, 1], sharey=main)
    main.imshow(
        found,
        aspect="auto",
        cmap=ListedColormap(["white", PALETTE[0]]),
        vmin=0,
        vmax=1,
        interpolation="antialiased" if found.shape[1] > 700 or people > 300 else "nearest",
    )
    main.grid(visible=False)
    for side in ("top", "right"):
        main.spines[side].set_visible(True)
    if people <= NAMES:
        main.set_yticks(np.arange(people), [clipped(name, 18) for name in names], fontsize=6 if people > 20 else 7)
        main.tick_params(axis="y", length=0)
    else:
        main.set_ylabel(f"{people:,} people")
    main.set_xlabel("feature")
    top.bar(np.arange(found.shape[1]), 100 * found.mean(0), width=1.0, color=PALETTE[0], linewidth=0)
    top.axhline(100 * float(arrays["chance"]), color=GREY, linestyle="--", linewidth=1)
    top.set_ylabel("% of people")
    top.tick_params(axis="x", labelbottom=False)
    right.barh(np.arange(people), 100 * found.mean(1), height=0.8, color=PALETTE[0], linewidth=0)
    right.barh(np.arange(people), 100 * arrays["null"], height=0.8, color=GREY, linewidth=0)
    right.set_xlabel("% of\nfeatures")
    right.tick_params(axis="y", labelleft=False, length=0)
    return figure


def roc_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Two curves.

    Args:
        arrays: ``far`` ``(F,)``, ``tar_0`` and ``tar_1`` the same, ``groups`` their two names.
    """
    figure, axes = new_axes(3.0)
    for place, name in enumerate(arrays["groups"]):
        tar = 100 * arrays[f"tar_{place}"]
        axes.plot(arrays["far"], tar, color=PALETTE[place], linestyle=LINES[place], linewidth=1.4, label=str(name))
    axes.plot(arrays["far"], 100 * arrays["far"], color=GREY, linestyle="--", linewidth=1, label="chance")
    axes.set_xscale("log")
    axes.set_xlim(LEAST, 1)
    axes.set_xticks([0.001, 0.01, 0.1, 1], ["0.1 %", "1 %", "10 %", "100 %"])
    axes.set_ylim(0, 101)
    axes.set_xlabel("false accept rate")
    axes.set_ylabel("true accept rate (%)")
    legend_above(figure, axes)
    return figure
