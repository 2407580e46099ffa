"""Writing that leaves either the old file or the new one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from invariantnets.errors import InvariantNetsError

UNFINISHED = ".part"
LONGEST = 60  # characters of a name in a file's: a figure's may hold three of them


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Write beside ``path`` and rename: a reader, or a kill, never sees half a file.

    Raises:
        InvariantNetsError: the folder cannot be written to, or the disk is full.
    """
    try:
        return _write(Path(path), content)
    except OSError as error:
        why = f"{path}: cannot be written ({error.strerror}); free the disk or choose another folder"
        raise InvariantNetsError(why) from error


def _write(path: Path, content: str | bytes) -> Path:
    with replacing(path) as file:
        # Of a file's name that is no UTF-8, half a character may be left: JSON has a way to write it.
        file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
    return path


def sweep_up(folder: Path, which: str = "**/.*") -> None:
    """Remove what killed processes left of files that they were writing; for whoever holds the lock of these.

    Args:
        folder: where.
        which: a pattern of their names; all below the folder.
    """
    for path in folder.glob(f"{which}{UNFINISHED}"):
        path.unlink(missing_ok=True)


def slug(name: str) -> str:
    """A file name of any name: of a layer, a nuisance, a probe. Two names never share one.

    Letters, digits and ``_`` stay. A name with anything else in it, an empty one or a long one also gets what tells it
    from others that would look like it: ``a.b`` and ``a_b`` are ``a_b-2e7336dc`` and ``a_b``.
    """
    safe = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)[:LONGEST]
    if safe == name and name:
        return name
    return f"{safe or '_'}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file beside ``path`` that takes its place when the block ends well, and vanishes otherwise.

    Raises:
        OSError: the folder cannot be written to, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
