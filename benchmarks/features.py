"""Features of which it is known what they hold, in the sizes that a network of Rudd et al. (2016) gives."""

from __future__ import annotations

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance

ANGLES = np.arange(-45.0, 46.0, 15.0)
CLASSES = 10
RANK = 60


def make_table(images: tuple[int, int, int], dims: int = 500, seed: int = 0) -> FeatureTable:
    """Every image at seven angles: class, angle by class and a style of 60 dimensions, mixed and rectified.

    Args:
        images: of train, val and test.
        dims: width of the layer.
        seed: of all random numbers.
    """
    rng = np.random.default_rng(seed)
    count = sum(images)
    label = np.repeat(rng.integers(CLASSES, size=count), len(ANGLES))
    angle = np.tile(ANGLES, count)
    source = np.repeat(np.arange(count), len(ANGLES))
    style = rng.standard_normal((count, RANK), np.float32)
    means, slopes = rng.standard_normal((2, CLASSES, dims), np.float32)
    mixing = rng.standard_normal((RANK, dims), np.float32) / RANK**0.5
    features = np.empty((len(label), dims), np.float32)
    for rows in np.array_split(np.arange(len(label)), max(1, len(label) // 20_000)):
        x = 2 * means[label[rows]] + slopes[label[rows]] * (angle[rows, None] / 45).astype(np.float32)
        x += style[source[rows]] @ mixing + 0.3 * rng.standard_normal((len(rows), dims), np.float32)
        np.maximum(x, 0, out=features[rows[0] : rows[-1] + 1])
    return FeatureTable(
        features={"ip1": features},
        label=label,
        split=np.repeat(["train", "val", "test"], np.array(images) * len(ANGLES)),
        source=source,
        nuisance={"angle": angle},
        nuisances=(Nuisance("angle", "continuous", "°"),),
        num_classes=CLASSES,
        prediction=label,
    )
