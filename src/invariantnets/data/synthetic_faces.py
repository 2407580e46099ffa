"""Faces that nobody has, drawn by our own renderer: any number of people, every nuisance known exactly."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invariantnets.data import renderer
from invariantnets.data.align import Align
from invariantnets.data.banked import Bank, BankedImages, Pixels, Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.cache import cached_images, progress
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS
from invariantnets.sizes import check_room

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger(__name__)
BLOCK = 256
ROW_BYTES = 128  # what is known of a picture
# Where numbers of test people and of validation pictures begin: they stay who and what they are, however
# many others there are.
TEST_NUMBER = VAL_SAMPLE = 1 << 20


class Rows(NamedTuple):
    """The pictures of a split: ``(N,)`` int64 numbers of the person and of the picture of that person."""

    number: Tensor
    sample: Tensor


class SyntheticFaces(BankedImages):
    """Open set: ``num_classes`` people to train on, ``val`` of other pictures of them, ``test`` of other people.

    Picture ``s`` of person ``n`` is a function of (identity_seed, sample_seed, ranges, n, s) alone.

    Args:
        num_classes: people trained on.
        image_shape: ``(3, size, size)``.
        images_per_identity: pictures of each to train on.
        val_images: other pictures of each to validate on.
        test_identities: other people to test on.
        test_images: pictures of each of these.
        first_identity: number of the first person trained on: past another set's, nobody is in both.
        ranges: nuisance → ``[low, high]``, ``[low, mode, high]``, one value, or a probability; see
            ``renderer.RANGES``, which holds those that are not given. A nuisance that never varies is not declared.
        identity_seed: of the population: who number ``n`` is.
        sample_seed: of the pictures.
        cache: keep the pictures in ``cache_dir`` for other runs and processes. Else each process draws its own.
        cache_dir: where.
        align: how they are brought to one place; None: as they are drawn.
        device: where they are drawn: ``auto`` (the accelerator if there is one), ``cpu``, ``cuda``.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: an image that is not square and RGB, too few people, or impossible ranges.
    """

    def __init__(
        self,
        num_classes: int,
        image_shape: Sequence[int],
        images_per_identity: int = 40,
        val_images: int = 4,
        test_identities: int = 100,
        test_images: int = 15,
        first_identity: int = 0,
        ranges: Mapping[str, Sequence[float] | float] | None = None,
        identity_seed: int = 0,
        sample_seed: int = 0,
        cache: bool = False,
        cache_dir: str = "",
        align: Align | None = None,
        device: str = "auto",
        **stream: Unpack[Stream],
    ):
        channels, height, width = image_shape
        if channels != 3 or height != width:
            raise InvariantNetsError(f"data.image_shape={list(image_shape)}: the renderer draws [3, size, size]")
        _check_sizes(
            first_identity=(first_identity, 0, TEST_NUMBER - 2),
            num_classes=(num_classes, 2, TEST_NUMBER - first_identity),
            images_per_identity=(images_per_identity, 1, VAL_SAMPLE),
            val_images=(val_images, 0, VAL_SAMPLE),
            test_identities=(test_identities, 0, TEST_NUMBER),
            test_images=(test_images, 0, VAL_SAMPLE),
        )
        pictures = num_classes * (images_per_identity + val_images) + test_identities * test_images
        each = ROW_BYTES + (0 if cache else channels * height * width)
        check_room(f"data: {pictures:,} pictures of {height}×{width}", pictures * each)
        self.rows = {
            "train": _rows(first_identity, num_classes, 0, images_per_identity),
            "val": _rows(first_identity, num_classes, VAL_SAMPLE, val_images),
            "test": _rows(TEST_NUMBER, test_identities, 0, test_images),
        }
        self.first_identity, self.align = first_identity, align
        self.ranges, self.seeds = renderer.check_ranges(ranges or {}), (identity_seed, sample_seed)
        self.nuisance = {split: self._drawn(rows) for split, rows in self.rows.items()}
        varying = tuple(
            n for n in renderer.NUISANCES if torch.cat([q[n.name] for q in self.nuisance.values()]).unique().numel() > 1
        )
        super().__init__(DataSpec((3, height, width), num_classes, varying), **stream)
        if cache and not cache_dir:
            raise InvariantNetsError("data.cache=true needs data.cache_dir")
        self.cache_dir = cache_dir if cache else None
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device

    def _drawn(self, rows: Rows) -> dict[str, Tensor]:
        codes = renderer.identity(self.seeds[0], rows.number)
        return renderer.nuisances(self.ranges, self.seeds[1], rows.number, rows.sample, codes)

    def _key(self, rows: Rows) -> dict[str, Any]:
        """All that determines the pictures."""
        return {
            "ranges": {name: _plain(spread) for name, spread in self.ranges.items()},
            "seeds": self.seeds,
            "shape": self.spec.image_shape,
            "renderer": _sources(),
            **({"align": self.align.key} if self.align else {}),
            "rows": hashlib.sha256(b"".join(part.numpy().tobytes() for part in rows)).hexdigest(),
        }

    def prepare_data(self) -> None:
        """With a cache, one process of a machine draws; the others find the file."""
        if self.cache_dir is not None:
            for split in SPLITS:
                self._images(split)

    def load(self) -> str:
        """Nothing is read. The checksum is that of all that determines the pictures."""
        keys = [self._key(self.rows[split]) for split in SPLITS]
        return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()

    def make_bank(self, split: str) -> Bank:
        """Draw a split, or map it from the cache."""
        number = self.rows[split].number
        label = number - (TEST_NUMBER - self.spec.num_classes if split == "test" else self.first_identity)
        nuisance = {n.name: self.nuisance[split][n.name][:, None] for n in self.spec.nuisances}
        first = sum(len(self.rows[s].number) for s in SPLITS[: SPLITS.index(split)])
        return Bank(self._images(split), label, nuisance, first)

    def _images(self, split: str) -> Pixels:
        rows = self.rows[split]
        return self._stored(rows, rows.number, self.nuisance[split])

    def _stored(self, rows: Rows, number: Tensor, nuisance: Mapping[str, Tensor]) -> Pixels:
        """Pictures of some rows, drawn of the person and the nuisances of each, or out of the cache."""
        if self.cache_dir is None:
            return self._in_memory(number, nuisance)[:, None]
        key = {**self._key(rows), "device": torch.device(self.device).type}
        make = partial(self._draw, number, nuisance)
        shape = (len(number), *self.spec.image_shape)
        return cached_images(self.cache_dir, "synthetic_faces", key, shape, make).part(slice(None))

    def _draw(self, number: Tensor, nuisance: Mapping[str, Tensor]) -> Iterator[Tensor]:
        return (drawn.image.cpu() for drawn in self._rendered(number, nuisance))

    def _rendered(self, number: Tensor, nuisance: Mapping[str, Tensor]) -> Iterator[renderer.Rendering]:
        codes, size, sideways = renderer.identity(self.seeds[0], number), self.spec.image_shape[-1], 0
        side = self.align.drawn(size, renderer.WINDOW) if self.align else size
        for start in progress(range(0, len(number), BLOCK), "drawing faces"):
            here = slice(start, start + BLOCK)
            values = {name: value[here].to(self.device) for name, value in nuisance.items()}
            drawn = renderer.render(codes[here].to(self.device), values, side)
            if self.align:
                drawn, aside = _aligned(drawn, self.align, size)
                sideways += aside
            yield drawn
        if sideways:
            log.info("%d of %d faces are seen from the side, and were aligned by a similarity", sideways, len(number))

    def landmarks(self, split: str, image: Tensor) -> np.ndarray:
        """As `BankedImages.landmarks`: the renderer's own 68, exact, also where hair or a scarf hides one."""
        nuisance = {name: values[image] for name, values in self.nuisance[split].items()}
        every = self._rendered(self.rows[split].number[image], nuisance)
        return np.concatenate([np.empty((0, 68, 2)), *(drawn.landmarks.double().cpu().numpy() for drawn in every)])

    def _in_memory(self, number: Tensor, nuisance: Mapping[str, Tensor]) -> Tensor:
        none = torch.empty(0, *self.spec.image_shape, dtype=torch.uint8)
        return torch.cat([none, *self._draw(number, nuisance)])

    def frontal(self, split: str) -> Tensor:
        """Each row's person from the front, neutral and evenly lit: ``(N, 3, size, size)`` uint8."""
        number, place = self.rows[split].number.unique(return_inverse=True)
        return self._neutral(number)[place]

    def portraits(self, label: np.ndarray) -> Tensor:
        """Some of the people trained on, from the front, neutral and evenly lit: ``(N, 3, size, size)`` uint8."""
        return self._neutral(torch.from_numpy(label) + self.first_identity)

    def _neutral(self, number: Tensor) -> Tensor:
        return self._in_memory(number, renderer.frontal(self._drawn(Rows(number, torch.zeros_like(number)))))

    def redrawn(self, split: str, row: Tensor, changed: Mapping[str, float]) -> Tensor:
        """Some pictures of a split with some nuisances at other values, all else as it is.

        Args:
            split: which.
            row: ``(n,)`` int64 numbers of the pictures in it.
            changed: nuisance of the renderer → its value, in all of them; ``glasses`` and the like are 0 or 1.

        Returns:
            ``(n, 3, size, size)`` uint8; with nothing changed, what the split holds.

        Raises:
            InvariantNetsError: a nuisance that the renderer does not have.
        """
        nuisance = {name: values[row] for name, values in self.nuisance[split].items()}
        for name, value in changed.items():
            if name not in renderer.RANGES:
                raise InvariantNetsError(
                    f"{name!r} is no nuisance of the renderer; choose from {', '.join(renderer.RANGES)}"
                )
            nuisance[name] = torch.full_like(nuisance[name], value)
        return self._in_memory(self.rows[split].number[row], nuisance)

    def identities(self, split: str) -> tuple[str, ...]:
        """``synthetic/<identity seed>/<number>`` of everybody in a split."""
        return tuple(f"synthetic/{self.seeds[0]}/{number}" for number in self.rows[split].number.unique().tolist())

    def listed(self, split: str) -> np.ndarray:
        """The number of the person on each picture."""
        return self.rows[split].number.numpy()

    def names(self, split: str) -> np.ndarray:
        """``synthetic/<identity seed>/<number>/<sample>``."""
        pairs = zip(*(part.tolist() for part in self.rows[split]), strict=True)
        return np.array([f"synthetic/{self.seeds[0]}/{number}/{sample}" for number, sample in pairs], dtype=str)


def _check_sizes(**sizes: tuple[int, int, int]) -> None:
    for name, (value, low, high) in sizes.items():
        if not low <= value <= high:
            raise InvariantNetsError(f"data.{name}={value}: must be {low} to {high}")


def _rows(first_number: int, people: int, first_sample: int, images: int) -> Rows:
    """Everybody's pictures, a person's together."""
    number, sample = torch.arange(people) + first_number, torch.arange(images) + first_sample
    return Rows(number.repeat_interleave(images), sample.repeat(people))


def _aligned(drawn: renderer.Rendering, align: Align, size: int) -> tuple[renderer.Rendering, int]:
    """Pictures and their points, and how many could not be aligned as was asked."""
    pictures = drawn.image.cpu().numpy()
    known = align.detect(pictures) if align.detects else drawn.landmarks.double().cpu().numpy()
    image, points, done = zip(*(align(*one, size) for one in zip(pictures, known, strict=True)), strict=True)
    return renderer.Rendering(torch.from_numpy(np.stack(image)), torch.from_numpy(np.stack(points))), done.count(False)


def _plain(spread: Sequence[float] | float) -> list[float] | float:
    return float(spread) if isinstance(spread, int | float) else [float(value) for value in spread]


def _sources() -> str:
    """SHA-256 of the renderer's code: pictures that an older one drew are not taken for this one's."""
    digest = hashlib.sha256()
    for path in sorted(Path(renderer.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
