"""Representations of which it is known what they hold."""

from __future__ import annotations

import numpy as np

ANGLES = np.array([-30.0, 0.0, 30.0])
CLASSES = 4


def rotation(dims: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal matrix."""
    return np.linalg.qr(rng.normal(size=(dims, dims)))[0]


def leaky(label: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Classes at scale 1, the angle at a thousandth of it, noise below, in columns mixed by a rotation."""
    signal = np.zeros((len(label), 12))
    signal[np.arange(len(label)), label] = 1 + 0.1 * rng.normal(size=len(label))
    signal[:, CLASSES] = 1e-3 * angle / 30
    return (signal + 1e-4 * rng.normal(size=signal.shape)) @ rotation(12, rng)


def noise(label: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(len(label), 12))


def ideal(label: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.eye(CLASSES)[label]


def mixed(label: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Classes, angle by class and noise: every probe has something to read."""
    means, slopes = rng.normal(size=(2, CLASSES, 12))
    return means[label] + slopes[label] * angle[:, None] / 60 + 0.5 * rng.normal(size=(len(label), 12))


def hidden(label: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As `leaky`, but of a random sign: no line reads the angle, only the size of what is there."""
    signal = np.zeros((len(label), 12))
    signal[np.arange(len(label)), label] = 1 + 0.1 * rng.normal(size=len(label))
    signal[:, CLASSES] = 1e-3 * rng.choice([-1, 1], len(label)) * (angle + 60) / 60
    return (signal + 5e-5 * rng.normal(size=signal.shape)) @ rotation(12, rng)


def collapsed(label: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Classes at scale 1, the angle hidden at a thousandth, and features that are dead but for one row in 300.

    Such a feature is tiny where it was fitted and far out elsewhere.
    """
    rare = (rng.random((len(label), 40)) < 0.003) * 1e-5 * rng.standard_cauchy((len(label), 40))
    return np.concatenate([hidden(label, angle, rng), np.zeros((len(label), 3)), rare], 1)
