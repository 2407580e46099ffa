"""Pictures before and after: what a network saw, and what was drawn from its features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import WIDTH, clipped, new_axes

__all__ = ["before_and_after", "draw"]

_CAPTION = (
    "Test images that were drawn at random. Above what the network saw, below what a decoder, trained on other images, "
    "draws from the features of the very image; beneath is the {nuisance}. Neighbours are one image at either end of "
    "it, where there are several views. If the lower pictures of such a pair are alike, the decoder did not find the "
    "{nuisance}, which is no proof that it is gone: another might. If they differ as the upper ones do, the features "
    "tell it. A decoder of least squares draws the mean of all pictures that it cannot tell apart, so that what it "
    "does not know is blurred. The eye is no measurement: that is in the table."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """The sheet of the analysis ``decoder``, where it was asked for."""
    arrays = scene.arrays.get("decoder")
    if not arrays:
        return
    caption = _CAPTION.format(nuisance=scene.axis("", str(arrays["shown"][0])).strip())
    title = "Pictures, and what is drawn from their features"
    yield Drawn("decoder.png", before_and_after(arrays), title, caption, "analysis/decoder")


def before_and_after(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Two rows of pictures."""
    count = len(arrays["value"])
    high, wide = arrays["before"].shape[1:3]
    tall = high / wide
    figure, axes = new_axes((2 * tall + 1.1) * WIDTH * 1.2 / max(count, 4), WIDTH * 1.2)
    for line, (name, part) in enumerate((("what the network saw", "before"), ("drawn from its features", "after"))):
        top = line * (tall + 0.35) + 0.35
        axes.text(0, top - 0.05, name, ha="left", va="bottom", fontsize=7)
        for i, picture in enumerate(arrays[part]):
            axes.imshow(picture, extent=(i, i + 0.94, top + tall * 0.94, top), cmap="gray", vmin=0, vmax=255)
    for i, value in enumerate(arrays["value"]):
        axes.text(i + 0.47, 2 * tall + 0.7, clipped(str(value), 9), ha="center", va="top", fontsize=6)
    axes.set_xlim(0, max(count, 4))
    axes.set_ylim(2 * tall + 1.0, 0)
    axes.set_axis_off()
    return figure
