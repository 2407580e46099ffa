"""Drawn people for ``benchmarks.poselets``: pictures, the same poses in other clothes, and a sheet of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from invariantnets import poselets
from invariantnets.data import people
from invariantnets.data.people.draw import Figure, draw
from invariantnets.data.people.paint import GAMMA, behind
from invariantnets.data.people.person import Outfits
from invariantnets.poselets import People, Poselet

SIZE = 128


@dataclass(frozen=True)
class Pictures:
    """``N`` pictures with one person each: who it is, the keypoints, and HOG at all zooms where it was asked for."""

    images: list[np.ndarray]
    person: np.ndarray
    people: People
    boxes: np.ndarray

    @classmethod
    def of(cls, figures: Sequence[Figure], person: np.ndarray) -> Pictures:
        """Of drawn figures."""
        points, visible, boxes = (
            np.stack([getattr(f, name) for f in figures]) for name in ("keypoints", "visible", "box")
        )
        return cls(
            [f.image / 255 for f in figures], person, People(points, visible, np.full((len(points), 2), SIZE)), boxes
        )


def numbers(of: tuple[int, int], first: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Person, album and picture; each picture is of an album of its own."""
    row = torch.arange(of[0] * of[1])
    return first + row // of[1], row % of[1], row % of[1]


def in_other_clothes(
    which: tuple[torch.Tensor, ...], cache_dir: str, seed: int
) -> tuple[list[Figure], list[Figure]]:  # fmt: skip
    """Each picture again in clothes of another album; and its pose by the next person, in other clothes and light."""
    told, other = (people.known(which[0], which[1] + more, which[2], seeds=(seed, seed)) for more in (0, 50))
    mesh, found = people.body(cache_dir), ([], [])
    frame = ("yaw", "pitch", "zoom", "across", "down")
    for k, row in enumerate(told.of):
        worn, pose = Outfits(*(v[[k]] for v in other.worn)), {n: v[[k]] for n, v in told.poses.items()}
        scene, light = ({n: v[[k]] for n, v in t.scene.items()} for t in (told, other))
        found[0].extend(draw(mesh, told.who, row, worn, pose, scene, SIZE))
        next_one = (k + len(told.of) // 2) % len(told.of)
        worn = Outfits(*(v[[next_one]] for v in other.worn))
        scene = light | {name: scene[name] for name in frame}
        found[1].extend(draw(mesh, told.who, told.of[next_one], worn, pose, scene, SIZE))
    return found


def backgrounds(which: tuple[torch.Tensor, ...], boxes: np.ndarray, seed: int) -> list[np.ndarray]:
    """What is behind people, without them."""
    scene = people.known(*which, seeds=(seed, seed)).scene
    each = ({name: float(v[k]) for name, v in scene.items()} for k in range(len(boxes)))
    return [np.clip(behind(one, SIZE, box), 0, 1) ** GAMMA for one, box in zip(each, boxes, strict=True)]


def sheet(path: str | Path, found: Sequence[Poselet], train: Pictures, side: int = 96) -> None:
    """Rows of seed patches with their ten nearest."""
    rows = []
    for poselet in found:
        seed = poselet.seed
        near = poselets.nearest(seed, train.people, 10, train.person)
        cell = side // max(seed.cells)
        tiles = [poselets.cut(train.images[seed.person], seed.patch, seed.cells, cell, margin=0)]
        tiles += [
            poselets.cut(train.images[r], near.patches.rows(k), seed.cells, cell, 0) for k, r in enumerate(near.person)
        ]
        line = np.ones((side + 6, len(tiles) * (side + 4) + 8, 3))
        for k, tile in enumerate(tiles):
            y, x = (side - tile.shape[0]) // 2 + 3, (side - tile.shape[1]) // 2 + k * (side + 4) + (8 if k else 0)
            line[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        rows.append(line)
    pixels = (255 * np.clip(np.concatenate(rows), 0, 1)).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=80)
