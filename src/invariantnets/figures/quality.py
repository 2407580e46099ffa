"""Images by how far their features are from the centre (figures 4 and 6 of Parde et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from invariantnets.analysis.quality import PERCENTILES
from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import WIDTH, clipped, new_axes

__all__ = ["draw", "sheet_figure"]

_CAPTION = (
    "Test images, one of each source, by the distance of their features from the {centre}: the nearest first, then "
    "those around three percentiles of {of} images. Below each its distance{value}. If the distance tells quality, the "
    "top row is the worst and the bottom row the best; it may as well tell whatever else makes features short, such as "
    "a pose or a class. The eye finds in {count} pictures what it looks for: the correlations in the table are the "
    "measurement."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """The sheet of the analysis ``quality``, where there were pictures."""
    arrays = scene.arrays.get("quality")
    if not arrays:
        return
    shown = str(arrays["shown"][0])
    caption = _CAPTION.format(
        centre=str(arrays["centre"][0]),
        of=f"{int(arrays['of'][0]):,}",
        value=f" and, in brackets, its {scene.axis('', shown).strip()}" if shown else "",
        count=arrays["distance"].size,
    )
    yield Drawn("quality.png", sheet_figure(arrays), "Images by distance from the centre", caption, "analysis/quality")


def sheet_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """A row of pictures for each percentile."""
    lines, count = arrays["distance"].shape
    high, wide = arrays["pictures"].shape[2:4]
    tall = high / wide
    row = tall + 0.5  # in widths of a picture: what is below it is written into
    figure, axes = new_axes((row * lines + 0.1) * WIDTH * 1.2 / count, WIDTH * 1.2)
    for line in range(lines):
        top = row * line + 0.3
        name = "nearest the centre" if PERCENTILES[line] == 0 else f"around the {PERCENTILES[line]}th percentile"
        axes.text(0, top - 0.04, name, ha="left", va="bottom", fontsize=7)
        for i in range(count):
            axes.imshow(
                arrays["pictures"][line, i], extent=(i, i + 0.94, top + tall * 0.94, top), cmap="gray", vmin=0, vmax=255
            )
            value = clipped(arrays["value"][line, i], 9)
            below = f"{arrays['distance'][line, i]:.3g}" + (f" ({value})" if value else "")
            axes.text(i + 0.47, top + tall * 0.96, below, ha="center", va="top", fontsize=5)
    axes.set_xlim(0, count)
    axes.set_ylim(row * lines + 0.05, 0)
    axes.set_axis_off()
    return figure
