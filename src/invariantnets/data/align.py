"""Faces brought to one place, or to the front, before anything is trained on them."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageOps

from invariantnets.alignment import Frontal
from invariantnets.alignment.warp import sample
from invariantnets.data import renderer
from invariantnets.data.decode import similarity
from invariantnets.errors import InvariantNetsError

log = logging.getLogger(__name__)
HOW = ("similarity", "frontal")
# People of no data set, whose mean head is the generic one.
GENERIC_SEED, GENERIC_PEOPLE = 20_140_624, 300


@lru_cache(maxsize=1)
def generic_head() -> np.ndarray:
    """The mean of 300 rendered heads with neutral faces: ``(68, 3)`` in mm, iBUG's points."""
    codes = renderer.identity(GENERIC_SEED, torch.arange(GENERIC_PEOPLE))
    neutral = {name: torch.zeros(GENERIC_PEOPLE) for name in renderer.RANGES}
    return renderer.shapes(codes, renderer.frontal(neutral)).double().mean(0).numpy()


@dataclass(frozen=True)
class Align:
    """How pictures of faces are aligned by the 68 points of iBUG's scheme (Taigman et al. 2014, section 2).

    The frame is the same either way: the generic head's points and a margin. A face that is seen from the side has no
    frontal view; it is brought in place by a similarity, and how many were is said.

    Attributes:
        how: ``similarity``: turned, scaled and moved; ``frontal``: warped to the front by an affine camera.
        margin: around the generic points, as a fraction of half their height.
        mirror: of ``frontal``: whether what is hidden is taken from the other half.

    Raises:
        InvariantNetsError: another ``how``, or a margin that leaves nothing.
    """

    how: str = "frontal"
    margin: float = 0.2
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise InvariantNetsError(f"align.how={self.how}: choose from {', '.join(HOW)}")
        if not -0.5 <= self.margin <= 4:
            raise InvariantNetsError(f"align.margin={self.margin}: choose from -0.5 to 4 of half the face's height")

    def frame(self, size: int) -> Frontal:
        """Where points go in pictures of a side in pixels."""
        return _frame(size, self.margin)

    def drawn(self, size: int, window: float) -> int:
        """The side of a picture of ``window`` mm in which a frontal face has as many pixels as it will have."""
        return math.ceil(self.frame(size).scale * window)

    def __call__(self, image: np.ndarray, points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """One picture.

        Args:
            image: ``(C, H, W)`` uint8.
            points: ``(68, 2)`` x and y in its pixels, whose centres are whole numbers.
            size: side of the aligned picture.

        Returns:
            ``(C, size, size)`` uint8, ``(68, 2)`` where its points are now, and whether it was aligned as is asked.

        Raises:
            ValueError: points that are all at one place, or none.
        """
        if not np.isfinite(points).all():
            raise ValueError("its landmarks are no numbers")
        frame = self.frame(size)
        if self.how == "frontal":
            try:
                return frame(image, points, self.mirror), frame.frontal_points(points[None])[0][0], True
            except ValueError:
                pass
        matrix = similarity(points, frame.generic_points)
        back = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))[:2]
        pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), 2)
        moved = sample(image, pixels @ back[:, :2].T + back[:, 2])
        return moved, points @ matrix[:, :2].T + matrix[:, 2], self.how == "similarity"

    def file(self, image: Image.Image, points: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """A picture of a file.

        Args:
            image: any that Pillow opens; turned upright as its EXIF says.
            points: ``(68, 2)`` in its pixels.
            shape: ``(C, size, size)``, ``C`` 1 or 3.

        Returns:
            ``(C, size, size)`` uint8.

        Raises:
            ValueError: as of `__call__`.
        """
        channels, size, _ = shape
        image = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
        large = np.ptp(points, 0).max() / np.ptp(self.frame(size).generic_points, 0).max()
        factor = max(int(large), 1)  # bilinear values are no means: shrunk by a whole factor before
        small = np.atleast_3d(np.asarray(image.reduce(factor)))
        return self(small.transpose(2, 0, 1), (points + 0.5) / factor - 0.5, size)[0]


@lru_cache(maxsize=8)
def _frame(size: int, margin: float) -> Frontal:
    return Frontal.of(generic_head(), size=size, margin=margin)
