"""Whole people whom nobody is, in albums: the same body, face and hair, the clothes of the album, poses and light."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invariantnets.data import people, renderer
from invariantnets.data.banked import Bank, BankedImages, Pixels, Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.cache import cached_images, progress
from invariantnets.data.renderer.nuisances import YES_NO
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS, Nuisance
from invariantnets.sizes import check_room

if TYPE_CHECKING:
    from typing_extensions import Unpack

BLOCK = 64
ROW_BYTES = 512  # what is known of a picture
# Where numbers of test people and of albums to validate on begin: they stay what they are, whatever else there is.
TEST_NUMBER = VAL_ALBUM = 1 << 20
NUISANCES = (
    Nuisance("yaw", "circular", "°"),
    Nuisance("pitch", unit="°"),
    Nuisance("left_arm", unit="°"),
    Nuisance("right_arm", unit="°"),
    Nuisance("light_azimuth", unit="°"),
    Nuisance("light_elevation", unit="°"),
    Nuisance("light_strength"),
    Nuisance("background"),
    Nuisance("clutter"),
    Nuisance("zoom"),
    Nuisance("across"),
    Nuisance("down"),
    *(Nuisance(name, "binary", categories=YES_NO) for name in ("long_sleeves", "long_legs", "stripes", "skirt")),
    Nuisance("top_brightness"),
    Nuisance("bottom_brightness"),
)


class Rows(NamedTuple):
    """The pictures of a split: ``(N,)`` int64 numbers of the person, of the album, and of the picture in it."""

    number: Tensor
    album: Tensor
    picture: Tensor


class SyntheticPeople(BankedImages):
    """Open set: ``num_classes`` people to train on, ``val`` of other albums of them, ``test`` of other people.

    Picture ``p`` of album ``a`` of person ``n`` is a function of (identity_seed, sample_seed, ranges, n, a, p) alone.

    Args:
        num_classes: people trained on.
        image_shape: ``(3, size, size)``.
        albums: of each, to train on; all pictures of an album show the same clothes.
        pictures: in each album.
        val_albums: other albums of the people trained on, to validate on.
        test_identities: other people to test on.
        test_albums: of each of these.
        ranges: what varies from picture to picture → ``[low, high]`` or one value, see ``people.RANGES``. What never
            varies is not declared.
        identity_seed: who number ``n`` is.
        sample_seed: of clothes and pictures.
        cache_dir: where the pictures are kept, and the body that they are drawn with.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: an image that is not square and RGB, too few people or pictures, or impossible ranges.
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: Sequence[int],
        albums: int = 16,
        pictures: int = 3,
        val_albums: int = 2,
        test_identities: int = 50,
        test_albums: int = 4,
        ranges: Mapping[str, Sequence[float] | float] | None = None,
        identity_seed: int = 0,
        sample_seed: int = 0,
        cache_dir: str = "",
        **stream: Unpack[Stream],
    ):
        channels, height, width = image_shape
        if channels != 3 or height != width or height < 32:
            raise InvariantNetsError(
                f"data.image_shape={list(image_shape)}: people are drawn as [3, size, size], 32 or more"
            )
        sizes = {"num_classes": (num_classes, 2), "albums": (albums, 1), "pictures": (pictures, 1)}
        sizes |= {
            "val_albums": (val_albums, 0),
            "test_identities": (test_identities, 0),
            "test_albums": (test_albums, 0),
        }
        for name, (value, least) in sizes.items():
            if not least <= value <= TEST_NUMBER:
                raise InvariantNetsError(f"data.{name}={value}: must be {least} to {TEST_NUMBER}")
        if not cache_dir:
            raise InvariantNetsError("data.cache_dir: name a folder; the body that people are drawn with is kept there")
        count = pictures * (num_classes * (albums + val_albums) + test_identities * test_albums)
        check_room(f"data: {count:,} pictures of people", count * ROW_BYTES)
        self.rows = {
            "train": _rows(0, num_classes, 0, albums, pictures),
            "val": _rows(0, num_classes, VAL_ALBUM, val_albums, pictures),
            "test": _rows(TEST_NUMBER, test_identities, 0, test_albums, pictures),
        }
        self.ranges, self.seeds, self.cache_dir = (
            people.check_ranges(ranges or {}),
            (identity_seed, sample_seed),
            cache_dir,
        )
        self.nuisance = {split: self._known(rows) for split, rows in self.rows.items()}
        varying = tuple(
            n for n in NUISANCES if torch.cat([q[n.name] for q in self.nuisance.values()]).unique().numel() > 1
        )
        super().__init__(DataSpec((3, height, width), num_classes, varying), **stream)

    def _known(self, rows: Rows) -> dict[str, Tensor]:
        told = people.known(*rows, seeds=self.seeds, ranges=self.ranges)
        values = told.scene | told.poses | told.worn.known()
        return {n.name: torch.from_numpy(values[n.name]).float() for n in NUISANCES}

    def columns(self, split: str) -> dict[str, np.ndarray]:
        """``person``, ``album``, ``picture`` and all that varies, of each picture of a split: name → ``(N,)``.

        Albums are numbered for each person by itself: those of the same number have nothing in common.
        """
        number, album, picture = (part.numpy() for part in self.rows[split])
        known = {name: values.numpy() for name, values in self.nuisance[split].items()}
        return {"person": number, "album": album, "picture": picture, **known}

    def figures(self, split: str, row: Tensor) -> Iterator[people.Figure]:
        """Some pictures of a split, by number, as they are drawn: with keypoints, parts and box."""
        some, size = (part[row] for part in self.rows[split]), self.spec.image_shape[-1]
        return people.figures(*some, size=size, cache_dir=self.cache_dir, seeds=self.seeds, ranges=self.ranges)

    def key(self, split: str) -> dict[str, Any]:
        """All that determines the pictures of a split."""
        rows = self.rows[split]
        return {
            "ranges": self.ranges,
            "seeds": self.seeds,
            "shape": self.spec.image_shape,
            "drawing": _sources(),
            "rows": hashlib.sha256(b"".join(part.numpy().tobytes() for part in rows)).hexdigest(),
        }

    def prepare_data(self) -> None:
        """One process of a machine draws; the others find the file."""
        for split in SPLITS:
            self._images(split)

    def load(self) -> str:
        """Nothing is read. The checksum is that of all that determines the pictures."""
        keys = [self.key(split) for split in SPLITS]
        return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()

    def make_bank(self, split: str) -> Bank:
        """Draw a split, or map it from the cache."""
        nuisance = {n.name: self.nuisance[split][n.name][:, None] for n in self.spec.nuisances}
        first = sum(len(self.rows[s].number) for s in SPLITS[: SPLITS.index(split)])
        return Bank(self._images(split), self.labels(split), nuisance, first)

    def labels(self, split: str) -> Tensor:
        """``(N,)`` of the pictures of a split."""
        return self.rows[split].number - (TEST_NUMBER - self.spec.num_classes if split == "test" else 0)

    def _images(self, split: str) -> Pixels:
        shape = (len(self.rows[split].number), *self.spec.image_shape)
        return cached_images(
            self.cache_dir, "synthetic_people", self.key(split), shape, lambda: self._drawn(split)
        ).part(slice(None))

    def _drawn(self, split: str) -> Iterator[Tensor]:
        count, left = len(self.rows[split].number), self.figures(split, torch.arange(len(self.rows[split].number)))
        for start in progress(range(0, count, BLOCK), "drawing people"):
            block = [next(left).image for _ in range(min(BLOCK, count - start))]
            yield torch.from_numpy(np.stack(block)).permute(0, 3, 1, 2)

    def identities(self, split: str) -> tuple[str, ...]:
        """``people/<identity seed>/<number>`` of everybody in a split."""
        return tuple(f"people/{self.seeds[0]}/{number}" for number in self.rows[split].number.unique().tolist())

    def listed(self, split: str) -> np.ndarray:
        """The number of the person on each picture."""
        return self.rows[split].number.numpy()

    def names(self, split: str) -> np.ndarray:
        """``people/<identity seed>/<number>/<album>/<picture>``."""
        every = zip(*(part.tolist() for part in self.rows[split]), strict=True)
        return np.array(["/".join(("people", str(self.seeds[0]), *map(str, one))) for one in every], dtype=str)


def _rows(first_number: int, count: int, first_album: int, albums: int, pictures: int) -> Rows:
    """Everybody's pictures, a person's together, and an album's."""
    number, album, picture = torch.meshgrid(
        torch.arange(count) + first_number, torch.arange(albums) + first_album, torch.arange(pictures), indexing="ij"
    )
    return Rows(number.flatten(), album.flatten(), picture.flatten())


def _sources() -> str:
    """SHA-256 of the code and the version of the package that draw: older ones' pictures are not taken for these.

    Raises:
        InvariantNetsError: the package is not installed.
    """
    try:
        digest = hashlib.sha256(version("anny").encode())
    except PackageNotFoundError:
        raise people.missing() from None
    for package in (people, renderer):
        for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
