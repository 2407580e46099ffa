"""How much a thing may take: what would fill the memory is refused before it does."""

from __future__ import annotations

import os
from pathlib import Path

from invariantnets.errors import InvariantNetsError


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


def check_room(what: str, needed: int) -> None:
    """Refuse what the memory has no room for.

    Args:
        what: begins the message.
        needed: bytes.

    Raises:
        InvariantNetsError: with both numbers.
    """
    if needed > (free := free_memory()):
        raise InvariantNetsError(
            f"{what} take {bytes_in_words(needed)} of memory, of which {bytes_in_words(free)} are free; give fewer"
        )
