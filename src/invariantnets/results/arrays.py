"""What the figures of analyses are drawn from, beside the results: ``arrays/<layer>/<analysis>.npz``."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from invariantnets.files import slug, write_atomically
from invariantnets.results.result import check_own

__all__ = ["Arrays", "read_arrays", "write_arrays"]

log = logging.getLogger(__name__)
Arrays = Mapping[str, np.ndarray]


def write_arrays(folder: Path, layer: str, arrays: Mapping[str, Arrays]) -> None:
    """Write those of each analysis of a layer.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    for name, found in arrays.items():
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **found)
        write_atomically(_place(folder, layer) / f"{slug(name)}.npz", file.getvalue())


def read_arrays(folder: Path, layer: str) -> dict[str, dict[str, np.ndarray]]:
    """What was written before; one that is damaged is said and left out, as its figure then is.

    Raises:
        InvariantNetsError: a file that no run would have left.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for path in sorted(_place(folder, layer).glob("*.npz")):
        check_own(path)
        try:
            with np.load(path, allow_pickle=False) as file:
                found[path.stem] = dict(file)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            log.warning("%s: is damaged (%s); its figure is left out, evaluate again", path, error)
    return found


def _place(folder: Path, layer: str) -> Path:
    return folder / "arrays" / slug(layer)
