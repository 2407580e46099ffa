"""What neurons see: patches beside their projections (figure 3 of Zhong and Deng 2018), and S (their figure 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import WIDTH, clipped

__all__ = ["draw", "sheet_figure", "similarity_figure"]

_SHEET = (
    "Each box: a part of one of the {top} test pictures of {count} that excite the neuron most, and beside it what a "
    "deconvnet brings back to the pixels from that one activation (grey is 0; each on a scale of its own). Boxes lie "
    "near each other where the neuron reads alike, by t-SNE, pushed onto a grid. Read the share of pictures above each "
    "sheet first: a neuron that fires for most of them does not wait for what its {top} best have in common. A "
    "projection is sharp wherever the picture has edges and the pooling its switches, with random weights too, and of "
    "each picture only one place is shown."
)
_SIMILARITY = (
    "S of each two neurons (equation 2 of Zhong and Deng): how much of its own top activations a neuron has for the "
    "top pictures of the other, the mean of both ways; those that are alike to most come first. Grey: a neuron that "
    "never fires. Of layers with more neurons some, drawn at random. Two neurons that fire for all pictures are alike "
    "whatever they see: the number in brackets is what shuffled pictures give."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """The sheets of each layer, and S of all, where the inspection ``neurons`` was made."""
    arrays = scene.arrays.get("neurons")
    if not arrays:
        return
    count, top = (f"{int(x):,}" for x in arrays["count"])
    about = "analysis/neurons"
    layers, titles = arrays["sheets"][:, 0], arrays["sheets"][:, 1]
    for layer in dict.fromkeys(layers):
        which = np.flatnonzero(layers == layer)
        figure = sheet_figure(arrays, which, titles)
        caption = _SHEET.format(top=top, count=count)
        yield Drawn(f"neurons_{slug(str(layer))}.png", figure, f"What neurons of {layer} see", caption, about)
    found = {r.target: (r.value, r.chance) for r in scene.run if r.probe == "neurons" and not r.where and r.chance}
    shown = [i for i, layer in enumerate(arrays["layers"]) if str(layer) in found]
    if shown:
        names = [str(arrays["layers"][i]) for i in shown]
        figure = similarity_figure([arrays[f"S_{i}"] for i in shown], names, found)
        yield Drawn("neurons_similarity.png", figure, "Similarity of neurons", _SIMILARITY, about)


def sheet_figure(arrays: Mapping[str, np.ndarray], which: Sequence[int] | np.ndarray, titles: np.ndarray) -> Figure:
    """A sheet under the other."""
    width = WIDTH * 1.4
    heights = []
    for i in which:
        high, wide = arrays[f"{i}_patch"].shape[1:3]
        rows, columns = arrays[f"{i}_cell"].max(0) + 1
        heights.append(rows * (high + 0.1 * wide) / (columns * 2.1 * wide) * width + 0.25)
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, i in zip(panels, which, strict=True):
        patch, projection, cell = (arrays[f"{i}_{key}"] for key in ("patch", "projection", "cell"))
        high, wide = patch.shape[1:3]
        rows, columns = cell.max(0) + 1
        gap = max(1, round(0.1 * wide))
        canvas = np.full((rows * (high + gap), columns * (2 * wide + gap), patch.shape[3]), 255, np.uint8)
        for one, back, (row, column) in zip(patch, projection, cell, strict=True):
            top, left = row * (high + gap), column * (2 * wide + gap)
            canvas[top : top + high, left : left + 2 * wide] = np.concatenate([one, back], 1)
        axes.imshow(canvas.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(clipped(titles[i], 130), fontsize=6.5, loc="left", pad=2)
        axes.set_axis_off()
    return figure


def similarity_figure(
    matrices: Sequence[np.ndarray], names: Sequence[str], found: Mapping[str, tuple[float, float | None]]
) -> Figure:
    """A map of each layer, in colours from 0 to 1."""
    columns = min(3, len(matrices))
    rows = -(-len(matrices) // columns)
    figure = Figure(figsize=(WIDTH * 1.4, WIDTH * 1.4 / columns * rows * 1.12 + 0.4), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    shown = None
    colours = colormaps["inferno"].with_extremes(bad="#CCCCCC")
    for axes in panels:
        axes.set_axis_off()
    for axes, matrix, name in zip(panels[: len(names)], matrices, names, strict=True):
        dead = ~np.isfinite(np.diag(matrix))
        mean = np.where(dead, -np.inf, np.nansum(matrix, 1))
        order = np.argsort(-mean, kind="stable")
        shown = axes.imshow(matrix[np.ix_(order, order)], cmap=colours, vmin=0, vmax=1, interpolation="nearest")
        value, chance = found[name]
        axes.set_title(f"{clipped(name)}: mean {value:.3f} ({chance:.3f})", fontsize=7)
    if shown is not None:
        figure.colorbar(shown, ax=list(panels), orientation="horizontal", shrink=0.5, aspect=30, pad=0.02)
    return figure
