from __future__ import annotations

import numpy as np
import pytest

from invariantnets.statistics.moments import BLOCK_ROWS, class_moments, moments, project, project_by, varies


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    n = BLOCK_ROWS + 100
    return (rng.normal(5, 2, (n, 6)).astype(np.float32), rng.normal(-1, 3, (n, 3)), rng.integers(0, 3, n))


def test_moments_are_the_centred_products(data):
    x, y, _ = data
    found, x64 = moments(x, y), x.astype(np.float64)
    xc, yc = x64 - x64.mean(0), y - y.mean(0)
    np.testing.assert_allclose(found.x_mean, x64.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.xx, xc.T @ xc, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(found.xy, xc.T @ yc, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(found.yy, (yc**2).sum(0), rtol=1e-9)


def test_classes_add_up_to_all(data):
    x, y, label = data
    classes = class_moments(x, y, label, 3)
    total, whole = sum(classes[1:], classes[0]), moments(x, y)
    assert total.n == whole.n
    for name in ("x_mean", "y_mean", "xx", "xy", "yy"):
        np.testing.assert_allclose(getattr(total, name), getattr(whole, name), rtol=1e-9, atol=1e-8)


def test_targets_are_a_view_of_fewer_columns(data):
    x, y, _ = data
    part, direct = moments(x, y).targets(slice(1, 3)), moments(x, y[:, 1:3])
    np.testing.assert_allclose(part.xy, direct.xy)
    np.testing.assert_allclose(part.yy, direct.yy)


def test_small_variance_on_a_large_mean_survives():
    x = (1 + 1e-4 * np.random.default_rng(0).normal(size=(5000, 2))).astype(np.float32)
    np.testing.assert_allclose(moments(x, np.zeros((5000, 0))).x_std, x.astype(np.float64).std(0), rtol=1e-8)


def test_constant_is_dead_even_if_float32_cannot_hold_its_mean():
    x = np.full((5000, 2), 0.1, np.float32)
    x[::2, 0] = np.nextafter(np.float32(0.1), np.float32(1))
    assert not moments(x, np.zeros((5000, 0))).live.any()
    assert varies(np.zeros(1), np.full(1, 1e-30), np.finfo(np.float32).eps).all()


def test_project_by_is_a_loop_over_rows(data):
    x, _, label = data
    weights = np.random.default_rng(1).normal(size=(3, 6, 2))
    expected = np.stack([row.astype(np.float64) @ weights[c] for row, c in zip(x, label, strict=True)])
    np.testing.assert_allclose(project_by(x, label, weights), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(project(x, weights[0], np.array([5, 2])), x[[5, 2]] @ weights[0], rtol=1e-12)
