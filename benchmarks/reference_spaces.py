"""Spaces in which the references of `benchmarks.readers` see features: of rows to fit, and of others."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import QuantileTransformer, StandardScaler


def raw(fit: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred, of one scale in common."""
    mean, scale = fit.mean(0), fit.std(0).max()
    return (fit - mean) / scale, (x - mean) / scale


def standardised(fit: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each of standard deviation one, cut at ten."""
    scaler = StandardScaler().fit(fit)
    return scaler.transform(fit).clip(-10, 10), scaler.transform(x).clip(-10, 10)


def whitened(fit: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of the standardised, each of standard deviation one."""
    fit, x = standardised(fit, x)
    pca = PCA(whiten=True).fit(fit)
    kept = pca.explained_variance_ > 1e-11 * pca.explained_variance_[0]
    return pca.transform(fit)[:, kept].clip(-10, 10), pca.transform(x)[:, kept].clip(-10, 10)


def unit(fit: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of length one, the length as one more feature; standardised."""
    lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in (fit, x)]
    parts = [np.hstack([p / np.maximum(n, 1e-300), n]) for p, n in zip((fit, x), lengths, strict=True)]
    return standardised(*parts)


def ranks(fit: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each feature by its rank, as a normal variable."""
    scaler = QuantileTransformer(n_quantiles=min(1000, len(fit)), output_distribution="normal", random_state=0).fit(fit)
    return scaler.transform(fit), scaler.transform(x)


SPACES = {f.__name__: f for f in (raw, standardised, whitened, unit, ranks)}
