"""How much a file may unpack to: what would fill the memory is refused before it does."""

from __future__ import annotations

import os
from pathlib import Path

from invariantnets.errors import InvariantNetsError

# Nothing that was measured shrinks to a hundredth: so much out of so little is a constant, or a trap.
RATIO = 100
LARGE = 1 << 28


def free_memory() -> int:
    """Bytes that may still be used, as far as the system tells; its whole memory where it does not."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def bytes_in_words(count: int) -> str:
    """1536 → ``1.5 kB``."""
    size, units = float(count), iter(("B", "kB", "MB", "GB", "TB", "PB", "EB"))
    unit = next(units)
    while size >= 1000 and unit != "EB":
        size, unit = size / 1000, next(units)
    return f"{size:.3g} {unit}"


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
