"""The pictures behind a table that was brought along: what its rows are called, in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from invariantnets.errors import InvariantNetsError

__all__ = ["pictures_in"]

SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".bmp", ".webp")
# Side in pixels at most: enough to be looked at beside others.
SIDE = 160


def pictures_in(folder: str | Path, names: Sequence[str] | np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
    """What shows the pictures of rows.

    Args:
        folder: where they are.
        names: ``(N,)`` of every row, a path below the folder, with or without the suffix of its kind.

    Returns:
        ``(n,)`` numbers of rows → ``(n, H, W, 3)`` uint8, all of the size of the first row, at most 160 × 160.

    Raises:
        InvariantNetsError: the table does not name its rows, the folder is not there, or lacks the first of them.
            What is returned raises it of a picture that is missing or cannot be read.
    """
    from invariantnets.data.decode import UNREADABLE, fit_image  # here: it loads Lightning, which tables do without

    root = Path(folder)
    if names is None:
        raise InvariantNetsError(
            f"images={root}: the table does not say which is whose: give name=<its column of files>"
        )
    if not root.is_dir():
        raise InvariantNetsError(f"images={root}: there is no such folder")

    def opened(name: str) -> Image.Image:
        tried = (root / f"{name}{suffix}" for suffix in SUFFIXES)
        path = next((path for path in tried if path.is_file()), None)
        if path is None:
            raise InvariantNetsError(
                f"images={root}: no picture is called {name!r}, nor that with .jpg or .png behind it"
            )
        try:
            with Image.open(path) as image:
                return image.convert("RGB")
        except UNREADABLE as error:
            raise InvariantNetsError(f"images={root}: {path.name} cannot be read ({error})") from error

    first = opened(str(names[0]))
    first.thumbnail((SIDE, SIDE))

    def shown(rows: np.ndarray) -> np.ndarray:
        found = [fit_image(opened(str(names[row])), (3, first.height, first.width)) for row in rows]
        return np.stack(found).transpose(0, 2, 3, 1)

    return shown
