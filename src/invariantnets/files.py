"""Writing that leaves either the old file or the new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from invariantnets.errors import InvariantNetsError


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
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path
