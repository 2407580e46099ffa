from __future__ import annotations

import hashlib
import logging
import os
import pickle
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import repeat
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from invariantnets.data import SyntheticFaces
from invariantnets.data.bootstrap import Subset
from invariantnets.data.cache import DIGEST_BYTES, CachedImages, cached_images
from invariantnets.errors import InvariantNetsError
from programs import FACES, FORKS, SMALL, run

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
        chosen = Subset(bank.stored, bank.label, bank.nuisance, 0, row)
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


def test_an_interrupted_one_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Tensor]:
        yield IMAGES[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, interrupted)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def zeros(told: Connection, seconds: float) -> Iterator[Tensor]:
    yield torch.zeros(3, 3, 4, 5, dtype=torch.uint8)
    told.send("begun")
    time.sleep(seconds)
    yield torch.zeros(4, 3, 4, 5, dtype=torch.uint8)


def open_in_a_program(folder: Path, told: Connection, seconds: float = 0, user: int = 0) -> None:
    if user:
        os.setuid(user)
    try:
        told.send(int(pixels(opened(folder, partial(zeros, told, seconds))).sum()))
    except InvariantNetsError as error:
        told.send(str(error))


def program(*arguments: Any) -> tuple[BaseProcess, Connection]:
    """Another process that opens the cache in a folder, and what it tells."""
    here, there = FORKS.Pipe()
    process = FORKS.Process(target=open_in_a_program, args=(arguments[0], there, *arguments[1:]))
    process.start()
    there.close()
    return process, here


def all_of(told: Connection) -> Iterator[Any]:
    with suppress(EOFError):
        while True:
            yield told.recv()


def test_a_killed_one_is_swept_up_by_the_next(tmp_path: Path) -> None:
    process, told = program(tmp_path, 60)
    assert told.recv() == "begun"
    process.kill()
    process.join()
    assert [path for path in tmp_path.iterdir() if path.suffix == ".part"], "it was in the middle of it"
    make = Maker()
    assert torch.equal(pixels(opened(tmp_path, make)), IMAGES) and make.calls == 1
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".u8"]


def test_no_images_need_no_file(tmp_path: Path) -> None:
    images = cached_images(tmp_path / "x", "faces", 0, (0, 3, 4, 5), Maker())
    assert images.part(slice(None))[:].shape == (0, 1, 3, 4, 5) and not (tmp_path / "x").exists()
    assert images.checksum == hashlib.sha256().hexdigest()


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvariantNetsError, match=r"cannot be read \(Not a directory\).*paths\.cache_dir="):
            opened(folder, Maker())
    opened(tmp_path / "cache", Maker())
    path = only(tmp_path / "cache")
    path.unlink()
    path.mkdir()
    with pytest.raises(InvariantNetsError, match=rf"{path}.*Is a directory"):
        opened(tmp_path / "cache", Maker())


def test_sources_that_cannot_be_read_are_not_blamed_on_the_cache(tmp_path: Path) -> None:
    def unreadable() -> Iterator[Tensor]:
        yield IMAGES[:3]
        raise OSError(5, "Input/output error", "/photographs/1.jpg")

    with pytest.raises(InvariantNetsError, match=r"cannot be made \(.*/photographs/1\.jpg") as found:
        opened(tmp_path, unreadable)
    assert "paths.cache_dir" not in str(found.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("declared", [3, 2], ids=["before the work", "in the middle of it"])
def test_a_full_disk_is_named(small_disk: Path, declared: int) -> None:
    shape, began = (declared, 1, 1000, 1000), []

    def make() -> Iterator[Tensor]:
        for _ in range(declared):
            began.append(1)
            (small_disk / "else").write_bytes(bytes(200_000 * len(began)))
            yield torch.zeros(1, *shape[1:], dtype=torch.uint8)

    with pytest.raises(InvariantNetsError, match=r"No space left.*its disk.*paths\.cache_dir=") as found:
        cached_images(small_disk / "cache", "faces", 0, shape, make)
    assert str(small_disk / "cache" / "faces-") in str(found.value) and bool(began) == (declared == 2)
    assert not [path for path in (small_disk / "cache").iterdir() if path.suffix != ".lock"]


def test_a_good_cache_is_read_where_nothing_can_be_written(small_disk: Path) -> None:
    make = Maker()
    opened(small_disk, make)
    (small_disk / f"{only(small_disk).name}.lock").unlink()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    images = opened(small_disk, make)
    assert torch.equal(pixels(images), IMAGES) and make.calls == 1
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    decay(only(small_disk), 0)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InvariantNetsError, match=r"cannot be made \(Read-only.*image 0 has the checksum.*cache_dir="):
        pixels(opened(small_disk, make))
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    only(small_disk).write_bytes(b"")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InvariantNetsError, match=r"cannot be made \(Read-only.*0 bytes in place of .*cache_dir="):
        opened(small_disk, make)


def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can be somebody else")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        opened(folder, Maker())
        folder.chmod(0o755)

        def read() -> Any:
            process, told = program(folder, 0, 65534)
            process.join()
            return told.recv()

        assert read() == int(IMAGES.sum()), "who may read it needs no lock"
        only(folder).chmod(0o600)
        assert read().startswith(f"{only(folder)}: the cache of 4.2e-07 GB cannot be read (Permission denied)")


def test_others_wait_for_the_one_that_makes_them(tmp_path: Path) -> None:
    calls: list[int] = []

    def slow() -> Iterator[Tensor]:
        calls.append(1)
        time.sleep(0.1)
        yield IMAGES

    with ThreadPoolExecutor(4) as pool:  # the lock is of the open file: threads stand for processes
        found = list(pool.map(lambda _: opened(tmp_path, slow), range(4)))
    assert len(calls) == 1 and all(torch.equal(pixels(images), IMAGES) for images in found)


def test_two_programs_make_it_once(tmp_path: Path) -> None:
    programs = [program(tmp_path, 0.5) for _ in range(2)]
    for process, _ in programs:
        process.join()
    assert sorted((list(all_of(told)) for _, told in programs), key=len) == [[0], ["begun", 0]]


@pytest.mark.slow
def test_a_run_notices_and_has_the_same_numbers(tmp_path: Path) -> None:
    few = (*FACES[:4], "data.test_images=3", "data.cache=true", *FACES[6:])
    command = ("data=synthetic_faces", "model=deepface_mini", "data.batch_size=16", *SMALL, *few)
    cached = {"INVARIANTNETS_CACHE": str(tmp_path / "cache")}
    run("train.py", *command, "hydra.run.dir=first", cwd=tmp_path, **cached)
    files = sorted((tmp_path / "cache").glob("*.u8"))
    whole = [path.read_bytes() for path in files]
    for path in files:
        with path.open("r+b") as file:
            file.write(bytes(10_000))  # of the first picture most
    out, err = run("train.py", *command, "hydra.run.dir=second", cwd=tmp_path, **cached)
    assert (tmp_path / "first" / "results.jsonl").read_bytes() == (tmp_path / "second" / "results.jsonl").read_bytes()
    assert [path.read_bytes() for path in files] == whole
    said = " ".join((out + err).split())
    assert said.count("the cache is made anew") == 3 and said.count("image 0 has the checksum") == 3
