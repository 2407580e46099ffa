"""How far a nuisance is read within each class, from the least to the most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import GREY, GREYS, LEAST_R2, PALETTE, clipped, legend_above, new_axes
from invariantnets.results.select import FEW_NUISANCES
from invariantnets.results.words import metric_name

__all__ = ["class_figure", "draw"]

NAMES = 40  # of classes; more would overlap
ENDS, MOST = 6, 80  # of more classes, but no more than so many, those at either end are named
SURE = 0.05
_CAPTION = (
    "How far {nuisance} is read within each class by one line for all, from the least to the most; in brackets how "
    "many independent images. {metric} Bars: 95 % intervals over the images of that class. Grey bands: where 95 % of "
    "classes of as many images lie if they do not differ; by chance one in twenty lies outside. Filled: further than "
    "chance puts the furthest of all classes (p below 0.05, max T). Crosses: the same reader on values shuffled within "
    "the class.{own} Sorting alone makes a slope of anything, and the ends are those of classes with few images.{cut}"
)
_METRIC = {
    "r2": (
        "Right of the dashed line more than its own mean is read; a class in which it varies little has a low R² with "
        "the same error."
    ),
    "balanced_accuracy": "Right of the dashed line more is read than by drawing among what the class shows.",
}
_OWN = " Diamonds: by a line that was fitted to that class alone, and is told the class."
_CUT = " What lies below −0.5 is shown there."


def draw(scene: Scene) -> Iterator[Drawn]:
    """One for each nuisance that was read class by class; of many, for those that are read best."""
    every = [arrays for name, arrays in scene.arrays.items() if name.startswith("per_class_")]
    most = sorted(every, key=lambda arrays: -float(np.nanmedian(arrays["value"] - arrays["chance"])))[:FEW_NUISANCES]
    fewer = f" Of {len(every)} nuisances, the {len(most)} that are read best have such a figure."
    for arrays in most:
        nuisance, metric = str(arrays["nuisance"]), str(arrays["metric"])
        cut = _CUT if metric == "r2" and np.nanmin([arrays["value"], arrays["low"]]) < LEAST_R2 else ""
        own = _OWN if "own" in arrays else ""
        caption = _CAPTION.format(nuisance=nuisance, metric=_METRIC[metric], cut=cut, own=own)
        caption += fewer * (len(most) < len(every))
        title = f"Leakage class by class: {nuisance}"
        yield Drawn(f"per_class_{slug(nuisance)}.svg", class_figure(arrays), title, caption, "analysis/per_class")


def class_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """A row for each class.

    Args:
        arrays: ``names``, ``value``, ``low``, ``high``, ``control``, ``chance`` and ``images``, each ``(C,)``; ``p``,
            ``band_low`` and ``band_high`` where there are several classes, ``own`` of a closed set; and ``metric``.
    """
    count, is_r2 = len(arrays["names"]), str(arrays["metric"]) == "r2"
    scale, least = (1.0, LEAST_R2) if is_r2 else (100.0, 0.0)
    value, low, high, control, chance = (
        scale * np.maximum(arrays[name], least) for name in ("value", "low", "high", "control", "chance")
    )
    figure, axes = new_axes(1.0 + min(max(0.16 * count, 1.2), 6.0))
    place = np.arange(count)
    if "p" in arrays:
        band = [scale * np.maximum(arrays[f"band_{end}"], least) for end in ("low", "high")]
        label = "classes that do not differ"
        axes.barh(place, band[1] - band[0], left=band[0], height=0.8, color=GREYS[2], linewidth=0, label=label)
        sure = arrays["p"] < SURE
    else:
        sure = np.zeros(count, bool)
    axes.plot(chance, place, color=GREY, linestyle="--", linewidth=1, label="chance")
    size = 4 if count <= NAMES else 2
    bars = np.nan_to_num(np.stack([value - low, high - value])).clip(0)
    axes.errorbar(value, place, xerr=bars, fmt="none", ecolor=PALETTE[0], elinewidth=0.9, capsize=2 * (count <= NAMES))
    for which, fill, label in ((~sure, "white", "within each class"), (sure, PALETTE[0], "that differs from others")):
        if which.any():
            blue = PALETTE[0]
            axes.plot(value[which], place[which], "o", markersize=size, color=blue, markerfacecolor=fill, label=label)
    if "own" in arrays:
        own, green = scale * np.maximum(arrays["own"], least), PALETTE[2]
        axes.plot(own, place, "D", markersize=size, color=green, markerfacecolor="none", label="by a line of its own")
    axes.plot(control, place, "x", color=PALETTE[1], markersize=size - 0.5, label="shuffled within the class")
    named = place if count <= NAMES else place[np.minimum(place, place[::-1]) < ENDS] if count <= MOST else place[:0]
    names = [f"{clipped(arrays['names'][i], 18)} ({arrays['images'][i]})" for i in named]
    axes.set_yticks(named, names, fontsize=7 if count <= 20 else 6 if count <= NAMES else 5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    if count > NAMES:
        axes.set_ylabel(f"{count:,} classes, sorted")
    axes.set_ylim(-0.7, count - 0.3)
    if is_r2:
        left = np.nanmin([low, value, control, chance])
        axes.set_xlim(left - 0.03, 1.02)
    axes.set_xlabel("R² within the class" if is_r2 else f"{metric_name('balanced_accuracy')} within the class (%)")
    legend_above(figure, axes)
    return figure
