"""Noise added to the features: the only release whose leak is bounded however many bits it has."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.release.release import Release


def white_noise(x: np.ndarray, width: int, key: np.ndarray) -> np.ndarray:
    """Standard normal numbers for each row, drawn with the key and the row's own numbers.

    A row has the same noise whenever it is released: who asks for it a hundred times cannot average it away.

    Args:
        x: ``(N, D)`` features.
        width: K, how many numbers for each.
        key: whoever knows it, and the features, knows the noise.

    Returns:
        ``(N, K)`` float32.
    """
    drawn = np.empty((len(x), width), np.float32)
    for row, out in zip(np.ascontiguousarray(x), drawn, strict=True):
        seed = hashlib.blake2b(row.tobytes(), key=key.tobytes(), digest_size=32).digest()
        np.random.Generator(np.random.SFC64(np.frombuffer(seed, np.uint64).tolist())).standard_normal(
            out=out, dtype=np.float32
        )
    return drawn


def key_of(seed: int) -> np.ndarray:
    """``(4,)`` uint64, the key that a seed stands for."""
    return np.frombuffer(hashlib.sha256(str(seed).encode()).digest(), np.uint64)


def add_noise(x: np.ndarray, sigma: np.ndarray, key: np.ndarray) -> np.ndarray:
    """``x`` and white Gaussian noise.

    Args:
        x: ``(N, D)`` features.
        sigma: scalar, the standard deviation of each feature's noise.
        key: of the noise, see `white_noise`.
    """
    return x + sigma * white_noise(x, x.shape[1], key)


@dataclass(frozen=True)
class Noise:
    """Add Gaussian noise. Told nothing of the nuisance.

    Attributes:
        sigma: standard deviation of the noise of each feature, in its unit.
        seed: what the noise is drawn with. Whoever knows it could take the noise off: for features that leave the
            house give one that nobody guesses, and keep the saved release, which holds it.

    Raises:
        InvariantNetsError: no noise at all.
    """

    sigma: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.sigma < np.inf:
            raise InvariantNetsError(f"release.sigma={self.sigma}: give a number above 0")

    def fit(self, table: FeatureTable, layer: str) -> Release:
        """Nothing but the key is fitted.

        Args:
            table: of the features.
            layer: of the table.

        Raises:
            InvariantNetsError: features that cannot be used.
        """
        check_layer(table, layer)
        tensors = {"sigma": np.array(self.sigma), "key": key_of(self.seed)}
        how = f"noise of σ {self.sigma:g}"
        return Release(add_noise, tensors, layer, table.features[layer].shape[1], how, 0, table.meta, self.sigma)
