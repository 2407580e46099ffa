"""How a face is brought to the front, step by step (figure 1 of Taigman et al. 2014)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.alignment import Frontal, project
from invariantnets.alignment.similarity import moved, similarity
from invariantnets.alignment.warp import triangulate
from invariantnets.data import Align
from invariantnets.figures.style import WIDTH

__all__ = ["steps_figure"]

_SEEN, _HIDDEN = "#4477aa", "#ee6677"


def steps_figure(image: np.ndarray, points: np.ndarray, frame: Frontal) -> Figure:
    """The steps of ``align=similarity`` and ``align=frontal``, of one face.

    Args:
        image: ``(C, H, W)`` uint8.
        points: ``(68, 2)`` in its pixels, exact or detected.
        frame: where they go, of `Align.frame`.

    Raises:
        ValueError: a face that is seen from the side.
    """
    size, shape = frame.size, frame.fit.shape
    corners = triangulate(frame.generic_points)
    in_place, _, _ = Align("similarity")(image, points, size)
    placed = moved(points, similarity(points, frame.generic_points))
    there, (camera,) = frame.frontal_points(points[None])
    target, source, seen = frame.mesh(points)
    figure = Figure(figsize=(WIDTH * 1.2, WIDTH * 0.68), layout="constrained")
    a, b, c, d, e, f, g, h = figure.subplots(2, 4).ravel()
    _show(a, image, "a  points").plot(*points.T, ".", ms=2, color=_SEEN)
    _show(b, in_place, "b  similarity")
    _show(c, in_place, "c  one triangulation").triplot(*placed.T, corners, lw=0.4, color=_SEEN)
    _show(d, image, "d  the generic head's").plot(*project(camera[None], shape)[0].T, ".", ms=2, color=_HIDDEN)
    for kind, colour in ((seen, _SEEN), (~seen, _HIDDEN)):
        if kind.any():
            e.triplot(*source.T, frame.corners[kind], lw=0.4, color=colour)
    _show(e, image, "e  red: hidden")
    frontal = frame(image, points)
    _show(f, frontal, "f  with the residual").plot(*there[0].T, ".", ms=2, color=_SEEN)
    f.plot(*frame.generic_points.T, ".", ms=2, color=_HIDDEN)
    _show(g, frontal, "g  frontal").triplot(*target.T, frame.corners, lw=0.2, color=_SEEN)
    _show(h, frame(image, points, mirror=True), "h  mirrored")
    return figure


def _show(axes: Axes, image: np.ndarray, title: str) -> Axes:
    axes.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
    axes.set(xlim=(-0.5, image.shape[2] - 0.5), ylim=(image.shape[1] - 0.5, -0.5))
    axes.set_title(title, fontsize="small", loc="left", pad=2)
    axes.set_axis_off()
    return axes
