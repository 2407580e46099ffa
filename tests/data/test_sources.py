from __future__ import annotations

import bz2
import os
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import datasets

from invariantnets.data import sources
from invariantnets.data.sources import digits, hold_out, torchvision_digits
from invariantnets.errors import InvariantNetsError
from mnist_files import TEST, TRAIN, idx, write_idx


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails at once, as without a network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(datasets.mnist, "download_and_extract_archive", refuse)
    monkeypatch.setattr(datasets.usps, "download_url", refuse)


def test_digits_are_the_ones_of_scikit_learn() -> None:
    images = digits()
    assert images.image.shape == (1797, 1, 28, 28) and images.image.dtype == torch.uint8
    assert images.label.dtype == torch.int64 and images.label.unique().tolist() == list(range(10))
    assert {s: int((images.split == s).sum()) for s in ("train", "val", "test")} == {
        "train": 1077, "val": 270, "test": 450,
    }  # fmt: skip
    border = torch.ones(28, 28, dtype=torch.bool)
    border[4:-4, 4:-4] = False
    assert not images.image[:, :, border].any(), "upsampled to 20×20 and centred"
    assert images.image.amax((1, 2, 3)).min() > 128


def test_digits_are_split_by_class_and_the_same_each_time() -> None:
    images = digits()
    share = np.bincount(images.label) / len(images.label)
    for split in ("train", "val", "test"):
        rows = images.split == split
        assert np.abs(np.bincount(images.label[rows]) / rows.sum() - share).max() < 0.01
    assert digits().checksum() == images.checksum()
    assert digits(split_seed=1).checksum() != images.checksum()
    assert torch.equal(digits(split_seed=1).image, images.image)


def test_hold_out_divides_by_class() -> None:
    label = np.repeat([0, 1, 2], [60, 30, 30])
    rest, held = hold_out(label, 0.25, 0)
    assert sorted([*rest, *held]) == list(range(120))
    assert np.bincount(label[held]).tolist() == [15, 8, 7] or np.bincount(label[held]).tolist() == [15, 7, 8]
    with pytest.raises(InvariantNetsError, match="cannot hold out 0.5 of 3 images"):
        hold_out(np.array([0, 0, 1]), 0.5, 0)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files_are_read_through_torchvision(tmp_path: Path, name: str) -> None:
    write_idx(tmp_path, name)
    images = torchvision_digits(name, str(tmp_path), val_size=10)
    assert images.image.shape == (60, 1, 28, 28) and images.image.dtype == torch.uint8
    expected = np.random.default_rng(0).integers(0, 256, (TRAIN, 28, 28))
    assert np.array_equal(images.image[:TRAIN, 0], expected)
    assert (images.split[TRAIN:] == "test").all() and (images.split[:TRAIN] == "val").sum() == 10
    assert np.bincount(images.label[images.split == "val"]).tolist() == [1] * 10
    assert torchvision_digits(name, str(tmp_path), val_size=10).checksum() == images.checksum()


def test_emnist_is_turned_upright_and_numbered_from_zero(tmp_path: Path) -> None:
    write_idx(tmp_path, "EMNIST", classes=5, first_label=1, prefix="emnist-letters-")
    images = torchvision_digits("EMNIST", str(tmp_path), val_size=10, emnist_split="letters")
    stored = np.random.default_rng(0).integers(0, 256, (TRAIN, 28, 28))
    assert np.array_equal(images.image[:TRAIN, 0], stored.transpose(0, 2, 1))
    assert images.label.unique().tolist() == [0, 1, 2, 3, 4]


def test_usps_is_resized(tmp_path: Path) -> None:
    for file, count in (("usps.bz2", TRAIN), ("usps.t.bz2", TEST)):
        pixels = " ".join(f"{i + 1}:{1.0 if i // 16 < 8 else -1.0}" for i in range(256))  # the upper half is ink
        lines = "".join(f"{i % 10 + 1} {pixels}\n" for i in range(count))
        (tmp_path / file).write_bytes(bz2.compress(lines.encode()))
    images = torchvision_digits("USPS", str(tmp_path), val_size=10)
    assert images.image.shape == (60, 1, 28, 28)
    assert (images.image[:, :, :12] == 255).all() and (images.image[:, :, 16:] == 0).all()
    assert images.label[:10].tolist() == list(range(10))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_to_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def wrong_type(path: Path) -> None:
    path.write_bytes(b"\x00\x00\x63\x03" + path.read_bytes()[4:])


def text(path: Path) -> None:
    path.write_text("<html>404 Not Found</html>" * 100)


def fewer_images(path: Path) -> None:
    path.write_bytes(idx(np.zeros((TRAIN - 1, 28, 28))))


@pytest.mark.parametrize("damage", [cut, cut_to_header, empty, wrong_type, text, fewer_images, Path.unlink])
def test_damaged_and_missing_files_give_one_line(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    raw = write_idx(tmp_path, "MNIST")
    damage(raw / "train-images-idx3-ubyte")
    with pytest.raises(InvariantNetsError) as caught:
        torchvision_digits("MNIST", str(tmp_path), val_size=10)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"MNIST: no usable files in {raw} (")
    assert "paths.data_dir=" in message and "INVARIANTNETS_DATA" in message and "network" in message


@pytest.mark.parametrize("name", sources.TORCHVISION)
def test_no_files_and_no_network_give_one_line(tmp_path: Path, name: str) -> None:
    options = {"emnist_split": "balanced"} if name == "EMNIST" else {}
    with pytest.raises(InvariantNetsError, match=f"{name}: no usable files in {tmp_path}") as caught:
        torchvision_digits(name, str(tmp_path), **options)
    assert "no network" in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_usps(tmp_path: Path) -> None:
    for file in ("usps.bz2", "usps.t.bz2"):
        (tmp_path / file).write_bytes(bz2.compress(b"1 1:0.5\n" * 1000)[:40])
    with pytest.raises(InvariantNetsError, match=f"USPS: no usable files in {tmp_path} "):
        torchvision_digits("USPS", str(tmp_path))


def test_other_names_are_refused() -> None:
    with pytest.raises(InvariantNetsError, match="data.source.name=MINST: choose from MNIST, FashionMNIST"):
        torchvision_digits("MINST", "data")


@pytest.mark.skipif("INVARIANTNETS_DATA" not in os.environ, reason="INVARIANTNETS_DATA names no folder of real data")
def test_real_mnist() -> None:
    images = torchvision_digits("MNIST", os.environ["INVARIANTNETS_DATA"])
    assert {s: int((images.split == s).sum()) for s in ("train", "val", "test")} == {
        "train": 55_000, "val": 5_000, "test": 10_000,
    }  # fmt: skip
    assert images.image.shape == (70_000, 1, 28, 28)
    assert images.image[:100].float().mean() == pytest.approx(33.3, abs=3)
    share = np.bincount(images.label[images.split != "test"]) / 60_000
    assert np.abs(np.bincount(images.label[images.split == "val"]) / 5_000 - share).max() < 2e-4
