"""Which patches a poselet is learned from: seeds, the nearest patches of other people, and what these look like."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets.geometry import Patches, People, check_people, fit, seen_in, upright

SHAPES = ((12, 8), (8, 8), (8, 12), (16, 8))
"""Height and width of patches in cells of HOG; of 8 pixels, they are 96×64, 64×64, 64×96 and 128×64."""

MIN_SEEN = 4  # in a seed: two keypoints lie on each other under some similarity, whatever the pose
SIDES = (0.2, 0.6)  # of a seed's short side, as a share of the person's longer side
TRIES = 100


class Seed(NamedTuple):
    """A patch on one of some people: which of them, the patch, and its shape in cells."""

    person: int
    patch: Patches
    cells: tuple[int, int]


class Poselet(NamedTuple):
    """A seed, and the ``n`` patches of other people that are nearest to it, nearest first.

    Attributes:
        seed: whence they come.
        person: ``(n,)`` rows of the people.
        patches: ``(n,)`` on their pictures.
        distance: ``(n,)`` D from the seed.
    """

    seed: Seed
    person: np.ndarray
    patches: Patches
    distance: np.ndarray

    @property
    def reach(self) -> float:
        """D of the farthest of its examples: what is nearer is of the poselet."""
        return float(self.distance[-1])


def draw_seed(people: People, rng: np.random.Generator) -> Seed:
    """An upright patch about a keypoint of a random person, within the picture.

    Raises:
        InvariantNetsError: people without keypoints, or no patch that shows `MIN_SEEN` keypoints.
    """
    check_people(people)
    for _ in range(TRIES):
        row = int(rng.integers(len(people.size)))
        cells = SHAPES[rng.integers(len(SHAPES))]
        owner = people.rows(slice(row, row + 1))
        points = owner.keypoints[0][owner.visible[0] & ~np.isnan(owner.keypoints[0]).any(1)]
        short = float(np.ptp(points, axis=0).max() * rng.uniform(*SIDES))
        height, width = (side / min(cells) for side in cells)
        tall, wide = owner.size[0]
        if not 0 < short * width < wide or not short * height < tall:
            continue
        middle = points[rng.integers(len(points))] + rng.uniform(-0.25, 0.25, 2) * short
        # Moved into the picture, whose pixels reach half a pixel beyond their centres.
        x = float(np.clip(middle[0] - short * width / 2, -0.5, wide - 0.5 - short * width))
        y = float(np.clip(middle[1] - short * height / 2, -0.5, tall - 0.5 - short * height))
        patch = upright(x, y, short, height, width)
        if seen_in(_one(patch), owner).sum() >= MIN_SEEN:
            return Seed(row, patch, cells)
    raise InvariantNetsError(
        f"seeds: no patch with {MIN_SEEN} visible keypoints in {TRIES} tries on {len(people.size)} people: "
        "give more people, or more keypoints of each"
    )


def nearest(seed: Seed, people: People, n: int, source: np.ndarray | None = None) -> Poselet:
    """The ``n`` people whose best patch is nearest to a seed, by `invariantnets.poselets.geometry.fit`.

    Args:
        seed: of one of the people.
        people: ``N``.
        n: how many.
        source: ``(N,)`` who each is; the seed's own are left out. The seed's row alone, if None.

    Raises:
        InvariantNetsError: fewer than ``n`` people have a patch within the limits.
    """
    own = slice(seed.person, seed.person + 1)
    fits = fit(seed.patch, people.rows(own), people)
    other = np.arange(len(people.size)) != seed.person if source is None else source != source[seed.person]
    distance = np.where(other, fits.distance, np.inf)
    some = np.isfinite(distance).sum()
    if some < n:
        raise InvariantNetsError(f"poselet: {n} examples are wanted, and {some} of {len(distance)} people have one")
    first = np.argsort(distance, kind="stable")[:n]
    return Poselet(seed, first, fits.patches.rows(first), distance[first])


def spread(patches: Patches, people: People) -> float:
    """Mean squared distance of keypoints from their mean over patches, in units, of keypoints that two patches show.

    Args:
        patches: ``(n,)``, one for each person.
        people: ``n``.
    """
    there = seen_in(patches, people)
    u = np.where(there, patches.units(people.points()), 0)
    count = there.sum(0)
    mean = u.sum(0) / np.maximum(count, 1)
    squares = (there * np.abs(u - mean) ** 2).sum(0)
    enough = count > 1
    return float(squares[enough].sum() / count[enough].sum())


def cut(image: np.ndarray, patch: Patches, cells: tuple[int, int], cell: int, margin: int = 1) -> np.ndarray:
    """The pixels of one patch, upright and at the size of the template; beyond the picture its border goes on.

    Args:
        image: ``(H, W, 3)`` or ``(H, W)``, from 0 to 1.
        patch: one.
        cells: of the patch, down and across.
        cell: side of a cell in pixels.
        margin: cells around the patch, for gradients at its border.

    Returns:
        ``((rows + 2 margin) · cell, (columns + 2 margin) · cell, …)``.
    """
    pixel = 1 / (cell * min(cells))
    down, across = (pixel * (np.arange((side + 2 * margin) * cell) - margin * cell + 0.5) for side in cells)
    z = patch.pixels(across + 1j * down[:, None])
    # Where pixels are left out, their neighbours are averaged; a box of whole pixels is near enough.
    step = max(1, round(pixel / float(np.abs(patch.a))))
    offset = (np.arange(step) - (step - 1) / 2) * pixel / step / patch.a
    planes = image.reshape(*image.shape[:2], -1).transpose(2, 0, 1)
    found = np.zeros((len(planes), *z.shape))
    for dx in offset:
        for dy in 1j * offset:
            at = z + dx + dy
            for i, plane in enumerate(planes):
                found[i] += map_coordinates(plane, [at.imag, at.real], order=1, mode="nearest")
    return (found / step**2).transpose(1, 2, 0).reshape(*z.shape, *image.shape[2:])


def _one(patch: Patches) -> Patches:
    return Patches(patch.a[None], patch.b[None], patch.height, patch.width)
