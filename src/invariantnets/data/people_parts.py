"""Parts of people who do not exist: what poselets fire on, the face where it is frontal, and the whole picture."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock

from invariantnets import poselets
from invariantnets.data import part_finding
from invariantnets.data.banked import Bank, BankedImages, Stream
from invariantnets.data.batch import DataSpec
from invariantnets.data.cache import progress
from invariantnets.data.part_finding import FACE, GLOBAL, POSELET, Learned, learn, parts_on
from invariantnets.data.synthetic_people import SyntheticPeople
from invariantnets.errors import InvariantNetsError
from invariantnets.files import write_atomically
from invariantnets.nuisance import SPLITS

if TYPE_CHECKING:
    from typing_extensions import Unpack

ALL = "all"
BLOCK = 64  # pictures in a file: what an interruption loses


class PeopleParts(BankedImages):
    """One part of all people of a pool, on the pictures where it fires, cut out and brought to one size.

    ``global`` is the whole picture. ``face`` fires where the nose is between the eyes, as the exact keypoints say;
    DeepFace fired on frontal faces. ``poselet 0``, ``poselet 1``, … are detected: of the hits of all poselets those
    count whose cluster tells a torso that matches the person's (section 4.1 of Zhang et al. 2015). They are learned
    from people who are nowhere else, as those of the paper were.

    ``all`` are all of these together, to train a network from which those of the parts are fine-tuned.

    Splits and labels are the pool's. A row's name is that of the picture, so that the parts of a picture find each
    other.

    Args:
        people: the pool, whose image size is that of the pictures that parts are found on.
        part: which.
        image_shape: ``(3, side, side)`` of the part.
        num_classes: of the pool.
        poselets: how many are kept, those that find most people.
        candidates: seeds that are tried.
        examples: patches that each is learned from.
        poselet_seed: of their seeds.
        cache_dir: where parts are kept, in files of `BLOCK` pictures; what is there is not made again.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: an unknown part, a size that cannot be, or what the pool and `invariantnets.poselets` raise.
    """

    def __init__(
        self,
        people: SyntheticPeople,
        part: str,
        image_shape: Sequence[int],
        num_classes: int,
        poselets: int = 10,
        candidates: int = 20,
        examples: int = 80,
        poselet_seed: int = 0,
        cache_dir: str = "",
        **stream: Unpack[Stream],
    ):
        channels, height, width = image_shape
        if channels != 3 or height != width or height < 8:
            raise InvariantNetsError(f"data.image_shape={list(image_shape)}: parts are [3, side, side], 8 or more")
        if num_classes != people.spec.num_classes:
            raise InvariantNetsError(f"data.num_classes={num_classes}, but the pool has {people.spec.num_classes}")
        for name, value in {"poselets": poselets, "candidates": candidates, "examples": examples}.items():
            if value < 1:
                raise InvariantNetsError(f"data.{name}={value}: must be 1 or more")
        if not cache_dir:
            raise InvariantNetsError("data.cache_dir: name a folder; parts are kept there")
        self.parts = (GLOBAL, FACE, *(f"{POSELET}{k}" for k in range(poselets)))
        if part not in (*self.parts, ALL):
            raise InvariantNetsError(f"data.part={part}: choose of {', '.join((*self.parts, ALL))}")
        self.people, self.part, self.cache_dir = people, part, Path(cache_dir).expanduser()
        self.learning = {"keep": poselets, "candidates": candidates, "examples": examples, "seed": poselet_seed}
        super().__init__(DataSpec((3, height, width), num_classes, people.spec.nuisances), **stream)

    @cached_property
    def _key(self) -> dict[str, Any]:
        """All that determines what is in the files."""
        digest = hashlib.sha256()
        for path in (Path(part_finding.__file__), *sorted(Path(str(poselets.__file__)).parent.glob("*.py"))):
            digest.update(path.read_bytes())
        pool = {split: self.people.key(split) for split in SPLITS}
        return {"pool": pool, **self.learning, "side": self.spec.image_shape[-1], "finding": digest.hexdigest()}

    @property
    def folder(self) -> Path:
        """Of the files, in the cache."""
        text = json.dumps(self._key, sort_keys=True)
        return self.cache_dir / f"people_parts-{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    def prepare_data(self) -> None:
        """One process of a machine finds the parts; the others wait, and read the files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            missing = [(s, b) for s in SPLITS for b in self._blocks(s) if not _whole(self._file(s, b))]
            if not missing:
                return
            learned = self._learned()
            for number in progress(range(len(missing)), "finding parts of people"):
                split, block = missing[number]
                rows = np.arange(len(self.people.listed(split)))[block * BLOCK :][:BLOCK]
                figures = self.people.figures(split, torch.from_numpy(rows))
                found = parts_on(figures, rows, learned, self.parts, self.spec.image_shape[-1])
                write_atomically(self._file(split, block), _packed(found))

    def load(self) -> str:
        """Parts are found where they are not there yet. The checksum is that of all that determines them.

        Raises:
            InvariantNetsError: the part fires on no picture to train on, or to choose the best epoch with.
        """
        self.prepare_data()
        for split in ("train", "val"):
            if not len(self.fires(split)):
                raise InvariantNetsError(
                    f"data.part={self.part}: it fires on no picture of {split}: leave it out, or give data.people more "
                    "pictures"
                )
        return hashlib.sha256(json.dumps([self._key, self.part], sort_keys=True).encode()).hexdigest()

    def _blocks(self, split: str) -> range:
        return range(-(-len(self.people.listed(split)) // BLOCK))

    def _file(self, split: str, block: int) -> Path:
        return self.folder / f"{split}-{block:05d}.npz"

    def _read(self, split: str, what: str) -> Iterator[np.ndarray]:
        for block in self._blocks(split):
            path = self._file(split, block)
            try:
                with path.open("rb") as file, np.load(file) as found:
                    for part in self.parts if self.part == ALL else (self.part,):
                        yield found[f"{part}/{what}"]
            except _DAMAGE as error:
                raise InvariantNetsError(f"{path}: damaged ({error}); delete it, and it is made anew") from error

    def fires(self, split: str) -> np.ndarray:
        """``(n,)`` rows of the pool's split on which the part fires; `prepare_data` comes first."""
        return np.concatenate([np.zeros(0, np.int64), *self._read(split, "row")])

    def make_bank(self, split: str) -> Bank:
        """The part, on the pictures where it fires."""
        row = torch.from_numpy(self.fires(split))
        side = self.spec.image_shape[-1]
        cut = np.concatenate([np.zeros((0, 3, side, side), np.uint8), *self._read(split, "cut")])
        nuisance = {n.name: self.people.nuisance[split][n.name][row][:, None] for n in self.spec.nuisances}
        first = sum(len(self.people.listed(s)) for s in SPLITS[: SPLITS.index(split)])
        return Bank(torch.from_numpy(cut)[:, None], self.people.labels(split)[row], nuisance, first)

    def identities(self, split: str) -> tuple[str, ...]:
        """Those of the pool."""
        return self.people.identities(split)

    def names(self, split: str) -> np.ndarray | None:
        """Of the pictures, as in the pool; of ``all`` parts none, since several are of one picture."""
        return None if self.part == ALL else self.people.names(split)[self.fires(split)]

    def _learned(self) -> Learned:
        """Poselets of people who are nowhere else, from the file or learned now."""
        path = self.folder / "poselets.npz"
        if not _whole(path):
            pool, size = self.people, self.people.spec.image_shape[-1]
            drawn: dict[str, Any] = {"cache_dir": pool.cache_dir, "seeds": pool.seeds, "ranges": pool.ranges}
            write_atomically(path, _packed(learn(size, **self.learning, **drawn).flat()))
        with np.load(path) as stored:
            return Learned.of(dict(stored))


_DAMAGE = (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError)


def _whole(path: Path) -> bool:
    """Whether a file is there, and was not cut short."""
    try:
        with path.open("rb") as file, np.load(file):
            return True
    except _DAMAGE:
        return False


def _packed(arrays: dict[str, Any]) -> bytes:
    """Of a file ``.npz``, whose arrays are read one by one."""
    file = BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
