from __future__ import annotations

import numpy as np
import pytest

from invariantnets.nuisance import Nuisance
from invariantnets.probes.targets import FEW_VALUES, design, plan_targets, r2

NUISANCES = (
    Nuisance("angle", "continuous", "°"),
    Nuisance("pose", "circular", "°"),
    Nuisance("light", "categorical", categories=("left", "front", "right")),
)


def columns(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"angle": rng.normal(size=n), "pose": rng.choice([0.0, 90.0, 350.0], n), "light": rng.integers(0, 3, n)}


def test_design_holds_encoded_shuffled_and_indicator_columns():
    values = columns(200)
    targets = plan_targets(NUISANCES, values)
    matrix = design(targets, values, 200, np.random.default_rng(1))
    assert matrix.shape == (200, 2 * (1 + 2 + 3) + 3 + 3)
    for target, nuisance in zip(targets, NUISANCES, strict=True):
        np.testing.assert_array_equal(matrix[:, target.true], nuisance.encode(values[nuisance.name]))
        true, control = (np.sort(matrix[:, c].round(9), axis=0) for c in (target.true, target.control))
        np.testing.assert_array_equal(true, control)
        assert not np.array_equal(matrix[:, target.true], matrix[:, target.control])
        if len(target.values):
            found = target.values[matrix[:, target.indicators].argmax(1)]
            np.testing.assert_array_equal(found, values[nuisance.name])


@pytest.mark.parametrize(("count", "listed"), [(FEW_VALUES, FEW_VALUES), (FEW_VALUES + 1, 0)])
def test_only_few_values_are_listed(count, listed):
    (target,) = plan_targets(NUISANCES[:1], {"angle": np.arange(float(count))})
    assert len(target.values) == listed


def test_nearest_value_goes_round_the_circle():
    target = plan_targets(NUISANCES, columns(200))[1]
    index = target.nearest_value(NUISANCES[1].encode(np.array([353.0, 80.0, 2.0, 6.0])))
    np.testing.assert_array_equal(target.values[index], [350, 90, 0, 0])


def test_predicting_the_training_mean_is_exactly_chance():
    true, mean = np.random.default_rng(0).normal(size=(50, 2)), np.array([0.3, -1])
    assert r2(np.broadcast_to(mean, true.shape), true, mean) == 0
    assert r2(true, true, mean) == 1
