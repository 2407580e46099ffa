"""Images at known rotation angles: the data of section 4 of Rudd et al. (2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from invariantnets.data.banked import Bank, BankedImages, Stream
from invariantnets.data.batch import SPLITS, DataSpec, Nuisance, parse_range
from invariantnets.data.rotation import rotation_bank
from invariantnets.data.sources import Images
from invariantnets.errors import InvariantNetsError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RotatedImages(BankedImages):
    """Training: random angles. Validation and test: every image at every angle.

    The division is by image, so that no rotation of a training image is ever tested on.

    Args:
        source: returns the upright images.
        num_classes: labels must lie in ``0 .. num_classes - 1``.
        image_shape: ``(C, H, W)`` the source must give.
        angles: degrees counter-clockwise, a list or ``start:stop:step``.
        **stream: how training batches are made, see :class:`BankedImages`.

    Raises:
        InvariantNetsError: labels or shapes other than declared.
    """

    def __init__(
        self,
        source: Callable[[], Images],
        num_classes: int,
        image_shape: Sequence[int],
        angles: Sequence[float] | str,
        **stream: Unpack[Stream],
    ):
        channels, height, width = image_shape
        spec = DataSpec((channels, height, width), num_classes, (Nuisance("angle", "continuous", "°"),))
        super().__init__(spec, **stream)
        self.source, self.angles = source, parse_range(angles, "data.angles")
        self._images: Images | None = None

    def load(self) -> str:
        """Load the images once, check them against the declaration."""
        images = self.source()
        if tuple(images.image.shape[1:]) != self.spec.image_shape:
            raise InvariantNetsError(
                f"the images are {tuple(images.image.shape[1:])}, but data.image_shape says {self.spec.image_shape}"
            )
        low, high = int(images.label.min()), int(images.label.max())
        if low < 0 or high >= self.spec.num_classes:
            raise InvariantNetsError(
                f"labels run from {low} to {high}, but data.num_classes={self.spec.num_classes} allows 0 to "
                f"{self.spec.num_classes - 1}"
            )
        self._images = images
        return images.checksum()

    def make_bank(self, split: str) -> Bank:
        """The rotated images of a split."""
        assert self._images is not None
        first = SPLITS.index(split) * len(self._images.label)
        rows = torch.from_numpy(self._images.split == split)
        image = rotation_bank(self._images.image[rows], self.angles)
        angle = torch.tensor(self.angles).expand(len(image), -1)
        return Bank(image, self._images.label[rows], {"angle": angle}, first)
