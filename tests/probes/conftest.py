from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from representations import ANGLES, CLASSES

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance

Features = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


@pytest.fixture
def make_table() -> Callable[..., FeatureTable]:
    """A table of every source at every angle; ``features(label, angle, rng)`` gives its one layer."""

    def make(features: Features, sources: tuple[int, int, int] = (400, 150, 200), seed: int = 0) -> FeatureTable:
        rng = np.random.default_rng(seed)
        count = sum(sources)
        label = np.repeat(np.arange(count) % CLASSES, len(ANGLES))
        angle = np.tile(ANGLES, count)
        split = np.repeat(["train", "val", "test"], np.array(sources) * len(ANGLES))
        return FeatureTable(
            features={"ip1": features(label, angle, rng).astype(np.float32)},
            label=label,
            split=split,
            source=np.repeat(np.arange(count), len(ANGLES)),
            nuisance={"angle": angle},
            nuisances=(Nuisance("angle", "continuous", "°"),),
            num_classes=CLASSES,
            prediction=label,
        )

    return make
