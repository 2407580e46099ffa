"""Drawn people for ``benchmarks.poselets``: pictures, the same poses in other clothes, patches, and a sheet of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from invariantnets import poselets
from invariantnets.data import people
from invariantnets.data.people.draw import Figure, draw
from invariantnets.data.people.person import Outfits
from invariantnets.poselets import Look, People, Pictures, Poselet

SIZE = 128
LOOK = Look(4, tuple(1.6 / 1.25**k for k in range(6)))  # short sides of patches are 20 to 61 pixels


def pictures_of(figures: Sequence[Figure], person: np.ndarray) -> Pictures:
    """Of drawn figures."""
    points, visible = (np.stack([getattr(f, name) for f in figures]) for name in ("keypoints", "visible"))
    return Pictures([f.image / 255 for f in figures], person, People(points, visible, np.full((len(points), 2), SIZE)))


def numbers(of: tuple[int, int], first: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Person, album and picture; each picture is of an album of its own."""
    row = torch.arange(of[0] * of[1])
    return first + row // of[1], row % of[1], row % of[1]


def same_poses(which: tuple[torch.Tensor, ...], cache_dir: str, seed: int) -> dict[str, list[Figure]]:
    """Each picture's pose and view again: before another background, in another album's clothes, by another person."""
    told, other = (people.known(which[0], which[1] + more, which[2], seeds=(seed, seed)) for more in (0, 50))
    mesh, frame = people.body(cache_dir), ("yaw", "pitch", "zoom", "across", "down")
    found: dict[str, list[Figure]] = {}
    for k, row in enumerate(told.of):
        pose, scene, light = ({n: v[[k]] for n, v in of.items()} for of in (told.poses, told.scene, other.scene))
        light |= {name: scene[name] for name in frame}
        somebody = (k + len(told.of) // 2) % len(told.of)
        own, new, theirs = (
            Outfits(*(v[[n]] for v in worn)) for worn, n in ((told.worn, k), (other.worn, k), (other.worn, somebody))
        )
        for name, who, worn, around in (
            ("other light and background", row, own, light),
            ("other clothes", row, new, scene),
            ("other person, clothes, light and background", told.of[somebody], theirs, light),
        ):
            found.setdefault(name, []).extend(draw(mesh, told.who, who, worn, pose, around, SIZE))
    return found


def others(poselet: Poselet, train: Pictures, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What to compare a poselet with: HOG of as many patches that do not lie near it."""
    n, seed = len(poselet.person), poselet.seed
    fits = poselets.fit(seed.patch, train.people.rows(slice(seed.person, seed.person + 1)), train.people)
    anyone = rng.choice(np.flatnonzero(np.isfinite(fits.distance)), n, replace=False)
    somewhere: list[poselets.Seed] = []
    while len(somewhere) < n:
        one = poselets.draw_seed(train.people, rng)
        somewhere += [one] if one.cells == seed.cells else []
    a, b = (np.array([complex(getattr(s.patch, name)) for s in somewhere]) for name in "ab")
    rows = np.array([s.person for s in somewhere])
    placed = poselets.Patches(a, b, seed.patch.height, seed.patch.width)
    return {
        "random people": train.described(anyone, fits.patches.rows(anyone), seed.cells, LOOK.cell),
        "random patches": train.described(rows, placed, seed.cells, LOOK.cell),
    }


def spreads(train: Pictures, found: Sequence[Poselet], rng: np.random.Generator, n: int = 10) -> dict[str, np.ndarray]:
    """Spread of keypoints under the nearest patches, under those of random people, and under random patches."""
    rows = []
    for poselet in found:
        seed = poselet.seed
        near = poselets.nearest(seed, train.people, n, train.person)
        fits = poselets.fit(seed.patch, train.people.rows(slice(seed.person, seed.person + 1)), train.people)
        anyone = rng.choice(np.flatnonzero(np.isfinite(fits.distance)), n, replace=False)
        some = [poselets.draw_seed(train.people, rng) for _ in range(n)]
        a, b = (np.array([complex(getattr(s.patch, name)) for s in some]) for name in "ab")
        somewhere = poselets.Patches(a, b, seed.patch.height, seed.patch.width)
        three = (near.patches, near.person), (fits.patches.rows(anyone), anyone), (somewhere, [s.person for s in some])
        rows.append([poselets.spread(patches, train.people.rows(np.array(who))) for patches, who in three])
    return dict(zip(("10 nearest", "10 random people", "10 random patches"), np.array(rows).T, strict=True))


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
