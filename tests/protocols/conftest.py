from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from invariantnets.features.table import FeatureTable


@pytest.fixture
def make_faces() -> Callable[..., FeatureTable]:
    """People as points and their images scattered about them, never negative; train and test are other people."""

    def make(noise: float = 1.0, people: int = 40, images: int = 5, train: int = 20, width: int = 16) -> FeatureTable:
        rng = np.random.default_rng(0)
        total = people + train
        label = np.repeat(np.arange(total), images)
        centre = rng.normal(size=(total, width))
        x = np.maximum(centre[label] + noise * rng.normal(size=(len(label), width)), 0)
        return FeatureTable(
            features={"F7": x.astype(np.float32)},
            label=label,
            split=np.repeat(["train", "test"], [train * images, people * images]),
            source=np.arange(len(label)),
            nuisance={},
            nuisances=(),
            num_classes=total,
            name=np.array([f"p{who:03d}/p{who:03d}_{i % images + 1:04d}" for i, who in enumerate(label)]),
        )

    return make
