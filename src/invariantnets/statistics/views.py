"""Features as they are read through a function, block by block: what is larger than memory is never held as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.statistics.lengths import unit_and_norms

__all__ = ["Rows", "UnitRows"]


@dataclass(frozen=True)
class UnitRows:
    """Rows of length one with their length beside, ``(N, D)`` → ``(N, D + 1)``, as they are asked for.

    A nuisance in the length of the features is a product in every other space. A row of zeros stays one.

    Attributes:
        features: ``(N, D)``, possibly memory-mapped.
    """

    features: np.ndarray
    ndim: int = 2

    @property
    def shape(self) -> tuple[int, int]:
        """``(N, D + 1)``."""
        return len(self.features), self.features.shape[1] + 1

    @property
    def dtype(self) -> np.dtype:
        """Of the features."""
        return self.features.dtype

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        x = np.asarray(self.features[rows])
        found = np.empty((len(x), x.shape[1] + 1), x.dtype)
        found[:, :-1], found[:, -1] = unit_and_norms(x)
        return found


Rows = np.ndarray | UnitRows
