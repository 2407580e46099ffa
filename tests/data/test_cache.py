from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from invariantnets.data.cache import DIGEST_BYTES, cached_images
from invariantnets.errors import InvariantNetsError

SHAPE = (7, 3, 4, 5)
IMAGES = torch.randint(256, SHAPE, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Maker:
    """Gives the images in blocks of three, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Iterator[Tensor]:
        self.calls += 1
        yield from IMAGES.split(3)


def test_made_once_and_mapped_afterwards(tmp_path: Path) -> None:
    make = Maker()
    first, checksum = cached_images(tmp_path / "new", "faces", {"a": 1}, SHAPE, make)
    second, again = cached_images(tmp_path / "new", "faces", {"a": 1}, SHAPE, make)
    assert torch.equal(first, IMAGES) and torch.equal(second, IMAGES) and make.calls == 1
    assert checksum == again == hashlib.sha256(IMAGES.numpy().tobytes()).hexdigest()
    (path,) = (tmp_path / "new").glob("*.u8")
    assert path.name.startswith("faces-") and path.stat().st_size == IMAGES.numel() + DIGEST_BYTES


@pytest.mark.parametrize("changed", [({"a": 2}, SHAPE), ({"a": 1}, (7, 3, 5, 4))])
def test_another_key_or_size_is_another_file(tmp_path: Path, changed: tuple) -> None:
    make = Maker()
    cached_images(tmp_path, "faces", {"a": 1}, SHAPE, make)
    cached_images(tmp_path, "faces", *changed, make)
    assert make.calls == 2 and len(list(tmp_path.glob("*.u8"))) == 2


def test_a_truncated_file_is_made_again(tmp_path: Path) -> None:
    make = Maker()
    cached_images(tmp_path, "faces", 0, SHAPE, make)
    (path,) = tmp_path.glob("*.u8")
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(cached_images(tmp_path, "faces", 0, SHAPE, make)[0], IMAGES) and make.calls == 2


def test_an_interrupted_one_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Tensor]:
        yield IMAGES[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_images(tmp_path, "faces", 0, SHAPE, interrupted)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_no_images_need_no_file(tmp_path: Path) -> None:
    assert cached_images(tmp_path / "x", "faces", 0, (0, 3, 4, 5), Maker())[0].shape == (0, 3, 4, 5)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvariantNetsError, match=r"paths\.cache_dir="):
        cached_images(tmp_path / "file", "faces", 0, SHAPE, Maker())


def test_others_wait_for_the_one_that_makes_them(tmp_path: Path) -> None:
    calls: list[int] = []

    def slow() -> Iterator[Tensor]:
        calls.append(1)
        time.sleep(0.1)
        yield IMAGES

    with ThreadPoolExecutor(4) as pool:  # the lock is of the open file: threads stand for processes
        found = list(pool.map(lambda _: cached_images(tmp_path, "faces", 0, SHAPE, slow)[0], range(4)))
    assert len(calls) == 1 and all(torch.equal(images, IMAGES) for images in found)
