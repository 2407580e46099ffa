"""How alike two people's poses are under a patch: the distance that defines poselets (Bourdev and Malik 2009, 2010).

Points are complex numbers, ``x + iy``, so that a similarity without reflection is ``z → a z + b``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from invariantnets.errors import InvariantNetsError

VISIBILITY_WEIGHT = 0.1  # λ
MAX_ROTATION = np.pi / 4
MAX_ZOOM = 4.0
MIN_SHARED = 2  # a similarity has four numbers


class People(NamedTuple):
    """``N`` people, each on a picture of its own; left and right keypoints have places of their own.

    Attributes:
        keypoints: ``(N, K, 2)`` x and y in pixels, whose centres are whole numbers; NaN where nobody knows.
        visible: ``(N, K)`` bool, whether it can be seen on the picture; nothing about patches.
        size: ``(N, 2)`` height and width of the pictures in pixels.
    """

    keypoints: np.ndarray
    visible: np.ndarray
    size: np.ndarray

    def rows(self, which: np.ndarray | slice) -> People:
        """Some of them."""
        return People(self.keypoints[which], self.visible[which], self.size[which])

    def points(self) -> np.ndarray:
        """``(N, K)`` complex; NaN where nobody knows."""
        return np.where(np.isnan(self.keypoints).any(-1), np.nan, self.keypoints @ (1, 1j))


class Patches(NamedTuple):
    """Rectangles on pictures, each by the similarity ``z → a z + b`` from pixels to unit coordinates.

    In these the patch reaches from 0 to ``width`` and from 0 to ``height``, and the shorter of the two is 1.

    Attributes:
        a: ``(…)`` complex: turns and scales. the short side is as many pixels as 1 over its modulus.
        b: ``(…)`` complex: moves.
        height, width: in unit coordinates, the same for all.
    """

    a: np.ndarray
    b: np.ndarray
    height: float
    width: float

    def units(self, z: np.ndarray) -> np.ndarray:
        """Complex pixels ``(…, K)`` in unit coordinates."""
        return self.a[..., None] * z + self.b[..., None]

    def pixels(self, u: np.ndarray) -> np.ndarray:
        """Complex unit coordinates ``(K,)`` in pixels, ``(…, K)``."""
        return (u - self.b[..., None]) / self.a[..., None]

    def inside(self, u: np.ndarray) -> np.ndarray:
        """Which complex unit coordinates are in the patch; NaN is not."""
        with np.errstate(invalid="ignore"):
            return (u.real >= 0) & (u.real <= self.width) & (u.imag >= 0) & (u.imag <= self.height)

    def boxes(self) -> np.ndarray:
        """``(…, 4)`` least x and y, greatest x and y, of the patches if they stood upright about their centres."""
        centre = ((self.width + 1j * self.height) / 2 - self.b) / self.a
        half = np.stack([np.full(centre.shape, self.width / 2), np.full(centre.shape, self.height / 2)], -1)
        half = half / np.abs(self.a)[..., None]
        middle = np.stack([centre.real, centre.imag], -1)
        return np.concatenate([middle - half, middle + half], -1)

    def rows(self, which: np.ndarray | slice) -> Patches:
        """Some of them."""
        return Patches(self.a[which], self.b[which], self.height, self.width)


def upright(x: float, y: float, short: float, height: float, width: float) -> Patches:
    """One patch without a turn: its upper left corner and its short side in pixels, its shape in units."""
    a = np.asarray(1 / short + 0j)
    return Patches(a, -a * (x + 1j * y), height, width)


class Fits(NamedTuple):
    """The best patch of each of ``N`` people, and how far its configuration is from that of the seed.

    Attributes:
        patches: ``(N,)``.
        distance: ``(N,)`` D = procrustes + 0.1 visibility; infinite where there is no patch within the limits.
        procrustes: ``(N,)`` mean squared distance of the shared keypoints, in units of the short side.
        visibility: ``(N,)`` 1 − intersection / union of the keypoints that are seen in the two patches.
    """

    patches: Patches
    distance: np.ndarray
    procrustes: np.ndarray
    visibility: np.ndarray


def check_people(people: People) -> None:
    """Raise `InvariantNetsError` for people without keypoints, and for arrays that do not fit together."""
    n, k = people.visible.shape
    if people.keypoints.shape != (n, k, 2) or people.size.shape != (n, 2):
        raise InvariantNetsError(
            f"people: keypoints {people.keypoints.shape}, visible {people.visible.shape} and size {people.size.shape} "
            "must be (N, K, 2), (N, K) and (N, 2)"
        )
    without = np.flatnonzero(~seen(people).any(1))
    if len(without):
        raise InvariantNetsError(
            f"people: nothing is seen of {len(without)} of {n}, the first in row {without[0]}: leave them out"
        )


def seen(people: People) -> np.ndarray:
    """``(N, K)`` which keypoints are visible and known."""
    return people.visible & ~np.isnan(people.points())


def seen_in(patches: Patches, people: People) -> np.ndarray:
    """``(N, K)`` which keypoints are visible, known, and in the patch of that person."""
    return seen(people) & patches.inside(patches.units(people.points()))


def fit(seed: Patches, owner: People, people: People) -> Fits:
    """For each person the patch whose keypoints lie as those of the seed.

    The similarity is that of least squares over the keypoints that both show and that are in the seed's patch; it
    brings the person into the seed's unit coordinates, so that ``fit`` of A and B is not that of B and A. Limits: two
    shared keypoints, a turn of 45° and a zoom by 4 against the seed, and the patch within the picture.

    The residual is over x and y. The released code has x alone, where it indexes an array of two columns with a list of
    yes and no; distances here are larger than there.

    Args:
        seed: one patch.
        owner: the one person that it is of, ``N = 1``.
        people: others.
    """
    in_seed = seen_in(Patches(seed.a[None], seed.b[None], seed.height, seed.width), owner)[0]
    target = np.nan_to_num(seed.units(owner.points()[0]))
    shown = seen(people)
    z = np.where(shown, people.points(), 0)
    weight = (shown & in_seed).astype(float)
    count = np.maximum(weight.sum(1, keepdims=True), 1)
    middle, centre = (weight * z).sum(1, keepdims=True) / count, (weight * target).sum(1, keepdims=True) / count
    from_middle = weight * (z - middle)
    spread = (np.abs(from_middle) ** 2).sum(1)
    a = (from_middle.conj() * (target - centre)).sum(1) / np.where(spread > 0, spread, 1)
    ratio = a / seed.a
    right = (weight.sum(1) >= MIN_SHARED) & (spread > 0) & (np.abs(a) > 0)
    right &= np.abs(np.angle(ratio)) <= MAX_ROTATION + 1e-12
    right &= (np.abs(ratio) <= MAX_ZOOM * (1 + 1e-12)) & (np.abs(ratio) >= 1 / MAX_ZOOM / (1 + 1e-12))
    a = np.where(right, a, seed.a)
    patches = Patches(a, centre[:, 0] - a * middle[:, 0], seed.height, seed.width)
    right &= within(patches, people.size)
    procrustes = (weight * np.abs(patches.units(z) - target) ** 2).sum(1) / count[:, 0]
    visibility = 1 - overlap_of_sets(in_seed[None], seen_in(patches, people))
    distance = np.where(right, procrustes + VISIBILITY_WEIGHT * visibility, np.inf)
    return Fits(patches, distance, procrustes, visibility)


def within(patches: Patches, size: np.ndarray) -> np.ndarray:
    """``(N,)`` whether all corners are within pictures of ``(N, 2)`` height and width."""
    corners = patches.pixels(np.array([0, patches.width, 1j * patches.height, patches.width + 1j * patches.height]))
    low, slack = -0.5, 1e-9
    across = (corners.real >= low - slack) & (corners.real <= size[:, 1:] + low + slack)
    down = (corners.imag >= low - slack) & (corners.imag <= size[:, :1] + low + slack)
    return np.asarray((across & down).all(-1))


def overlap_of_sets(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of sets ``(N, K)`` bool; 1 where both are empty."""
    union = (a | b).sum(-1)
    return np.where(union > 0, (a & b).sum(-1) / np.maximum(union, 1), 1.0)
