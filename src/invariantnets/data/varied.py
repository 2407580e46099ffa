"""Images that vary by one nuisance, which is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from invariantnets.data.banked import Bank, BankedImages, Stream
from invariantnets.data.batch import DataSpec, parse_range
from invariantnets.data.sources import Images
from invariantnets.data.variation import VARIATIONS, variation_bank
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS
from invariantnets.randomness import numpy_rng

if TYPE_CHECKING:
    from typing_extensions import Unpack


class VariedImages(BankedImages):
    """Training: random values of the nuisance. Validation and test: every image at every value.

    The division is by image, so that no variant of a training image is ever tested on.

    Args:
        source: returns the images as they are.
        num_classes: labels must lie in ``0 .. num_classes - 1``.
        image_shape: ``(C, H, W)`` the source must give.
        nuisance: what varies, one of ``VARIATIONS``.
        values: of the nuisance, in its unit, a list or ``start:stop:step``.
        classes: the source's classes that are kept, numbered anew in this order; None keeps all.
        train_images: no more than so many of the training images, drawn with the seed; None keeps all.
        **stream: how training batches are made, see :class:`BankedImages`.

    Raises:
        InvariantNetsError: an unknown nuisance, labels or shapes other than declared, or a class that the source lacks.
    """

    def __init__(
        self,
        source: Callable[[], Images],
        num_classes: int,
        image_shape: Sequence[int],
        nuisance: str,
        values: Sequence[float] | str,
        classes: Sequence[int] | None = None,
        train_images: int | None = None,
        **stream: Unpack[Stream],
    ):
        if nuisance not in VARIATIONS:
            raise InvariantNetsError(f"data.nuisance={nuisance}: choose from {', '.join(VARIATIONS)}")
        self.variation = VARIATIONS[nuisance]
        channels, height, width = image_shape
        spec = DataSpec((channels, height, width), num_classes, (self.variation.nuisance,))
        super().__init__(spec, **stream)
        self.source, self.values = source, parse_range(values, "data.values")
        self.classes, self.train_images = classes, train_images
        self._images: Images | None = None

    def load(self) -> str:
        """Load the images once, check them against the declaration."""
        images = self._kept(self.source())
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

    def _kept(self, images: Images) -> Images:
        """Those of the wanted classes and, of the training images, so many as are wanted."""
        label = images.label.numpy()
        if self.classes is not None:
            if lacking := sorted(set(self.classes) - set(label.tolist())):
                known = ", ".join(map(str, np.unique(label)))
                raise InvariantNetsError(f"data.classes: the source has no class {lacking[0]}; it has {known}")
            rows = np.flatnonzero(np.isin(label, self.classes))
            number = {old: new for new, old in enumerate(self.classes)}
            label = np.array([number[old] for old in label[rows].tolist()])
            images = Images(images.image[rows], torch.from_numpy(label), images.split[rows])
        train = np.flatnonzero(images.split == "train")
        if self.train_images is None or self.train_images >= len(train):
            return images
        surplus = numpy_rng(self.seed, 7).permutation(train)[self.train_images :]
        rows = np.setdiff1d(np.arange(len(images.label)), surplus)
        return Images(images.image[rows], images.label[rows], images.split[rows])

    def make_bank(self, split: str) -> Bank:
        """Every image of a split at every value."""
        assert self._images is not None
        first = SPLITS.index(split) * len(self._images.label)
        rows = torch.from_numpy(self._images.split == split)
        image = variation_bank(self._images.image[rows], self.variation.vary, self.values)
        values = torch.tensor(self.values).expand(len(image), -1)
        return Bank(image, self._images.label[rows], {self.variation.nuisance.name: values}, first)


class RotatedImages(VariedImages):
    """Images at known angles: the data of section 4 of Rudd et al. (2016).

    Args:
        angles: degrees counter-clockwise, a list or ``start:stop:step``.
        source, num_classes, image_shape, classes, train_images, **stream: see :class:`VariedImages`.
    """

    def __init__(
        self,
        source: Callable[[], Images],
        num_classes: int,
        image_shape: Sequence[int],
        angles: Sequence[float] | str,
        classes: Sequence[int] | None = None,
        train_images: int | None = None,
        **stream: Unpack[Stream],
    ):
        values = parse_range(angles, "data.angles")
        super().__init__(source, num_classes, image_shape, "angle", values, classes, train_images, **stream)
