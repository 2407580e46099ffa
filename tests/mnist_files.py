"""Tiny data sets in the files of MNIST: noise."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

TRAIN, TEST = 40, 20


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST's files: a magic number, the sizes, the bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(root: Path, name: str, classes: int = 10, first_label: int = 0, prefix: str = "") -> Path:
    """A tiny data set in MNIST's layout; returns its folder."""
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("test" if prefix else "t10k", TEST)):
        label = np.arange(count) % classes + first_label
        (raw / f"{prefix}{part}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (count, 28, 28))))
        (raw / f"{prefix}{part}-labels-idx1-ubyte").write_bytes(idx(label))
    return raw
