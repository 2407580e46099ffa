"""What it costs that every image of a cache is compared with its checksum when it is first read."""

from __future__ import annotations

import statistics
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.data.banked import Pixels
from invariantnets.data.cache import CachedImages, cached_images

BATCH, BLOCK = 64, 256
TOY = {"images": 256, "rounds": 1}


def measure(images: int = 20_000, size: int = 64, rounds: int = 7) -> dict[str, dict[str, float]]:
    """Batches at random from a file that the system holds in memory, each image once; then again."""
    shape = (images, 3, size, size)
    pixels = torch.randint(256, shape, dtype=torch.uint8)
    order = torch.randperm(images).split(BATCH)
    with tempfile.TemporaryDirectory() as folder:

        def opened() -> CachedImages:
            return cached_images(folder, "benchmark", 0, shape, lambda: iter(pixels.split(BLOCK)))

        def mapped() -> Tensor:
            return torch.from_file(str(path), size=pixels.numel(), dtype=torch.uint8).view(images, 1, *shape[1:])

        def checked() -> Pixels:
            return opened().part(slice(None))

        opened()
        (path,) = Path(folder).glob("*.u8")
        variants = {**_passes("checked", checked, order), **_passes("unchecked", mapped, order)}
        variants |= {"opened": lambda: cpu_seconds(opened), "at once": lambda: _whole(checked())}
        variants |= {"crc32": lambda: cpu_seconds(lambda: _checksums(pixels)), "copied": lambda: _copied(pixels)}
        found = alternate(variants, rounds)
    spent = {name: statistics.median(seconds) for name, seconds in found.items()}
    batches = len(order)
    return {
        f"batches of {BATCH} pictures of {size}×{size}": {
            "first use, µs": 1e6 * spent["checked, first"] / batches,
            "unchecked, µs": 1e6 * spent["unchecked, first"] / batches,
            "checked / unchecked": ratio(found["checked, first"], found["unchecked, first"]),
            "later, µs": 1e6 * spent["checked, later"] / batches,
            "later, checked / unchecked": ratio(found["checked, later"], found["unchecked, later"]),
        },
        f"{pixels.numel() / 1e9:.2g} GB": {
            "opened, ms": 1e3 * spent["opened"],
            "checked at once, GB/s": pixels.numel() / spent["at once"] / 1e9,
            "crc32 alone, GB/s": pixels.numel() / spent["crc32"] / 1e9,
            "bound: copied, GB/s": pixels.numel() / spent["copied"] / 1e9,
        },
    }


def _passes(name: str, make: Callable[[], Pixels], order: tuple[Tensor, ...]) -> dict[str, Callable[[], float]]:
    """All images of a file that was just opened, and then all of them again."""
    held: list[Pixels] = []

    def read() -> Iterator[Tensor]:
        return (held[0][rows, torch.zeros_like(rows)] for rows in order)

    def first() -> float:
        held[:] = [make()]
        return later()

    def later() -> float:
        return cpu_seconds(lambda: [batch.shape for batch in read()])

    return {f"{name}, first": first, f"{name}, later": later}


def _whole(pixels: Pixels) -> float:
    return cpu_seconds(lambda: pixels[:])


def _checksums(pixels: Tensor) -> list[int]:
    return [zlib.crc32(image.data) for image in pixels.numpy().reshape(len(pixels), -1)]


def _copied(pixels: Tensor) -> float:
    target = pixels.clone()  # its pages are there already
    return cpu_seconds(lambda: target.copy_(pixels))
