"""A cache that several programs, other users and full disks have to do with."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from cached_pictures import IMAGES, Maker, decay, only, opened, pixels
from torch import Tensor

from invariantnets.data.cache import cached_images
from invariantnets.errors import InvariantNetsError
from programs import FACES, FORKS, SMALL, run


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
