"""Images decoded or rendered once, in one file that every process maps into memory and checks as it reads."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import mmap
import os
import shutil
import sys
import weakref
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from rich.console import Console
from rich.progress import track
from torch import Tensor

from invariantnets.errors import InvariantNetsError
from invariantnets.files import replacing, sweep_up

log = logging.getLogger(__name__)

DIGEST_BYTES = 32
Shape = tuple[int, int, int, int]


class _Damaged(Exception):
    """Why a file is not what was written, or not what is wanted."""


class _Earlier(_Damaged):
    """It is as an earlier version wrote it, without a checksum of each image."""


@dataclass(eq=False)
class _Mapped:
    """A file that is open.

    Attributes:
        descriptor: to read it by.
        status: what tells it from another file of this name, and from itself after it was written to.
        pixels: ``(N, 1, C, H, W)`` uint8, the file itself.
        expected: ``(N,)`` CRC-32 of each image.
        seen: ``(N,)`` whether the image was compared with it.
        checksum: SHA-256 of all pixels, as they were made.
    """

    descriptor: int
    status: tuple[int, ...]
    pixels: Tensor
    expected: np.ndarray
    seen: np.ndarray
    checksum: str


@dataclass(frozen=True)
class Part:
    """Some of the images that a file holds, indexed as ``(N, 1, C, H, W)`` bytes; checked when they are first read.

    Attributes:
        images: the file.
        number: ``(N,)`` int64, ascending without a gap.
    """

    images: CachedImages
    number: np.ndarray

    @property
    def shape(self) -> torch.Size:
        """``(N, 1, C, H, W)``."""
        return torch.Size((len(self.number), 1, *self.images.shape[1:]))

    def __getitem__(self, index: Any) -> Tensor:
        first = index[0] if isinstance(index, tuple) else index
        wanted = self.number[first.numpy() if isinstance(first, Tensor) else first]
        start = int(self.number[0]) if len(self.number) else 0
        return self.images.checked(np.atleast_1d(wanted))[start : start + len(self.number)][index]


class CachedImages:
    """The images that a key stands for, from their file or made now.

    The file holds the bytes of the images, then the CRC-32 of each, the SHA-256 of them all, that of the key, and the
    SHA-256 of what follows the images. It is written under another name and renamed, so that no other process, and no
    later run, ever sees half of one. No pixel leaves this class unless its image was compared with its checksum since
    the file was opened, or written to by somebody else. Where one differs, the file is made anew.

    Args:
        path: of the file.
        key: text of all that determines the images.
        shape: ``(N, C, H, W)``.
        make: gives the images in blocks ``(B, C, H, W)`` uint8, in order, ``N`` altogether.

    Attributes:
        checksum: SHA-256 of the pixels.

    Raises:
        InvariantNetsError: the file cannot be read or made.
    """

    def __init__(self, path: Path, key: str, shape: Shape, make: Callable[[], Iterable[Tensor]]):
        self.path, self.shape, self._make = path, shape, make
        self._key = hashlib.sha256(key.encode()).digest()
        self._bad: tuple[tuple[int, ...], str] | None = None
        self._mapped: _Mapped | None = self._open()
        self.checksum = self._mapped.checksum

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_mapped": None}  # another process maps the file itself

    def part(self, rows: slice) -> Part:
        """Some images in a row."""
        return Part(self, np.arange(self.shape[0])[rows])

    def checked(self, rows: np.ndarray) -> Tensor:
        """All images, ``(N, 1, C, H, W)`` mapped, of which those of ``rows`` are what they were when they were made.

        Never write to it.

        Raises:
            InvariantNetsError: some are not, and cannot be made again as they were.
        """
        for _ in range(2):
            mapped = self._up_to_date()
            damage = _compare(mapped, rows)
            if damage is None:
                return mapped.pixels
            self._bad, self._mapped = (mapped.status, damage), None
        raise InvariantNetsError(f"{self.path}: {damage}, although it was just made anew: mend the disk or the memory")

    def _up_to_date(self) -> _Mapped:
        """The file, opened again if somebody wrote to it since, or if this is another process."""
        mapped = self._mapped
        if mapped is None or (mapped.descriptor >= 0 and _status(mapped.descriptor) != mapped.status):
            mapped = self._mapped = self._open()
            if mapped.checksum != self.checksum:
                raise InvariantNetsError(
                    f"{self.path}: the images were made anew meanwhile, and are others than this run began with "
                    "(another version of a library?); start the run again"
                )
        return mapped

    def _open(self) -> _Mapped:
        why = ""
        try:
            return self._map()  # without a lock, which cannot be had where nothing can be written
        except FileNotFoundError:
            pass
        except _Damaged as damage:
            why = f"; {damage}"
        except OSError as error:
            raise self._refusal("read", error) from error
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"):  # the first process makes them, the others wait
                sweep_up(self.path.parent, self.path.name)
                try:
                    return self._map()
                except FileNotFoundError:
                    pass
                except _Damaged as damage:
                    level = logging.INFO if isinstance(damage, _Earlier) else logging.WARNING
                    log.log(level, "%s: %s; the cache is made anew", self.path, damage)
                self._write()
                return self._map()
        except _Damaged as damage:
            raise InvariantNetsError(f"{self.path}: {damage}, although it was just made: mend the disk") from None
        except OSError as error:
            raise self._refusal("made", error, why) from error

    def _map(self) -> _Mapped:
        count, images = math.prod(self.shape), self.shape[0]
        if not count:
            none = np.zeros(0, np.uint32)
            pixels = torch.empty(images, 1, *self.shape[1:], dtype=torch.uint8)
            return _Mapped(-1, (), pixels, none, none.astype(bool), hashlib.sha256().hexdigest())
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            mapped = self._mapping(descriptor, count, images)
        except BaseException:
            os.close(descriptor)
            raise
        weakref.finalize(mapped, os.close, descriptor)
        return mapped

    def _mapping(self, descriptor: int, count: int, images: int) -> _Mapped:
        status, size = _status(descriptor), count + 4 * images + 3 * DIGEST_BYTES
        if self._bad is not None and status == self._bad[0]:
            raise _Damaged(self._bad[1])
        if status[2] == count + DIGEST_BYTES:
            raise _Earlier("it was made by an earlier version, and holds no checksum of each image")
        if status[2] != size:
            raise _Damaged(f"it is damaged: {status[2]:,} bytes in place of {size:,}")
        tail = _read(descriptor, size - count, count)
        sums, pixels, key, seal = np.split(np.frombuffer(tail, np.uint8), np.cumsum([4 * images, 32, 32]))
        if hashlib.sha256(tail[:-DIGEST_BYTES]).digest() != seal.tobytes():
            raise _Damaged("it is damaged: its list of checksums is not what was written")
        if key.tobytes() != self._key:
            raise _Damaged("it holds other images than its name says")
        memory = mmap.mmap(descriptor, count, access=mmap.ACCESS_COPY)
        mapped = torch.frombuffer(memory, dtype=torch.uint8).view(images, 1, *self.shape[1:])
        return _Mapped(descriptor, status, mapped, sums.view("<u4"), np.zeros(images, bool), pixels.tobytes().hex())

    def _write(self) -> None:
        digest, sums, each = hashlib.sha256(), list[int](), math.prod(self.shape[1:])
        if shutil.disk_usage(self.path.parent).free < math.prod(self.shape):  # before the long work
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with replacing(self.path) as file:
            for block in self._blocks():
                data = block.contiguous().numpy().reshape(-1).data
                digest.update(data)
                sums += [zlib.crc32(data[start : start + each]) for start in range(0, len(data), each)]
                file.write(data)
            assert len(sums) == self.shape[0], f"{self.path.name}: {len(sums)} images were made, of {self.shape[0]}"
            tail = np.array(sums, "<u4").tobytes() + digest.digest() + self._key
            file.write(tail + hashlib.sha256(tail).digest())

    def _blocks(self) -> Iterable[Tensor]:
        try:
            yield from self._make()
        except OSError as error:  # not the cache's
            raise InvariantNetsError(f"the images of {self.path.name} cannot be made ({error})") from error

    def _refusal(self, what: str, error: OSError, why: str = "") -> InvariantNetsError:
        size, mend = math.prod(self.shape), "mend that"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            folder = next(parent for parent in self.path.parents if parent.exists())
            mend = f"free its disk, which has {shutil.disk_usage(folder).free / 1e9:.2g} GB left"
        return InvariantNetsError(
            f"{self.path}: the cache of {size / 1e9:.2g} GB cannot be {what} ({error.strerror}{why}); {mend}, or "
            "choose another folder with paths.cache_dir=…"
        )


def cached_images(
    folder: str | Path, name: str, key: Any, shape: Shape, make: Callable[[], Iterable[Tensor]]
) -> CachedImages:
    """The images a key stands for, from the cache or made now.

    Args:
        folder: of the cache, ``~`` allowed.
        name: of the data set; begins the file's name, for a person who tidies up.
        key: plain JSON of all that determines the images.
        shape: ``(N, C, H, W)``.
        make: gives the images in blocks ``(B, C, H, W)`` uint8, in order, ``N`` altogether.

    Raises:
        InvariantNetsError: the folder cannot be written to, or the disk is full.
    """
    text = json.dumps([key, shape], sort_keys=True)
    path = Path(folder).expanduser() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.u8"
    return CachedImages(path, text, shape, make)


def _status(descriptor: int) -> tuple[int, ...]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(descriptor: int, count: int, start: int) -> bytes:
    """Bytes of a file; fewer, where the disk does not give them. Reading mapped ones would kill the process then."""
    try:
        return os.pread(descriptor, count, start)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def _compare(mapped: _Mapped, rows: np.ndarray) -> str | None:
    """See that images are what was written, each once. What is wrong, if something is."""
    if mapped.seen[rows].all():
        return None
    each = mapped.pixels[0].numel()
    for row in np.unique(rows[~mapped.seen[rows]]).tolist():
        data, expected = _read(mapped.descriptor, each, row * each), int(mapped.expected[row])
        if len(data) != each or zlib.crc32(data) != expected:
            found = f"{zlib.crc32(data):08x} of {len(data):,} bytes"
            return f"it is damaged: image {row} has the checksum {found} in place of {expected:08x} of {each:,}"
        mapped.seen[row] = True
    return None


def progress(steps: range, text: str) -> Iterable[int]:
    """The steps, with a bar on a terminal; nothing is printed elsewhere."""
    return track(steps, text, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
