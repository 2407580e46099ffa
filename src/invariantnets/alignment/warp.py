"""Piecewise affine warps: triangles of one mesh, from where they are seen to where they shall be."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import Delaunay, QhullError
from torch.nn import functional as F

from invariantnets.errors import InvariantNetsError

FLAT = 1e-9  # square pixels: a triangle without area
NEAR = 1e-7  # of a weight: what lies on an edge is in both of its triangles


def triangulate(points: np.ndarray) -> np.ndarray:
    """Delaunay triangles of the frontal points, made once for all faces.

    Args:
        points: ``(K, 2)``.

    Returns:
        ``(T, 3)`` corners, all in one sense of rotation.

    Raises:
        InvariantNetsError: fewer than three points, or all on one line.
    """
    try:
        corners = Delaunay(points).simplices
    except (QhullError, ValueError):
        raise InvariantNetsError(f"{len(points)} points on one line have no triangles") from None
    flipped = turn(points[corners]) < 0
    corners[flipped] = corners[flipped][:, ::-1]
    return corners


def turn(triangles: np.ndarray) -> np.ndarray:
    """Twice the signed areas ``(…)`` of triangles ``(…, 3, 2)``: the sign changes where one is seen from behind."""
    (ax, ay), (bx, by) = (np.moveaxis(triangles[..., i, :] - triangles[..., 0, :], -1, 0) for i in (1, 2))
    return ax * by - ay * bx


def source_map(target: np.ndarray, source: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
    """Where each pixel of a warped picture comes from.

    All pixels of the triangles' boxes are tried at once; the last triangle that holds a pixel gives it, in order of
    ``corners``, so that those to be seen are put last.

    Args:
        target: ``(K, 2)`` x and y of the mesh's points in the warped picture, in pixels; centres are whole numbers.
        source: ``(K, 2)`` where they are in the given one.
        corners: ``(T, 3)``.
        size: side of the warped picture.

    Returns:
        ``(size, size, 2)`` float32 x and y; NaN in no triangle.
    """
    at = target[corners]
    whole = np.abs(turn(at)) > FLAT
    at, corners = at[whole], corners[whole]
    # The three weights of a pixel in a triangle are affine in its x and y: (T, 3) each.
    inverse = np.linalg.inv(np.concatenate([at.transpose(0, 2, 1), np.ones((len(at), 1, 3))], 1))
    by_x, by_y, by_1 = np.moveaxis(inverse, 2, 0)
    # Of each row of each triangle, from where to where no weight is negative.
    low, high = (
        np.clip(edge, 0, size).astype(np.int64)
        for edge in (np.ceil(at[..., 1].min(1)), np.floor(at[..., 1].max(1)) + 1)
    )
    row, of = _ragged(low, np.maximum(high - low, 0))
    slope, rest = by_x[of], by_y[of] * row[:, None] + by_1[of] + NEAR
    with np.errstate(divide="ignore", invalid="ignore"):
        edge = -rest / slope
    start = np.where(slope > 0, edge, np.where((slope == 0) & (rest < 0), np.inf, -np.inf)).max(1)
    end = np.where(slope < 0, edge, np.inf).min(1)
    first, last = (
        np.ceil(np.clip(start, 0, size)).astype(np.int64),
        np.floor(np.clip(end, -1, size - 1)).astype(np.int64),
    )
    x, line = _ragged(first, np.maximum(last - first + 1, 0))
    # And there, where it comes from: affine, too.
    seen = source[corners]
    dx, dy, d1 = (np.einsum("tk,tkc->tc", part, seen) for part in (by_x, by_y, by_1))
    begin, step = (dy[of] * row[:, None] + d1[of])[line], dx[of][line]
    found = np.full((size, size, 2), np.nan, np.float32)
    found[row[line], x] = begin + step * x[:, None]
    return found


def _ragged(start: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All whole numbers from each start on, so many, and which start each belongs to."""
    of = np.repeat(np.arange(len(start)), length)
    return np.arange(len(of)) - np.repeat(length.cumsum() - length - start, length), of


def sample(image: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Bilinear values of a picture; outside of it, and at NaN, 0.

    Args:
        image: ``(C, H, W)`` uint8.
        at: ``(…, 2)`` x and y in pixels.

    Returns:
        ``(C, …)`` uint8, rounded.
    """
    _, height, width = image.shape
    place = torch.from_numpy(np.nan_to_num(at * (2 / (width - 1), 2 / (height - 1)) - 1, nan=-9.0)).float()
    pixels = torch.from_numpy(image.astype(np.float32))[None]
    return (
        F.grid_sample(pixels, place.reshape(1, 1, -1, 2), align_corners=True)
        .round_()
        .to(torch.uint8)[0]
        .view(-1, *at.shape[:-1])
        .numpy()
    )
