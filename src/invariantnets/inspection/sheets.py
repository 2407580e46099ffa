"""What excites one neuron: patches of pictures beside what a deconvnet makes of them, like ones near each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.inspection.deconvnet import Projected

__all__ = ["Sheet", "alike", "arranged", "grid", "patches_read", "sheet_of", "small_bytes"]

TILE = 40  # pixels of a side of what is kept: there are twenty beside each other
OUTSIDE = 0.01  # of the squares of a projection, that may lie above, below, left and right of what is shown
PERPLEXITY = 15.0
LEAST = 5  # of fewer points there is no map


@dataclass(frozen=True)
class Sheet:
    """Of one neuron, by the place that each has on the sheet.

    Attributes:
        patch: ``(m, h, w, C)`` uint8 what the neuron saw.
        projection: ``(m, h, w, C)`` uint8: 128 is 0, and the largest hundredth of each in size is about 0 or 255.
        cell: ``(m, 2)`` row and column.
        empty: how many projections are 0 everywhere.
    """

    patch: np.ndarray
    projection: np.ndarray
    cell: np.ndarray
    empty: int


def sheet_of(pictures: Tensor, projected: Projected, seed: int) -> Sheet:
    """The sheet of a neuron.

    Args:
        pictures: ``(m, C, H, W)`` uint8.
        projected: of the same.
        seed: of the map.
    """
    boxes = _boxes(_mattering(projected.pixels))
    high, wide = _size(boxes, pictures.shape[2:])
    patches, projections = [], []
    for picture, back, box in zip(pictures, projected.pixels, boxes, strict=True):
        top, left = _corner(box, (high, wide), pictures.shape[2:])
        here = (slice(None), slice(top, top + high), slice(left, left + wide))
        patches.append(picture[here].float())
        projections.append(back[here])
    patch, projection = _small(torch.stack(patches), TILE), _small(torch.stack(projections), TILE)
    size = projection.abs().flatten(1)
    # Of a few numbers the largest is the scale; of many some stand out so far that nothing else would be seen.
    scale = torch.where(size.quantile(0.99, 1) > 0, size.quantile(0.99, 1), size.amax(1).clamp(min=1e-30))
    shown = 128 + 8 * (15.5 * (projection / scale[:, None, None, None]).clamp(-1, 1)).round()
    cell = grid(arranged(patches_read(projected), seed), len(pictures))
    return Sheet(_bytes(patch), _bytes(shown), cell, int((size == 0).all(1).sum()))


def alike(projection: Tensor, other: Tensor) -> tuple[float, float]:
    """Mean cosine of projections of one neuron: of all pairs, and with those of other pictures.

    Args:
        projection: ``(m, C, H, W)``; those that are 0 everywhere do not count.
        other: ``(k, C, H, W)``.

    Returns:
        Both; NaN where there is no pair.
    """
    one, two = (x.flatten(1)[(x != 0).flatten(1).any(1)].double() for x in (projection, other))
    one, two = (F.normalize(x, dim=1) for x in (one, two))
    count = len(one)
    pairs = float(one.sum(0).square().sum() - count) / (count * (count - 1)) if count > 1 else math.nan
    return pairs, float((one @ two.T).mean()) if count and len(two) else math.nan


def patches_read(projected: Projected) -> np.ndarray:
    """What the neuron itself read: of a map, the part of it that the winning place reaches (x of Zhong and Deng).

    Returns:
        ``(m, D)`` float64. Where a patch leaves the map, zeros stand for what is not there. Of a network in which no
        map with weights was found: the pixels of the projection.
    """
    if projected.read is None or projected.reach is None:
        found: np.ndarray = projected.pixels.flatten(1).cpu().double().numpy()
        return found
    read = projected.read
    if read.ndim != 4:
        return read.flatten(1).cpu().double().numpy()
    boxes = _boxes((projected.reach != 0).any(1))
    high, wide = _size(boxes, read.shape[2:])
    rows = []
    for x, box in zip(read, boxes, strict=True):
        if box is None:
            rows.append(x.new_zeros(len(x) * high * wide))
            continue
        top, bottom, left, right = box
        up, over = high - (bottom - top), wide - (right - left)
        # Only at a border is a patch smaller: it is filled on that side.
        before = (up if top == 0 else 0, over if left == 0 else 0)
        sides = (before[1], over - before[1], before[0], up - before[0])
        rows.append(F.pad(x[:, top:bottom, left:right], sides).flatten())
    return torch.stack(rows).cpu().double().numpy()


def arranged(x: np.ndarray, seed: int) -> np.ndarray | None:
    """A map of points by t-SNE, from all of their principal components.

    Args:
        x: ``(m, D)``.
        seed: of the map.

    Returns:
        ``(m, 2)``; None of fewer than five points, or of points that are all the same.
    """
    from sklearn.manifold import TSNE  # here: it takes half a second to import

    x = x - x.mean(0)
    spread = math.sqrt(float((x**2).sum(1).mean()))
    if len(x) < LEAST or spread == 0:
        return None
    left, values, _ = np.linalg.svd(x / spread, full_matrices=False)
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    found: np.ndarray = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(left * values)
    return found


def grid(points: np.ndarray | None, count: int) -> np.ndarray:
    """Each point to a cell of its own, so that the sum of squared ways is least.

    Args:
        points: ``(m, 2)``; None: cells in order.
        count: m.

    Returns:
        ``(m, 2)`` row and column, about twice as many columns as rows.
    """
    from scipy.optimize import linear_sum_assignment

    columns = max(1, math.ceil(math.sqrt(2 * count)))
    cells = np.stack(np.divmod(np.arange(-(-count // columns) * columns), columns), 1)
    if points is None:
        return cells[:count]
    low, high = points.min(0), points.max(0)
    scaled = (points - low) / np.where(high > low, high - low, 1)
    at = cells[:, ::-1] / np.maximum(cells[:, ::-1].max(0), 1)
    _, chosen = linear_sum_assignment(((scaled[:, None] - at[None]) ** 2).sum(2))
    return cells[chosen]


def _mattering(projection: Tensor) -> Tensor:
    """``(m, H, W)`` where the projection is, but for outer rows and columns with a hundredth of its squares at most.

    A neuron of a deep layer reaches nearly the whole picture, and nearly all of that hardly counts.
    """
    squares = projection.double().square().sum(1)
    inside = (projection != 0).any(1)
    for axis in (1, 2):
        along = squares.sum(3 - axis)
        total = along.sum(1, keepdim=True)
        before, behind = along.cumsum(1), along.flip(1).cumsum(1).flip(1)
        matters = (before > OUTSIDE * total) & (behind > OUTSIDE * total)
        inside = inside & matters.unsqueeze(3 - axis)
    return inside


def _boxes(there: Tensor) -> list[tuple[int, int, int, int] | None]:
    """Of each of ``(m, H, W)``: top, bottom, left and right, None where nothing is."""
    boxes: list[tuple[int, int, int, int] | None] = []
    for one in there:
        rows, columns = (torch.nonzero(one.any(axis)).flatten().tolist() for axis in (1, 0))
        boxes.append((rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if rows else None)
    return boxes


def _size(boxes: list[tuple[int, int, int, int] | None], whole: torch.Size) -> tuple[int, int]:
    """The largest height and width."""
    known = [box for box in boxes if box is not None]
    if not known:
        return int(whole[0]), int(whole[1])
    return max(box[1] - box[0] for box in known), max(box[3] - box[2] for box in known)


def _corner(box: tuple[int, int, int, int] | None, size: tuple[int, int], whole: torch.Size) -> tuple[int, int]:
    """Top and left of a patch of that size around a box, inside the whole."""
    top, bottom, left, right = box or (0, int(whole[0]), 0, int(whole[1]))
    middle = ((top + bottom - size[0]) // 2, (left + right - size[1]) // 2)
    return (
        min(max(middle[0], 0), int(whole[0]) - size[0]),
        min(max(middle[1], 0), int(whole[1]) - size[1]),
    )


def small_bytes(x: Tensor, side: int) -> np.ndarray:
    """``(m, C, H, W)`` of 0–255 → ``(m, h, w, C)`` uint8, no side longer than that."""
    return _bytes(_small(x, side))


def _small(x: Tensor, longest: int) -> Tensor:
    most = max(x.shape[2:])
    if most <= longest:
        return x
    size = [max(1, round(side * longest / most)) for side in x.shape[2:]]
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def _bytes(x: Tensor) -> np.ndarray:
    found: np.ndarray = x.clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return found
