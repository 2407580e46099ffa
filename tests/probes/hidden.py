"""Feature tables in which a nuisance is hidden, each in another way. What is right of each is in `test_hidden`.

Those of `reported` are made as people's reports have them; the others are each of another kind. Most have 4,000 rows of
ten classes, half of them train, a quarter val and a quarter test; features are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Kind

CLASSES = 10


class Draw(NamedTuple):
    """What every table begins with."""

    rng: np.random.Generator
    label: np.ndarray
    split: np.ndarray

    @property
    def n(self) -> int:
        return len(self.label)

    def rotation(self, dims: int) -> np.ndarray:
        """A random orthogonal matrix."""
        return np.linalg.qr(self.rng.normal(size=(dims, dims)))[0]

    def normal(self, dims: int) -> np.ndarray:
        return self.rng.normal(size=(self.n, dims))

    def directions(self, dims: int) -> np.ndarray:
        """Rows of length one."""
        x = self.normal(dims)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def table(self, features: np.ndarray, nuisance: np.ndarray, kind: Kind | None = None) -> FeatureTable:
        kinds = {} if kind is None else {"nuisance": kind}
        columns = {"label": self.label, "split": self.split, "nuisance": nuisance}
        return FeatureTable.from_arrays(features.astype(np.float32), kinds=kinds, **columns)


def draw(seed: int, n: int = 4000) -> Draw:
    split = np.repeat(["train", "val", "test"], [n // 2, n // 4, n // 4])
    return Draw(np.random.default_rng(seed), np.arange(n) % CLASSES, split)


# As reported: with the same seeds and formulae, so that the values found for them hold.


def norm() -> FeatureTable:
    """The length of the row."""
    d = draw(20)
    y = d.rng.uniform(1, 3, d.n)
    return d.table(d.directions(64) * y[:, None], y)


def log() -> FeatureTable:
    """One feature is ten to the power of it, over eight orders."""
    d = draw(21)
    y = d.rng.uniform(-4, 4, d.n)
    x = d.normal(32)
    x[:, 5] = 10**y
    return d.table(x, y)


def product() -> FeatureTable:
    """The product of two features."""
    d = draw(22)
    x = d.normal(64)
    return d.table(x, x[:, 3] * x[:, 40])


def fine() -> FeatureTable:
    """The fraction of three times a feature: a saw of some ten teeth."""
    d = draw(23)
    x = d.normal(32)
    return d.table(x, 3 * x[:, 7] % 1)


def scaled() -> FeatureTable:
    """The ten largest of 512 principal components; standardised, the small ones drown them."""
    d = draw(24, 1000)
    z = d.normal(512)
    return d.table(z / np.arange(1, 513), z[:, :10].sum(1) + 0.5 * d.rng.normal(size=d.n))


# Others.


def log_norm() -> FeatureTable:
    """The logarithm of the length, over three orders."""
    d = draw(120)
    y = d.rng.uniform(-3.5, 3.5, d.n)
    return d.table(d.directions(64) * np.exp(y)[:, None], y)


def ratio() -> FeatureTable:
    """The ratio of two positive features."""
    d = draw(121)
    x = d.rng.uniform(0.5, 2, (d.n, 32))
    return d.table(x, x[:, 3] / x[:, 17])


def absolute() -> FeatureTable:
    """The size of a projection, whatever its sign."""
    d = draw(122)
    x = d.normal(32)
    return d.table(x, np.abs(x @ d.rotation(32)[0]))


def exclusive_or() -> FeatureTable:
    """Whether two projections have one sign; the features are mixed by a rotation."""
    d = draw(123)
    x = d.normal(16)
    return d.table(x @ d.rotation(16), (x[:, 0] * x[:, 1] > 0).astype(int))


def sine() -> FeatureTable:
    """The sine of three times the widest projection."""
    d = draw(124)
    x = d.normal(32) * np.where(np.arange(32) == 0, 1, 0.3)
    return d.table(x @ d.rotation(32), np.sin(3 * x[:, 0]))


def warped() -> FeatureTable:
    """A sum of eight features, each seen through a curve that stretches its ends a thousandfold."""
    d = draw(125)
    z = d.normal(32)
    return d.table(np.sinh(3 * z), z[:, :8].sum(1))


def spread() -> FeatureTable:
    """The logarithm of the spread of 24 features of 64."""
    d = draw(126)
    y = d.rng.uniform(-1, 1, d.n)
    x = d.normal(64)
    x[:, 10:34] *= np.exp(y)[:, None]
    return d.table(x, y)


def by_class() -> FeatureTable:
    """A direction that counts up in some classes and down in the others; of all classes together nothing is seen."""
    d = draw(127)
    y = d.rng.uniform(-1, 1, d.n)
    means, sign = 2 * d.rng.normal(size=(CLASSES, 32)), np.resize([-1, 1], CLASSES)
    x = means[d.label] + 0.5 * d.normal(32)
    x[:, 4] += 2 * sign[d.label] * y
    return d.table(x @ d.rotation(32), y)


def tiny() -> FeatureTable:
    """The size, whatever the sign, of what lies in a direction that is a ten-thousandth of the others."""
    d = draw(128)
    y = d.rng.uniform(0, 2, d.n)
    x = d.normal(24)
    x[:, 9] = 1e-4 * (d.rng.choice([-1, 1], d.n) * y + 0.1 * d.rng.normal(size=d.n))
    return d.table(x @ d.rotation(24), y)


def shell() -> FeatureTable:
    """Whether the row ends in a shell: its length is neither small nor large."""
    d = draw(129)
    length = d.rng.uniform(1, 3, d.n)
    return d.table(d.directions(16) * length[:, None], (np.abs(length - 2) < 0.5).astype(int))


def angle() -> FeatureTable:
    """An angle in two features, whose gain, and its sign, is another in each class."""
    d = draw(130)
    y = d.rng.uniform(-180, 180, d.n)
    gain = d.rng.uniform(0.7, 2, CLASSES) * np.resize([-1, 1], CLASSES)
    x = 2 * d.rng.normal(size=(CLASSES, 32))[d.label] + 0.3 * d.normal(32)
    x[:, 6] += gain[d.label] * np.cos(np.deg2rad(y))
    x[:, 7] += gain[d.label] * np.sin(np.deg2rad(y))
    return d.table(x @ d.rotation(32), y, "circular")


def sparse() -> FeatureTable:
    """One feature of a thousand, on 1,500 rows to know it from."""
    d = draw(131, 2000)
    x = d.normal(1000)
    return d.table(x, 3 * x[:, 700] + d.rng.normal(size=d.n))


def largest() -> FeatureTable:
    """The largest of five features of 32."""
    d = draw(132)
    x = d.normal(32)
    return d.table(x, x[:, 4:9].max(1))


def halves() -> FeatureTable:
    """Whether the two halves of a row of 32 are alike: the sign of their product."""
    d = draw(133)
    x = d.normal(32)
    return d.table(x, ((x[:, :16] * x[:, 16:]).sum(1) > 0).astype(int))


def heavy() -> FeatureTable:
    """A bounded sum of six features of 24, all with tails so heavy that they have no variance."""
    d = draw(134)
    x = d.rng.standard_t(1.2, (d.n, 24))
    return d.table(x, np.tanh(x[:, :6]).sum(1) + 0.3 * d.rng.normal(size=d.n))


REPORTED: tuple[Callable[[], FeatureTable], ...] = (norm, log, product, fine, scaled)
OTHERS: tuple[Callable[[], FeatureTable], ...] = (
    log_norm, ratio, absolute, exclusive_or, sine, warped, spread, by_class, tiny, shell, angle, sparse, largest,
    halves, heavy,
)  # fmt: skip
TABLES = {make.__name__: make for make in (*REPORTED, *OTHERS)}
