"""Pictures that were made for neurons, beside what they began from and real ones (figure 7 of Zhong and Deng 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import WIDTH, clipped

__all__ = ["draw", "made_figure"]

_CAPTION = (
    "A row for each facet of a neuron: first the picture that was made for it, then the mean where the ascent began "
    "and the real pictures that excite the neuron most. What stays of the face is what the ascent began from, and not "
    "what the neuron asks for: compare with the second picture. A picture may excite a neuron several times as much as "
    "any real one and mean nothing, since the network never met such pictures."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """What the inspection ``maximise`` made."""
    arrays = scene.arrays.get("maximise")
    if arrays:
        yield Drawn("maximise.png", made_figure(arrays), "Pictures made for neurons", _CAPTION, "analysis/maximise")


def made_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """A row of tiles for each facet."""
    titles = arrays["titles"]
    count, high, wide, _ = arrays["0_tiles"].shape
    width = WIDTH * 1.2
    row = width / count * high / wide + 0.2
    figure = Figure(figsize=(width, row * len(titles) + 0.1), layout="constrained")
    panels = figure.subplots(len(titles), 1, squeeze=False)[:, 0]
    for i, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        tiles = np.pad(arrays[f"{i}_tiles"], ((0, 0), (0, 0), (0, max(1, wide // 20)), (0, 0)), constant_values=255)
        axes.imshow(np.concatenate(list(tiles), 1).squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(clipped(title, 110), fontsize=7, loc="left", pad=2)
        axes.set_axis_off()
    return figure
