from __future__ import annotations

import numpy as np
import pytest

from invariantnets.statistics.lengths import norms, unit, unit_and_norms
from invariantnets.statistics.moments import CLIP, moments
from invariantnets.statistics.spaces import Space, eigenbasis, spaces, transform_to, unit_moments
from invariantnets.statistics.views import UnitRows


def features(rows: int = 900, dims: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(rows, dims)) @ rng.normal(size=(dims, dims)) + 2).astype(np.float32)


def of(x: np.ndarray) -> dict[str, Space]:
    return {space.name: space for space in spaces(moments(x, np.zeros((len(x), 0))), unit_moments(x))}


def distances(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[0] - x[1:], axis=1)


def test_every_space_is_what_its_name_says():
    x = features().astype(np.float64)
    found = {name: space.transform(x) for name, space in of(x).items()}
    np.testing.assert_allclose(distances(found["standardised"]), distances((x - x.mean(0)) / x.std(0)), rtol=1e-4)
    np.testing.assert_allclose(np.cov(found["whitened"].T, bias=True), np.eye(6), atol=1e-4)
    np.testing.assert_allclose(distances(found["raw"]), distances(x) / np.sqrt(x.var(0).mean()), rtol=1e-4)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    beside = np.concatenate([x / length, length], 1)
    np.testing.assert_allclose(found["unit"], (beside - beside.mean(0)) / beside.std(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("unit_of_length", [1e20, 1e-24])
def test_no_space_depends_on_the_unit_of_the_features(unit_of_length: float):
    x = features()
    there = (x * np.float32(unit_of_length)).astype(np.float32)
    for name, space in of(x).items():
        np.testing.assert_allclose(
            distances(of(there)[name].transform(there)), distances(space.transform(x)), rtol=2e-3, err_msg=name
        )


def test_several_spaces_at_once_equal_each_alone_and_what_is_far_out_is_clipped():
    x = features()
    rows, options = np.arange(0, 900, 7), list(of(x).values())
    for space, together in zip(options, transform_to(options, x, rows), strict=True):
        np.testing.assert_array_equal(together, space.transform(x[rows]))
        far = np.abs(space.transform(x[:1] + 1e6))
        assert (far <= space.limit / space.scale * 1.0001).all() and far.max() >= CLIP * 0.999


def test_a_dead_feature_and_a_constant_length_are_in_no_space():
    x = features()
    assert of(unit(x))["unit"].transform(unit(x)).shape == (900, 6)
    x[:, 2] = 7
    assert {name: space.transform(x).shape[1] for name, space in of(x).items()} == {
        "standardised": 5,
        "whitened": 5,
        "raw": 5,
        "unit": 7,
    }
    assert eigenbasis(moments(x, np.zeros((900, 0))), standardise=False)[1].shape == (6, 5)


def test_unit_rows_are_made_block_by_block_and_zeros_stay():
    x = features(50).astype(np.float64)
    x[3] = 0
    view = UnitRows(x)
    assert view.shape == (50, 7) and len(view) == 50
    np.testing.assert_allclose(view[:], np.c_[unit(x), norms(x)], rtol=1e-15)
    np.testing.assert_array_equal(view[np.array([4, 3])], view[3:5][::-1])
    np.testing.assert_array_equal(view[3:4], np.zeros((1, 7)))
    for part, reference in zip(unit_and_norms(x * 1e-200), (unit(x), norms(x) * 1e-200), strict=True):
        np.testing.assert_allclose(part, reference, rtol=1e-14)
