"""Images decoded or rendered once, in one file that every process maps into memory."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from rich.console import Console
from rich.progress import track
from torch import Tensor

from invariantnets.errors import InvariantNetsError
from invariantnets.files import replacing

DIGEST_BYTES = 32


def cached_images(
    folder: str | Path, name: str, key: Any, shape: tuple[int, int, int, int], make: Callable[[], Iterable[Tensor]]
) -> tuple[Tensor, str]:
    """The images a key stands for, from the cache or made now.

    The file holds the bytes of the images and then their SHA-256. It is written under another name
    and renamed, so that no other process, and no later run, ever sees half of one.

    Args:
        folder: of the cache, ``~`` allowed.
        name: of the data set; begins the file's name, for a person who tidies up.
        key: plain JSON of all that determines the images.
        shape: ``(N, C, H, W)``.
        make: gives the images in blocks ``(B, C, H, W)`` uint8, in order, ``N`` altogether.

    Returns:
        ``(N, C, H, W)`` uint8, mapped from the file (never write to it), and the SHA-256 of it.

    Raises:
        InvariantNetsError: the folder cannot be written to, or the disk is full.
    """
    count = shape[0] * shape[1] * shape[2] * shape[3]
    if not count:
        return torch.empty(shape, dtype=torch.uint8), hashlib.sha256().hexdigest()
    text = json.dumps([key, shape], sort_keys=True)
    path = Path(folder).expanduser() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}.u8"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # the first process makes them, the others wait
            if not path.is_file() or path.stat().st_size != count + DIGEST_BYTES:
                _write(path, count, make)
        with path.open("rb") as file:
            file.seek(count)
            checksum = file.read(DIGEST_BYTES).hex()
        return torch.from_file(str(path), size=count, dtype=torch.uint8).view(shape), checksum
    except OSError as error:
        raise InvariantNetsError(
            f"{path}: the cache of {count / 1e9:.2g} GB cannot be written or read ({error.strerror}); free the disk, "
            "or choose another folder with paths.cache_dir=…"
        ) from error


def _write(path: Path, count: int, make: Callable[[], Iterable[Tensor]]) -> None:
    digest, written = hashlib.sha256(), 0
    with replacing(path) as file:
        for block in make():
            data = block.contiguous().numpy().reshape(-1).data
            digest.update(data)
            written += file.write(data)
        assert written == count, f"{path.name}: {written} bytes were made, {count} declared"
        file.write(digest.digest())


def progress(steps: range, text: str) -> Iterable[int]:
    """The steps, with a bar on a terminal; nothing is printed elsewhere."""
    return track(steps, text, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
