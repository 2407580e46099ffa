"""A matrix on disk that is written in blocks, and goes on where it was interrupted."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.reading import DAMAGED
from invariantnets.files import write_atomically


def write_rows(
    path: str | Path,
    shape: tuple[int, int],
    dtype: str,
    key: Mapping[str, Any],
    make: Callable[[int], Iterable[np.ndarray]],
) -> np.ndarray:
    """Write an ``.npy`` of ``shape``, block after block, and map it into memory.

    Beside it lies ``<path>.progress.json`` with the number of rows that are safely on the disk, the CRC-32 of
    the file so far and the key of what they are. Called again after an interruption, only the rest is made.

    Args:
        path: of the ``.npy``.
        shape: ``(N, D)``.
        dtype: what is stored, ``float32`` or ``float16``.
        key: plain JSON of all that determines the rows.
        make: gives blocks ``(B, D)`` from a row on, in order, to the end.

    Returns:
        ``(N, D)``, mapped for reading.

    Raises:
        InvariantNetsError: the file holds rows of another key, is truncated or damaged, or cannot be written.
    """
    path = Path(path)
    expected = _expected(shape, dtype, key)
    try:
        found = _done(path, expected)
        if found is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The file is as long as it will be, but takes no room on the disk yet.
            header = np.lib.format.open_memmap(path, "w+", dtype, shape).offset
            found = _commit(path, expected, 0, _crc(path, header))
        if found[0] < shape[0]:
            _append(path, expected, *found, make)
    except OSError as error:
        raise InvariantNetsError(
            f"{path}: cannot be written or read ({error.strerror}); free the disk and run again: what is done is kept"
        ) from error
    return np.load(path, mmap_mode="r")


def written(path: str | Path, shape: tuple[int, int], dtype: str, key: Mapping[str, Any]) -> int:
    """How many rows of such a file are safely on the disk.

    Raises:
        InvariantNetsError: see `write_rows`.
    """
    found = _done(Path(path), _expected(shape, dtype, key))
    return found[0] if found else 0


def _expected(shape: tuple[int, int], dtype: str, key: Mapping[str, Any]) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": dtype, **json.loads(json.dumps(key))}


def _progress(path: Path) -> Path:
    return path.with_name(f"{path.name}.progress.json")


def _commit(path: Path, key: dict[str, Any], done: int, crc: int) -> tuple[int, int]:
    write_atomically(_progress(path), json.dumps({"done": done, "crc": crc, "key": key}, indent=1))
    return done, crc


def _done(path: Path, expected: dict[str, Any]) -> tuple[int, int] | None:
    """Rows that are safely written, and the CRC-32 of the file so far; None before the first."""
    if not _progress(path).is_file():
        return None
    advice = f"delete it and {_progress(path).name} to make it anew, or choose another folder"
    try:
        found = json.loads(_progress(path).read_text())
        key, done, crc = found["key"], int(found["done"]), found.get("crc")
    except (ValueError, KeyError, TypeError):
        raise InvariantNetsError(f"{_progress(path)}: cannot be read; {advice}") from None
    if key != expected:
        differing = sorted(k for k in {*key, *expected} if key.get(k) != expected.get(k))
        raise InvariantNetsError(f"{path}: was made with another {', '.join(differing)}; {advice}")
    try:
        matrix = np.lib.format.open_memmap(path, "r")
        whole = matrix.shape == tuple(expected["shape"])
    except DAMAGED:
        whole = False
    if not whole:
        raise InvariantNetsError(f"{path}: is missing or truncated, though {done} rows of it were written; {advice}")
    of_file = _crc(path, matrix.offset + done * matrix.dtype.itemsize * matrix.shape[1])
    if crc not in (None, of_file):  # none was kept by earlier versions
        raise InvariantNetsError(f"{path}: is damaged: it does not hold what was written; {advice}")
    return done, of_file


def _crc(path: Path, count: int) -> int:
    """Of the first bytes of a file."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(min(count, 1 << 20)):
            crc, count = zlib.crc32(block, crc), count - len(block)
    return crc


def _append(path: Path, key: dict[str, Any], done: int, crc: int, make: Callable[[int], Iterable[np.ndarray]]) -> None:
    matrix = np.lib.format.open_memmap(path, "r")
    start, row_bytes = matrix.offset, matrix.dtype.itemsize * matrix.shape[1]
    # Written, not mapped: on a full disk a mapped page kills the process, where a write says what is wrong.
    with path.open("r+b") as file:
        for block in make(done):
            file.seek(start + done * row_bytes)
            data = np.ascontiguousarray(block, matrix.dtype).data
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            done, crc = _commit(path, key, done + len(block), zlib.crc32(data, crc))
    if done != matrix.shape[0]:
        raise InvariantNetsError(f"{path}: {done} of {matrix.shape[0]} rows were made; run again to make the rest")
