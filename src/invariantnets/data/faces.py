"""Photographs of people in files: decoded once, divided by person, and watched for leakage."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from invariantnets.data.align import Align
from invariantnets.data.banked import Bank, BankedImages, Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.cache import CachedImages, cached_images
from invariantnets.data.decode import decode, fit_image
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Pillow knows formats that are programs, which others run (EPS), or that fetch what they name.
PICTURES = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "JPEG2000", "TGA", "AVIF")


@dataclass(frozen=True)
class Faces:
    """What the lists of a set of faces say, before any image is read.

    Attributes:
        file: ``(N,)`` path of each image below the root.
        person: ``(N,)`` who it shows.
        split: ``(N,)`` of ``train``, ``val``, ``test``.
        nuisance: name → ``(N,)`` numbers or codes.
        landmarks: ``(N, K, 2)`` x and y in pixels of the file, to align with.
    """

    file: np.ndarray
    person: np.ndarray
    split: np.ndarray
    nuisance: Mapping[str, np.ndarray] = field(default_factory=dict)
    landmarks: np.ndarray | None = None

    @property
    def name(self) -> np.ndarray:
        """``(N,)`` the files without their endings, e.g. ``Aaron_Eckhart/Aaron_Eckhart_0001``."""
        return np.array([os.path.splitext(file)[0] for file in self.file.tolist()], dtype=str)

    def rows(self, order: np.ndarray) -> Faces:
        """Some of the images, in some order."""
        return Faces(
            self.file[order],
            self.person[order],
            self.split[order],
            {name: values[order] for name, values in self.nuisance.items()},
            None if self.landmarks is None else self.landmarks[order],
        )


def number_people(person: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Labels: people of ``train`` from 0 by their names, then those who are only in ``test``.

    Returns:
        ``(N,)`` int64.

    Raises:
        InvariantNetsError: somebody in ``val`` who is not in ``train``.
    """
    trained = np.unique(person[split == "train"])
    if unknown := np.setdiff1d(person[split == "val"], trained).tolist():
        raise InvariantNetsError(
            f"{len(unknown)} people of val are not in train, e.g. {unknown[0]}: val holds other images of those "
            "trained on; move them to train or test"
        )
    people = np.concatenate([trained, np.setdiff1d(person, trained)])
    order = np.argsort(people)
    return order[np.searchsorted(people, person, sorter=order)]


class FaceFiles(BankedImages):
    """Base of the sets of photographs. A subclass lists the files: :meth:`list_faces`.

    Images are decoded once, into a file of bytes that is mapped into memory: sets larger than the
    memory work, and all processes share it.

    Args:
        spec: image shape (1 or 3 channels), number of people trained on, nuisances.
        root: folder that the paths start from.
        cache_dir: folder of the decoded images.
        open_set: people of ``test`` must not be in ``train``.
        center_crop: side in pixels of the central square that is kept; None keeps all.
        template: ``(K, 2)`` where landmarks go, in fractions of width and height.
        align: how 68 landmarks of iBUG's scheme are used in place of a template.
        **stream: how training batches are made, see :class:`BankedImages`.

    Raises:
        InvariantNetsError: an image that is neither grey nor RGB.
    """

    def __init__(
        self,
        spec: DataSpec,
        root: str,
        cache_dir: str,
        open_set: bool = True,
        center_crop: int | None = None,
        template: Sequence[Sequence[float]] | None = None,
        align: Align | None = None,
        **stream: Unpack[Stream],
    ):
        if spec.image_shape[0] not in (1, 3):
            raise InvariantNetsError(f"data.image_shape={list(spec.image_shape)}: choose 1 channel (grey) or 3 (RGB)")
        super().__init__(spec, **stream)
        self.root, self.cache_dir, self.open_set, self.center_crop = Path(root), cache_dir, open_set, center_crop
        self.template, self.align = None if template is None else np.asarray(template, np.float64), align
        self._faces: Faces | None = None
        self._images: CachedImages | None = None
        self._label = np.empty(0, np.int64)

    @abstractmethod
    def list_faces(self) -> Faces:
        """Which image shows whom, without reading one."""

    @property
    def faces(self) -> Faces:
        """The list, each split's images together."""
        assert self._faces is not None, "setup() comes first"
        return self._faces

    def prepare_data(self) -> None:
        """One process of a machine decodes; the others find the file."""
        self.setup()

    def load(self) -> str:
        """List, check, and decode unless the cache holds these images.

        Raises:
            InvariantNetsError: another number of people trained on than declared, an image listed
                twice, missing or unreadable, or a person with one image where pairs of images are asked for.
        """
        faces = self.list_faces()
        faces = faces.rows(np.argsort([SPLITS.index(s) for s in faces.split.tolist()], kind="stable"))
        self._faces, self._label = faces, number_people(faces.person, faces.split)
        self.check(faces)
        self.guard()  # before the long work
        owner = type(self).__name__.lower()
        key = [self._files_checksum(), self.center_crop, None if self.template is None else self.template.tolist()]
        key += [self.align.key] if self.align else []
        shape = (len(faces.file), *self.spec.image_shape)
        self._images = cached_images(
            self.cache_dir, owner, key, shape, partial(decode, self._read, faces.file.tolist(), owner)
        )
        digest = hashlib.sha256(self._images.checksum.encode())
        for values in (self._label, faces.split.astype("S5"), *faces.nuisance.values()):
            digest.update(values.tobytes())
        return digest.hexdigest()

    def check(self, faces: Faces) -> None:
        """See that the list is what was declared; :meth:`load` says what is refused."""
        trained, count = np.unique(faces.person[faces.split == "train"], return_counts=True)
        if len(trained) != self.spec.num_classes:
            raise InvariantNetsError(
                f"data.num_classes={self.spec.num_classes}, but train has {len(trained)} people: set "
                f"data.num_classes={len(trained)}"
            )
        if self.views > 1 and self.pairs == "same_class" and (count == 1).any():
            raise InvariantNetsError(
                f"pairs=same_class needs two training images of each person, but {int((count == 1).sum())} people have "
                f"one, e.g. {trained[count == 1][0]}; leave them out"
            )
        root = os.path.abspath(self.root)
        for file in faces.file.tolist():
            if "\0" in file or not os.path.normpath(os.path.join(root, file)).startswith(os.path.join(root, "")):
                raise InvariantNetsError(
                    f"image {file!r} is not below {root}: only what lies there is read; name the folder that holds "
                    "all, with data.root=…"
                )
        names, times = np.unique(faces.name, return_counts=True)
        if (times > 1).any():
            raise InvariantNetsError(
                f"{int((times > 1).sum())} images are listed more than once, e.g. {names[times > 1][0]}; list each once"
            )

    def _files_checksum(self) -> str:
        """Of names, sizes and dates: a file that was exchanged is decoded again."""
        digest = hashlib.sha256("\n".join(self.faces.file.tolist()).encode())
        digest.update(np.array(list(self.stats()), np.int64).tobytes())
        if self.faces.landmarks is not None:
            digest.update(self.faces.landmarks.tobytes())
        return digest.hexdigest()

    def stats(self) -> Iterator[tuple[int, int]]:
        """Size and date of each file that is read."""
        missing = []
        for file in self.faces.file.tolist():
            try:
                found = os.stat(self.root / file)
                yield found.st_size, found.st_mtime_ns
            except OSError:
                missing.append(file)
        if missing:
            raise InvariantNetsError(
                f"{len(missing)} of {len(self.faces.file)} images are missing below {self.root}, e.g. {missing[0]}; "
                "name the folder that holds them, with data.root=…"
            )

    def open_image(self, row: int) -> Image.Image:
        """The image of a row, as it was stored."""
        Image.init()
        known = [name for name in PICTURES if name in Image.OPEN]  # as Pillow was built
        return Image.open(self.root / self.faces.file[row], formats=known)

    def _read(self, row: int) -> np.ndarray:
        points = None if self.faces.landmarks is None else self.faces.landmarks[row]
        with self.open_image(row) as image:
            if self.align is None:
                return fit_image(image, self.spec.image_shape, self.center_crop, points, self.template)
            return self.align.file(image, self.spec.image_shape, self.center_crop, points)

    def make_bank(self, split: str) -> Bank:
        """The images of a split: a part of the file."""
        assert self._images is not None, "setup() comes first"
        rows = self._rows(split)
        nuisance = {
            name: torch.from_numpy(values[rows].astype(np.float32))[:, None]
            for name, values in self.faces.nuisance.items()
        }
        return Bank(self._images.part(rows), torch.from_numpy(self._label[rows]), nuisance, rows.start)

    def _rows(self, split: str) -> slice:
        start = SPLITS.index(split)
        counts = [int((self.faces.split == s).sum()) for s in SPLITS]
        return slice(sum(counts[:start]), sum(counts[: start + 1]))

    def identities(self, split: str) -> tuple[str, ...] | None:
        """Who is in a split; None for a closed set, whose people are tested on other images."""
        return tuple(np.unique(self.faces.person[self._rows(split)]).tolist()) if self.open_set else None

    def listed(self, split: str) -> np.ndarray | None:
        """Who is on each image, once the files are listed."""
        return None if self._faces is None else self._faces.person[self._rows(split)]

    def class_names(self) -> tuple[str | int, ...]:
        """Everybody, those of an open-set test split after those who are trained on."""
        known = dict(zip(self._label.tolist(), self.faces.person.tolist(), strict=True))
        return tuple(known.get(number, str(number)) for number in range(max(known, default=-1) + 1))

    def names(self, split: str) -> np.ndarray:
        """Paths below the root without their endings, e.g. ``Aaron_Eckhart/Aaron_Eckhart_0001``."""
        return self.faces.name[self._rows(split)]
