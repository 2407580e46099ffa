"""A small cache, and what can happen to its file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from invariantnets.data.cache import CachedImages, cached_images

SHAPE = (7, 3, 4, 5)
EACH = 3 * 4 * 5
PIXELS = 7 * EACH
IMAGES = torch.randint(256, SHAPE, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Maker:
    """Gives the images in blocks of three, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Iterator[Tensor]:
        self.calls += 1
        yield from IMAGES.split(3)


def opened(folder: Path, make: Callable[[], Iterator[Tensor]]) -> CachedImages:
    return cached_images(folder, "faces", {"a": 1}, SHAPE, make)


def pixels(images: CachedImages) -> Tensor:
    return images.part(slice(None))[:][:, 0]


def only(folder: Path) -> Path:
    (path,) = folder.glob("*.u8")
    return path


def flip(path: Path, place: int) -> None:
    """One bit, in place; a program that copies over a file does the same."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 16]))


def decay(path: Path, place: int) -> None:
    """One bit, as a disk loses it: without a trace in the file's date."""
    found = path.stat()
    flip(path, place)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
