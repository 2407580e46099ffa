"""What readers predicted of each row, for plots of one's own: ``predictions/<layer>/<nuisance>.parquet``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from invariantnets.files import slug, write_atomically
from invariantnets.results.arrays import Arrays

__all__ = ["write_predictions"]


def write_predictions(folder: Path, layer: str, nuisance: str, columns: Arrays) -> Path:
    """Write those of one nuisance.

    Args:
        folder: of the run.
        layer: whose features were read.
        nuisance: which.
        columns: of `invariantnets.probes.predictions`.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    path = folder / "predictions" / slug(layer) / f"{slug(nuisance)}.parquet"
    return write_atomically(path, pd.DataFrame(columns).to_parquet(index=False))
