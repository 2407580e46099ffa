"""How a file begins, and how much it may unpack to: what would fill the memory is refused before it does."""

from __future__ import annotations

import gzip
from pathlib import Path

from invariantnets.errors import InvariantNetsError
from invariantnets.sizes import bytes_in_words, free_memory

# Nothing that was measured shrinks to a hundredth: so much out of so little is a constant, or a trap.
RATIO = 100
LARGE = 1 << 28


def first_bytes(path: Path, count: int) -> bytes:
    """How a file begins."""
    with path.open("rb") as file:
        return file.read(count)


def check_size(what: str, unpacked: int, stored: int) -> None:
    """Refuse what is too large to read, or larger than what is stored can honestly be.

    Args:
        what: as messages call it.
        unpacked: bytes in memory.
        stored: bytes in the file.

    Raises:
        InvariantNetsError: it would not fit into the memory, or unpacks to over a hundred times its size.
    """
    free = free_memory()
    if unpacked > free:
        raise InvariantNetsError(
            f"{what} would take {bytes_in_words(unpacked)} of memory, {bytes_in_words(free)} are free "
            f"({bytes_in_words(stored)} are stored); give fewer rows, or a .npy, which stays on the disk"
        )
    if unpacked > LARGE and unpacked > RATIO * stored:
        raise InvariantNetsError(
            f"{what} would unpack from {bytes_in_words(stored)} to {bytes_in_words(unpacked)}, over {RATIO} times as "
            "much; if that is right, save it uncompressed"
        )


def check_unpacked(path: Path) -> None:
    """Refuse a .gz that unpacks to more than it can honestly hold; nothing of it is kept.

    Raises:
        InvariantNetsError: as of `check_size`.
    """
    if first_bytes(path, 2) != b"\x1f\x8b":
        return
    count = 0
    with path.open("rb") as file, gzip.GzipFile(fileobj=file) as unpacked:
        while block := unpacked.read(1 << 22):
            count += len(block)
            if count > max(LARGE, RATIO * file.tell()):
                raise InvariantNetsError(
                    f"the first {bytes_in_words(file.tell())} unpack to over {bytes_in_words(count)}; if that is "
                    "right, unpack it with gunzip"
                )
    check_size("what it unpacks to", count, path.stat().st_size)
