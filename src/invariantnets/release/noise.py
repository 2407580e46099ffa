"""Noise added to the features: the only release whose leak is bounded however many bits it has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.release.release import Release


def add_noise(x: np.ndarray, sigma: np.ndarray, key: np.ndarray) -> np.ndarray:
    """``x`` and white Gaussian noise, that of each row drawn with the key and its own numbers.

    A row has the same noise whenever it is released: who asks for it a hundred times cannot average it away.

    Args:
        x: ``(N, D)`` features.
        sigma: scalar, the standard deviation of each feature's noise.
        key: whoever knows it, and the features, knows the noise.
    """
    noisy = np.empty_like(x)
    for row, out in zip(np.ascontiguousarray(x), noisy, strict=True):
        seed = hashlib.blake2b(row.tobytes(), key=key.tobytes(), digest_size=32).digest()
        drawn = np.random.Generator(np.random.SFC64(np.frombuffer(seed, np.uint64).tolist()))
        out[:] = row + sigma * drawn.standard_normal(len(row), np.float32)
    return noisy


@dataclass(frozen=True)
class Noise:
    """Add Gaussian noise. Told nothing of the nuisance.

    Attributes:
        sigma: standard deviation of the noise of each feature, in its unit.
        seed: what the noise is drawn with. Whoever knows it could take the noise off: for features that leave the
            house give one that nobody guesses, and keep the saved release, which holds it.
    """

    sigma: float = 0.5
    seed: int = 0

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Nothing but the key is fitted.

        Args:
            table: of the features.
            layer: of the table.

        Raises:
            InvariantNetsError: no noise at all, or features that cannot be used.
        """
        if not 0 < self.sigma < np.inf:
            raise InvariantNetsError(f"release.sigma={self.sigma}: give a number above 0")
        check_layer(table, layer)
        key = np.frombuffer(hashlib.sha256(str(self.seed).encode()).digest(), np.uint64)
        tensors = {"sigma": np.array(self.sigma), "key": key}
        how = f"noise of σ {self.sigma:g}"
        return Release(add_noise, tensors, layer, table.features[layer].shape[1], how, 0, table.meta, self.sigma)
