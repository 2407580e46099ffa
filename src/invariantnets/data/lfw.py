"""Labeled Faces in the Wild (Huang et al. 2007), from its folders of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from invariantnets.data.banked import Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.faces import FaceFiles, Faces
from invariantnets.data.lfw_lists import read_people
from invariantnets.division import held_out
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Lfw(FaceFiles):
    """Everything is ``test`` (for a network trained elsewhere), unless some of the people are trained on.

    The lists of its protocols are read by :mod:`invariantnets.data.lfw_lists`; they refer to images
    as :meth:`names` does.

    Args:
        root: folder of the lists and of the folder of images.
        image_shape: ``(C, H, W)`` that images are brought to.
        cache_dir: folder of the decoded images.
        images: folder of images below ``root``, one folder a person: ``lfw-deepfunneled``, ``lfw``, …
        center_crop: side in pixels of the central square that is kept (of 250: 160 is the face with hair).
        train_people: a list of View 1 in ``root``, ``peopleDevTrain.txt``: those people are trained on,
            all others (``peopleDevTest.txt``) are ``test``.
        num_classes: number of people trained on; 0 without ``train_people``.
        min_images: people of ``train_people`` with fewer are left out.
        val_fraction: of each training person's images; people with one image have none.
        split_seed: of that choice.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: a folder or list that is missing; see also :class:`FaceFiles`.
    """

    def __init__(
        self,
        root: str,
        image_shape: Sequence[int],
        cache_dir: str,
        images: str = "lfw-deepfunneled",
        center_crop: int | None = None,
        train_people: str | None = None,
        num_classes: int = 0,
        min_images: int = 1,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        **stream: Unpack[Stream],
    ):
        channels, height, width = image_shape
        spec = DataSpec((channels, height, width), num_classes)
        super().__init__(spec, str(Path(root) / images), cache_dir, center_crop=center_crop, **stream)
        self.train_people = None if train_people is None else Path(root) / train_people
        self.min_images, self.val_fraction, self.split_seed = min_images, val_fraction, split_seed

    def list_faces(self) -> Faces:
        """All images, and whose they are."""
        found = sorted(f"{path.parent.name}/{path.name}" for path in self.root.glob("*/*.jpg"))
        if not found:
            raise InvariantNetsError(
                f"{self.root}: no images <person>/<person>_0001.jpg. Name the folder that holds LFW with data.root=… "
                "and its folder of images with data.images=…; it is distributed at http://vis-www.cs.umass.edu/lfw"
            )
        file = np.array(found)
        person = np.array([name.partition("/")[0] for name in found])
        split = np.full(len(file), "test", dtype="U5")
        if self.train_people is None:
            return Faces(file, person, split)
        listed = [name for fold in read_people(self.train_people) for name in fold]
        if unknown := np.setdiff1d(listed, person).tolist():
            raise InvariantNetsError(
                f"{len(unknown)} people of {self.train_people} have no folder in {self.root}, e.g. {unknown[0]}"
            )
        train = np.isin(person, listed)
        rows = np.flatnonzero(train)
        val = held_out(person[rows], self.val_fraction, numpy_rng(self.split_seed, 1))
        split[rows] = np.where(val, "val", "train")
        people, count = np.unique(person, return_counts=True)
        kept = ~train | (count[np.searchsorted(people, person)] >= self.min_images)
        return Faces(file, person, split).rows(np.flatnonzero(kept))
