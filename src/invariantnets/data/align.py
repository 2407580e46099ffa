"""Faces brought to one place, or to the front, before anything is trained on them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from invariantnets.alignment import Frontal
from invariantnets.alignment.similarity import inverse, moved, similarity
from invariantnets.alignment.warp import sample
from invariantnets.data.detector import detector, generic_head
from invariantnets.errors import InvariantNetsError

HOW, POINTS = ("similarity", "frontal"), ("exact", "detected")


@dataclass(frozen=True)
class Align:
    """How pictures of faces are aligned by the 68 points of iBUG's scheme (Taigman et al. 2014, section 2).

    The frame is the same either way: the generic head's points and a margin. A face that is seen from the side has no
    frontal view; it is brought in place by a similarity, and how many were is said.

    Attributes:
        how: ``similarity``: turned, scaled and moved; ``frontal``: warped to the front by an affine camera.
        margin: around the generic points, as a fraction of half their height.
        mirror: of ``frontal``: whether what is hidden is taken from the other half.
        points: ``exact``: those of the data; ``detected``: a detector's, which is fitted to rendered faces.
        cache_dir: where that is kept.

    Raises:
        InvariantNetsError: another ``how`` or other ``points``, or a margin that leaves nothing.
    """

    how: str = "frontal"
    margin: float = 0.2
    mirror: bool = False
    points: str = "exact"
    cache_dir: str = ""

    def __post_init__(self) -> None:
        if self.how not in HOW:
            raise InvariantNetsError(f"align.how={self.how}: choose from {', '.join(HOW)}")
        if self.points not in POINTS:
            raise InvariantNetsError(f"align.points={self.points}: choose from {', '.join(POINTS)}")
        if self.points == "detected" and not self.cache_dir:
            raise InvariantNetsError("align.points=detected needs align.cache_dir, where the detector is kept")
        if not -0.5 <= self.margin <= 4:
            raise InvariantNetsError(f"align.margin={self.margin}: choose from -0.5 to 4 of half the face's height")

    @property
    def detects(self) -> bool:
        """Whether points are a detector's."""
        return self.points == "detected"

    @property
    def key(self) -> dict[str, Any]:
        """All that determines what is made of a picture and its points."""
        return {name: value for name, value in asdict(self).items() if name != "cache_dir"}

    def detect(self, images: np.ndarray) -> np.ndarray:
        """Points ``(N, 68, 2)`` of faces ``(N, C, H, W)`` uint8, framed as rendered ones are."""
        return detector(self.cache_dir)[0](images)

    def frame(self, size: int) -> Frontal:
        """Where points go in pictures of a side in pixels."""
        return _frame(size, self.margin, self.cache_dir if self.detects else None)

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
        pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), 2)
        return sample(image, moved(pixels, inverse(matrix))), moved(points, matrix), self.how == "similarity"

    def file(
        self, image: Image.Image, shape: tuple[int, int, int], center_crop: int | None, points: np.ndarray | None
    ) -> np.ndarray:
        """A picture of a file.

        Args:
            image: any that Pillow opens; turned upright as its EXIF says.
            shape: ``(C, size, size)``, ``C`` 1 or 3.
            center_crop: side of the middle square in which points are detected; None: the whole picture.
            points: ``(68, 2)`` in its pixels, where they are known.

        Returns:
            ``(C, size, size)`` uint8.

        Raises:
            ValueError: as of `__call__`; points that are not known, where they are not detected.
        """
        channels, size, _ = shape
        image = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
        if self.detects:
            side = center_crop or min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            middle = np.atleast_3d(np.asarray(image.crop((left, top, left + side, top + side))))
            points = self.detect(middle.transpose(2, 0, 1)[None])[0] + (left, top)
        if points is None:
            raise ValueError("it has no landmarks: align.points=detected")
        large = np.ptp(points, 0).max() / np.ptp(self.frame(size).generic_points, 0).max()
        factor = max(int(large), 1)  # bilinear values are no means: shrunk by a whole factor before
        small = np.atleast_3d(np.asarray(image.reduce(factor)))
        return self(small.transpose(2, 0, 1), (points + 0.5) / factor - 0.5, size)[0]


@lru_cache(maxsize=8)
def _frame(size: int, margin: float, detector_in: str | None) -> Frontal:
    covariance = None if detector_in is None else detector(detector_in)[1]
    return Frontal.of(generic_head(), covariance, size, margin)
