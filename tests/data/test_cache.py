from __future__ import annotations

import hashlib
import logging
import os
import pickle
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from cached_pictures import EACH, IMAGES, PIXELS, SHAPE, Maker, decay, flip, only, opened, pixels
from torch import Tensor

from invariantnets.data import SyntheticFaces
from invariantnets.data.bootstrap import Subset
from invariantnets.data.cache import DIGEST_BYTES, cached_images
from invariantnets.errors import InvariantNetsError


def test_made_once_and_mapped_afterwards(tmp_path: Path) -> None:
    make = Maker()
    first, second = (opened(tmp_path / "new", make) for _ in range(2))
    assert torch.equal(pixels(first), IMAGES) and torch.equal(pixels(second), IMAGES) and make.calls == 1
    assert first.checksum == second.checksum == hashlib.sha256(IMAGES.numpy().tobytes()).hexdigest()
    path = only(tmp_path / "new")
    assert path.name.startswith("faces-") and path.stat().st_size == PIXELS + 4 * len(IMAGES) + 3 * DIGEST_BYTES


def test_parts_are_indexed_like_tensors(tmp_path: Path) -> None:
    part, expected = opened(tmp_path, Maker()).part(slice(2, 6)), IMAGES[2:6, None]
    assert part.shape == expected.shape
    rows = torch.tensor([[3, 0], [1, 1]])
    for index in ((rows, torch.zeros_like(rows)), rows[0], slice(1, 3), slice(None), 2, -1, torch.arange(4) > 1):
        assert torch.equal(part[index], expected[index])
    with pytest.raises(IndexError):
        part[torch.tensor([4])]  # which the file holds, and the part does not


def test_another_process_maps_the_file_itself(tmp_path: Path) -> None:
    images = cached_images(tmp_path, "faces", 0, SHAPE, in_pairs)
    sent = pickle.dumps(images.part(slice(0, 7)))
    decay(only(tmp_path), 0)
    assert len(sent) < 2000 and torch.equal(pickle.loads(sent)[:][:, 0], IMAGES)


def in_pairs() -> Iterator[Tensor]:
    yield from IMAGES.split(2)


@pytest.mark.parametrize("changed", [({"a": 2}, SHAPE), ({"a": 1}, (7, 3, 5, 4))])
def test_another_key_or_size_is_another_file(tmp_path: Path, changed: tuple) -> None:
    make = Maker()
    opened(tmp_path, make)
    cached_images(tmp_path, "faces", *changed, make)
    assert make.calls == 2 and len(list(tmp_path.glob("*.u8"))) == 2


TAIL = PIXELS, PIXELS + 4 * 7 - 1, PIXELS + 4 * 7, PIXELS + 4 * 7 + 32, PIXELS + 4 * 7 + 95


@pytest.mark.parametrize("place", [0, PIXELS // 2, PIXELS - 1, *TAIL])
def test_a_bit_that_the_disk_lost_is_noticed_and_mended(tmp_path: Path, caplog, place: int) -> None:
    make = Maker()
    opened(tmp_path, make)
    path = only(tmp_path)
    whole = path.read_bytes()
    decay(path, place)
    assert torch.equal(pixels(opened(tmp_path, make)), IMAGES) and make.calls == 2
    assert path.read_bytes() == whole
    (said,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert str(path) in said.message and "damaged" in said.message and "made anew" in said.message
    assert place >= PIXELS or f"image {place // EACH} has the checksum" in said.message
    caplog.clear()
    assert torch.equal(pixels(opened(tmp_path, make)), IMAGES) and make.calls == 2 and not caplog.records


OTHERS: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda whole: whole[:100],
    "without its end": lambda whole: whole[:-1],
    "longer": lambda whole: whole + b"x",
    "empty": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "a page of zeros": lambda whole: bytes(64) + whole[64:],
    "two images exchanged": lambda whole: whole[EACH : 2 * EACH] + whole[:EACH] + whole[2 * EACH :],
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("when", ["before", "while it is mapped"])
def test_a_file_that_is_not_what_was_written_is_made_anew(tmp_path: Path, caplog, name: str, when: str) -> None:
    """In place, as a copy over it does: reading mapped bytes that are no longer there would kill the process."""
    make = Maker()
    images = opened(tmp_path, make)
    assert torch.equal(pixels(images), IMAGES)
    path = only(tmp_path)
    os.utime(path, ns=(0, 0))
    images = opened(tmp_path, make)
    assert torch.equal(pixels(images), IMAGES)
    path.write_bytes(OTHERS[name](path.read_bytes()))
    images = opened(tmp_path, make) if when == "before" else images
    assert torch.equal(pixels(images), IMAGES) and make.calls == 2
    assert "made anew" in caplog.text


def test_a_file_of_another_key_under_this_name_is_made_anew(tmp_path: Path, caplog) -> None:
    make = Maker()
    opened(tmp_path / "here", make)
    cached_images(tmp_path / "there", "faces", {"a": 2}, SHAPE, lambda: repeat(255 - IMAGES, 1))
    path = only(tmp_path / "here")
    path.write_bytes(only(tmp_path / "there").read_bytes())
    assert torch.equal(pixels(opened(tmp_path / "here", make)), IMAGES) and make.calls == 2
    assert "it holds other images than its name says" in caplog.text


def test_a_file_of_an_earlier_version_is_made_anew_without_alarm(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    make = Maker()
    first = opened(tmp_path, make)
    data = IMAGES.numpy().tobytes()
    only(tmp_path).write_bytes(data + hashlib.sha256(data).digest())
    second = opened(tmp_path, make)
    assert torch.equal(pixels(second), IMAGES) and make.calls == 2 and second.checksum == first.checksum
    assert [(r.levelno, "earlier version" in r.message) for r in caplog.records] == [(logging.INFO, True)]


def test_only_what_is_read_is_checked(tmp_path: Path) -> None:
    make = Maker()
    opened(tmp_path, make)
    decay(only(tmp_path), PIXELS - 1)
    part, rows = opened(tmp_path, make).part(slice(None)), torch.arange(6)
    assert torch.equal(part[rows, torch.zeros_like(rows)], IMAGES[:6]) and make.calls == 1
    assert torch.equal(part[6, 0], IMAGES[6]) and make.calls == 2


def test_what_was_checked_is_checked_again_when_somebody_writes_to_the_file(tmp_path: Path) -> None:
    make = Maker()
    opened(tmp_path, make)
    os.utime(only(tmp_path), ns=(0, 0))
    part = opened(tmp_path, make).part(slice(None))
    assert torch.equal(part[0, 0], IMAGES[0]) and make.calls == 1
    flip(only(tmp_path), 0)
    assert torch.equal(part[0, 0], IMAGES[0]) and make.calls == 2


def test_others_that_map_a_damaged_file_take_the_new_one(tmp_path: Path) -> None:
    make, other = Maker(), Maker()
    opened(tmp_path, make)
    decay(only(tmp_path), 0)
    first, second = opened(tmp_path, make), opened(tmp_path, other)
    assert torch.equal(pixels(first), IMAGES) and torch.equal(pixels(second), IMAGES)
    assert (make.calls, other.calls) == (2, 0)


def test_images_that_cannot_be_made_as_they_were_stop_the_run(tmp_path: Path) -> None:
    opened(tmp_path, Maker())
    decay(only(tmp_path), 0)
    images = opened(tmp_path, lambda: repeat(255 - IMAGES, 1))
    with pytest.raises(InvariantNetsError, match="others than this run began with.*start the run again"):
        pixels(images)
    assert torch.equal(pixels(opened(tmp_path, Maker())), 255 - IMAGES)


def test_no_door_gives_unchecked_pixels(tmp_path: Path) -> None:
    """Batches, portraits, the banks as they are, those on a device, and a chosen part of a pool."""

    def make(**changes) -> SyntheticFaces:
        return SyntheticFaces(
            num_classes=2, image_shape=[3, 8, 8], images_per_identity=2, val_images=1, test_identities=1,
            test_images=1, device="cpu", batch_size=4, cache=True, cache_dir=str(tmp_path), **changes,
        )  # fmt: skip

    expected = make().bank("train").image.clone()
    (path,) = (p for p in tmp_path.glob("*.u8") if p.stat().st_size == expected.numel() + 4 * 4 + 3 * DIGEST_BYTES)

    def batch(data: SyntheticFaces) -> Tensor:
        return torch.cat([batch.image for batch in data.loader("train")])

    def portraits(data: SyntheticFaces) -> Tensor:
        return super(SyntheticFaces, data).portraits(np.array([0, 0, 1, 1]))[:, None]

    def subset(data: SyntheticFaces, on_device: bool = False) -> Tensor:
        bank, row = data.bank("train"), torch.arange(4)
        chosen = Subset(bank.stored, bank.label, bank.nuisance, 0, row=row)
        return chosen.to(torch.device("cpu")).image if on_device else chosen.pixels(row, torch.zeros_like(row))[:, None]

    doors: dict[str, Callable[[], Tensor]] = {
        "batches": lambda: batch(make()),
        "the bank": lambda: make().bank("train").image,
        "on a device": lambda: batch(make(on_device=True)),
        "portraits": lambda: portraits(make()),
        "a chosen part": lambda: subset(make()),
        "a chosen part on a device": lambda: subset(make(), True),
    }
    for name, door in doors.items():
        decay(path, 5)
        damaged = path.read_bytes()
        given = door()
        wanted = expected[[0, 0, 2, 2]] if name == "portraits" else expected
        assert torch.equal(given, wanted), name
        assert path.read_bytes() != damaged, name
