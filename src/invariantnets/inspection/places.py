"""Where the parts of a face are in a picture, squares over them, and places that touch none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError

__all__ = ["RIGHT_AND_LEFT", "free_places", "hide", "parts_of", "read_parts", "squares"]

# Of iBUG's 68 points: the eyes, the lower half of the nose with its tip, the lips. Left and right are the person's.
IBUG = {"left eye": slice(42, 48), "right eye": slice(36, 42), "nose": slice(29, 36), "mouth": slice(48, 68)}
# Of the 5 of most detectors: the eye on the left of the picture comes first, which is the person's right one.
FIVE = {"left eye": slice(1, 2), "right eye": slice(0, 1), "nose": slice(2, 3), "mouth": slice(3, 5)}
RIGHT_AND_LEFT = "left and right are the person's"
Named = tuple[list[str], np.ndarray]


def parts_of(points: np.ndarray) -> Named:
    """Names of the parts, and their middles ``(n, P, 2)`` x and y, from ``(n, 68 or 5, 2)`` landmarks.

    Raises:
        InvariantNetsError: another number of points.
    """
    known = {68: IBUG, 5: FIVE}.get(points.shape[1])
    if known is None:
        raise InvariantNetsError(
            f"landmarks: {points.shape[1]} points say nothing of parts; give 68 (iBUG), 5 (eyes, nose, corners of the "
            "mouth), or name each in an array `parts`"
        )
    return list(known), np.stack([points[:, at].mean(1) for at in known.values()], 1)


def read_parts(path: str | Path, images: BankedImages, split: str) -> Named:
    """Parts of the images of a split out of a file, NaN where it does not know an image.

    Args:
        path: ``.npz`` with ``name`` (N,), ``points`` (N, K, 2) and, unless K is 5 or 68, ``parts`` (K,); or ``.csv``
            with a column ``name`` and, for each part, ``<part>_x`` and ``<part>_y``. Pixels of the picture that the
            network is shown.
        images: whose names are looked up.
        split: which of them.

    Raises:
        InvariantNetsError: a file that cannot be read or holds something else, or data without names.
    """
    path = Path(path)
    said = f"inspect.correspondence.landmarks={path}"
    try:
        if path.suffix == ".csv":
            frame = pd.read_csv(path, dtype={"name": str})
            parts = [column[:-2] for column in map(str, frame) if column.endswith("_x") and f"{column[:-2]}_y" in frame]
            known = frame["name"].to_numpy(str)
            points = frame[[f"{part}_{axis}" for part in parts for axis in "xy"]].to_numpy(np.float64)
            named = [part.replace("_", " ") for part in parts], points.reshape(len(frame), -1, 2)
        else:
            with np.load(path, allow_pickle=False) as held:
                known, points = held["name"].astype(str), held["points"].astype(np.float64)
                named = (held["parts"].astype(str).tolist(), points) if "parts" in held else parts_of(points)
    except (OSError, ValueError, KeyError, IndexError) as error:
        why = " ".join(str(error).split())
        raise InvariantNetsError(
            f"{said}: cannot be read ({why}); give a .npz with name and points, or a .csv with name and "
            "left_eye_x, left_eye_y, …"
        ) from None
    if named[1].shape != (len(known), len(named[0]), 2) or not named[0]:
        raise InvariantNetsError(f"{said}: {len(known)} names and {len(named[0])} parts need points of as many × 2")
    names = images.names(split)
    if names is None:
        raise InvariantNetsError(f"{said}: the images of these data have no names to find landmarks by")
    row = pd.Series(np.arange(len(known)), index=known)
    if not row.index.is_unique:
        raise InvariantNetsError(f"{said}: {row.index[row.index.duplicated()][0]!r} is there twice; list each once")
    at = row.reindex(names).to_numpy(np.float64)
    found = np.full((len(names), len(named[0]), 2), np.nan)
    found[~np.isnan(at)] = named[1][at[~np.isnan(at)].astype(np.int64)]
    return named[0], found


def squares(middle: np.ndarray, side: int, high: int, wide: int) -> np.ndarray:
    """Corners of squares around some points, moved to lie wholly inside the picture.

    Args:
        middle: ``(…, 2)`` x and y in pixels.
        side: of the square.
        high: of the picture.
        wide: of the picture.

    Returns:
        ``(…, 2)`` int64, x and y of the pixel at the top left.
    """
    return np.clip(np.round(middle - (side - 1) / 2), 0, [wide - side, high - side]).astype(np.int64)


def free_places(
    parts: np.ndarray, side: int, high: int, wide: int, reach: float, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Squares that touch no part: of every picture its own, and the same of all.

    They lie near the parts, their corners at most ``reach`` from the outermost of the picture's own (of all: from the
    outermost of the mean picture); where there are no parts, anywhere.

    Args:
        parts: ``(m, P, 2)`` corners of the squares over the parts; P may be 0.
        side: of all squares, in pixels.
        high: of the picture.
        wide: of the picture.
        reach: in pixels.
        draws: how many of each kind.
        rng: draws them.

    Returns:
        ``(draws, m, 2)`` of every picture its own, and ``(draws, m, 2)`` the same of all, each None where some picture
        has no room for it.
    """
    grid = np.stack(np.meshgrid(np.arange(wide - side + 1), np.arange(high - side + 1)), -1).reshape(-1, 2)
    free = np.ones((len(parts), len(grid)), bool)
    near = free.copy()
    for i, own in enumerate(parts):
        for corner in own:
            free[i] &= (np.abs(grid - corner) >= side).any(1)
        if len(own):
            near[i] = ((grid >= own.min(0) - reach) & (grid <= own.max(0) + reach)).all(1)
    common = free.all(0)
    if parts.shape[1]:
        low, high_end = parts.min(1).mean(0) - reach, parts.max(1).mean(0) + reach
        common &= ((grid >= low) & (grid <= high_end)).all(1)
    own_room = free & near
    own_places = None
    if own_room.any(1).all():
        own_places = np.stack([grid[rng.choice(np.flatnonzero(room), draws)] for room in own_room], 1)
    if not common.any():
        return own_places, None
    same = grid[rng.choice(np.flatnonzero(common), draws, replace=bool(common.sum() < draws))]
    return own_places, np.repeat(same[:, None], len(parts), 1)


def hide(pictures: Tensor, corner: np.ndarray, side: int) -> Tensor:
    """Pictures with a square of each filled with the picture's mean colour.

    Args:
        pictures: ``(b, C, H, W)`` uint8.
        corner: ``(b, 2)`` x and y of the square's top left.
        side: in pixels.
    """
    at = torch.from_numpy(corner).to(pictures.device)
    row, column = (torch.arange(size, device=pictures.device) for size in pictures.shape[-2:])
    down = (row >= at[:, 1:]) & (row < at[:, 1:] + side)
    along = (column >= at[:, :1]) & (column < at[:, :1] + side)
    mean = pictures.float().mean((2, 3), keepdim=True).round().to(pictures.dtype)
    return torch.where((down[:, :, None] & along[:, None])[:, None], mean, pictures)
