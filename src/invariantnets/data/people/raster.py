"""Triangles to pixels, by a z-buffer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EDGE = -1e-7  # shares this far below 0 are still inside: no pixel falls between two triangles with a common edge


class Surface(NamedTuple):
    """What is foremost at each pixel.

    Attributes:
        face: ``(H, W)`` int64 number of the triangle, -1 where there is none.
        share: ``(H, W, 3)`` float64 barycentric coordinates in it, 0 where there is none.
        depth: ``(H, W)`` float64, infinite where there is none.
    """

    face: np.ndarray
    share: np.ndarray
    depth: np.ndarray


def rasterise(xy: np.ndarray, depth: np.ndarray, faces: np.ndarray, height: int, width: int) -> Surface:
    """The foremost triangle at the centre of each pixel; those that are seen from behind are left out.

    Every triangle is tried at all pixel centres of its bounding box, all triangles at once.

    Args:
        xy: ``(V, 2)`` where the vertices are in the picture: x to the right, y down; pixel centres are whole numbers.
        depth: ``(V,)`` how far they are; smaller is nearer.
        faces: ``(F, 3)`` int64; seen from before, their corners go round anticlockwise as a person sees them.
        height: of the picture.
        width: of the picture.
    """
    (ax, bx, cx), (ay, by, cy) = xy[faces, 0].T, xy[faces, 1].T
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    front = np.flatnonzero(area < 0)  # y goes down: anticlockwise is a negative area
    ax, bx, cx, ay, by, cy, area = (of[front] for of in (ax, bx, cx, ay, by, cy, area))
    left, wide = _centres(ax, bx, cx, width)
    top, high = _centres(ay, by, cy, height)
    tried = np.flatnonzero((wide > 0) & (high > 0))
    count = (wide * high)[tried]
    of = np.repeat(tried, count)
    place = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    down, across = np.divmod(place, wide[of])
    column, row = left[of] + across, top[of] + down
    x, y = column - ax[of], row - ay[of]
    second = (x * (cy - ay)[of] - y * (cx - ax)[of]) / area[of]
    third = (y * (bx - ax)[of] - x * (by - ay)[of]) / area[of]
    first = 1 - second - third
    inside = np.flatnonzero((first >= EDGE) & (second >= EDGE) & (third >= EDGE))
    share = np.stack([first[inside], second[inside], third[inside]], 1)
    of, pixel = front[of[inside]], (row * width + column)[inside]
    far = depth[faces[of]]
    z = far[:, 0] * share[:, 0] + far[:, 1] * share[:, 1] + far[:, 2] * share[:, 2]
    nearest = np.full(height * width, np.inf)
    np.minimum.at(nearest, pixel, z)
    wins = z == nearest[pixel]
    face, shares = np.full(height * width, -1), np.zeros((height * width, 3))
    face[pixel[wins]], shares[pixel[wins]] = of[wins], share[wins]
    return Surface(face.reshape(height, width), shares.reshape(height, width, 3), nearest.reshape(height, width))


def _centres(a: np.ndarray, b: np.ndarray, c: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The first whole number in the picture that is not before any of three, and how many lie between them."""
    first = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c)), 0).astype(np.int64)
    last = np.minimum(np.floor(np.maximum(np.maximum(a, b), c)), size - 1).astype(np.int64)
    return first, last - first + 1
