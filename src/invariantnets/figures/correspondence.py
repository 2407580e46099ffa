"""Whether hiding a part of the face changes a layer alike in all pictures (table I and figure 5 of Zhong and Deng)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, WIDTH, clipped, curves, legend_above, new_axes
from invariantnets.results.result import Result
from invariantnets.results.select import Spread

__all__ = ["by_layer_figure", "draw", "sheet_figure"]

_TITLE = "Whether hiding a part changes every picture alike"
_CAPTION = (
    "Above: Δ, the share of a layer's numbers whose change has another sign in one picture than in another, no change "
    "being a sign of its own; the paper's control are squares at random places{parts}. Below: the share of opposite "
    "signs among the numbers that change in both pictures; dashed: independent signs. Whiskers: 95 % intervals over "
    "pictures. Lower is more alike. The line above misleads twice: it is low where few numbers change at all, which is "
    "so in early layers and beside the face, and low where the squares lie at the same pixels, as parts of aligned "
    "faces do; so compare with `one place`, the same pixels in all pictures on no part. Where parts are below both "
    "controls in the lower panel, they change the layer in a way of their own."
)
_SHEET = (
    "The first pictures, whole and as they were shown with a square in their mean colour. Places of the last columns "
    "are one of several draws. A part that hair, glasses or a scarf covers is hidden as any other."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Both, where it was measured."""
    found = [r for r in scene.run if r.probe == "correspondence"]
    if not found:
        return
    parts = "" if any("below" in r.metric for r in found) else ", which is all that there is without landmarks"
    about = "analysis/correspondence"
    yield Drawn("correspondence.svg", by_layer_figure(found), _TITLE, _CAPTION.format(parts=parts), about)
    if arrays := scene.arrays.get("correspondence"):
        yield Drawn("correspondence_pictures.png", sheet_figure(arrays), "What was hidden", _SHEET, about)


def by_layer_figure(results: Sequence[Result]) -> Figure:
    """Both numbers against the layers, a line for each thing that was hidden."""
    layers = list(dict.fromkeys(r.target for r in results))
    figure = Figure(figsize=(WIDTH, 5.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, metric in ((above, "sign_disagreement"), (below, "sign_opposition")):
        series: dict[str, dict[int, Spread]] = {}
        for r in results:
            if r.metric == metric and np.isfinite(r.value):
                spread = Spread(r.value, r.low, r.high, r.n)
                series.setdefault(str(r.where["hidden"]), {})[layers.index(r.target)] = spread
        curves(axes, series, 1)
    above.set_ylabel("Δ (signs that differ)")
    above.set_ylim(bottom=0)
    below.set_ylabel("opposite where both change")
    below.axhline(0.5, color=GREY, linestyle="--", linewidth=1)
    below.set_xticks(range(len(layers)), layers, rotation=30 if len(layers) > 6 else 0)
    below.set_xlabel("layer, from the image to the output")
    legend_above(figure, above)
    return figure


def sheet_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """A row for each picture, a column for each thing that was hidden."""
    rows, columns, high, wide = arrays["pictures"].shape[:4]
    tall = high / wide
    figure, axes = new_axes((tall * rows + 0.4) * WIDTH * 1.2 / columns, WIDTH * 1.2)
    for column in range(columns):
        name = clipped(arrays["names"][column], 14)
        axes.text(column + 0.47, -0.05, name, ha="center", va="bottom", fontsize=6)
        for row in range(rows):
            picture = arrays["pictures"][row, column].squeeze()
            extent = (column, column + 0.94, tall * (row + 0.94), tall * row)
            axes.imshow(picture, extent=extent, cmap="gray", vmin=0, vmax=255)
    axes.set_xlim(0, columns)
    axes.set_ylim(tall * rows, -0.25)
    axes.set_axis_off()
    return figure
