from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as ReferenceRidge
from sklearn.preprocessing import StandardScaler

from invariantnets.probes.linear import LAMBDAS, LinearModel, errors, model_of, path_of, predict_by_class
from invariantnets.statistics.moments import moments
from invariantnets.statistics.spaces import eigenbasis


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(600, 8)) * np.logspace(-3, 2, 8) + 3).astype(np.float32)
    y = x[:, :2] / x[:, :2].std(0) + rng.normal(size=(600, 2))
    return x[:400], y[:400], x[400:], y[400:]


def fit_ridge(train, val, groups, penalties=LAMBDAS, raw=False) -> LinearModel:
    path = path_of(train, penalties, raw)
    error = errors(train, path, *val)
    return model_of(train, path, groups, [int(error[:, g].sum(1).argmin()) for g in groups], penalties)


@pytest.mark.parametrize("penalty", [1e-6, 1e-2, 1.0])
def test_equals_scikit_learn_ridge(data, penalty):
    x, y, x_val, y_val = data
    ours = fit_ridge(moments(x, y), (x_val, y_val), [slice(0, 2)], [penalty])
    scaler = StandardScaler().fit(x.astype(np.float64))
    reference = ReferenceRidge(alpha=penalty * len(x)).fit(scaler.transform(x), y)
    np.testing.assert_allclose(ours.predict(x_val), reference.predict(scaler.transform(x_val)), rtol=1e-6, atol=1e-6)


def test_without_penalty_equals_least_squares(data):
    x, y, x_val, y_val = data
    ours = fit_ridge(moments(x, y), (x_val, y_val), [slice(0, 2)], [0.0])
    reference = LinearRegression().fit(x.astype(np.float64), y)
    np.testing.assert_allclose(ours.predict(x_val), reference.predict(x_val.astype(np.float64)), rtol=1e-6, atol=1e-6)


def test_chooses_the_penalty_a_loop_over_validation_rows_would(data):
    x, y, x_val, y_val = data
    x, y = x[:15], y[:15]  # few rows, so that the penalty matters
    train, val = moments(x, y), (x_val, y_val)
    groups = [slice(0, 1), slice(1, 2)]
    ours = fit_ridge(train, val, groups)
    for group, chosen in zip(groups, ours.penalty, strict=True):
        error = [((fit_ridge(train, val, groups, [p]).predict(x_val) - y_val)[:, group] ** 2).sum() for p in LAMBDAS]
        assert chosen == LAMBDAS[int(np.argmin(error))]


def test_nothing_to_read_predicts_the_mean():
    rng = np.random.default_rng(0)
    x, y = np.ones((50, 3), np.float32), rng.normal(size=(50, 1))
    ridge = fit_ridge(moments(x, y), (x, y), [slice(0, 1)])
    np.testing.assert_allclose(ridge.predict(x), np.full((50, 1), y.mean()))


def test_duplicated_and_dead_columns_change_nothing(data):
    x, y, x_val, y_val = data
    wide, wide_val = (np.concatenate([a, a, np.full((len(a), 1), 7, np.float32)], 1) for a in (x, x_val))
    plain = fit_ridge(moments(x, y), (x_val, y_val), [slice(0, 2)], [0.0])
    doubled = fit_ridge(moments(wide, y), (wide_val, y_val), [slice(0, 2)], [0.0])
    assert len(eigenbasis(moments(wide, y))[0]) == 8
    np.testing.assert_allclose(doubled.predict(wide_val), plain.predict(x_val), rtol=1e-5, atol=1e-5)


def test_more_columns_than_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 40)).astype(np.float32)
    y = x[:, :1].astype(np.float64)
    fitted = fit_ridge(moments(x, y), (x, y), [slice(0, 1)], [0.0])
    assert len(eigenbasis(moments(x, y))[0]) == 19
    np.testing.assert_allclose(fitted.predict(x), y, atol=1e-6)


def test_each_row_is_read_by_the_regressor_of_its_class(data):
    x, y, x_val, _ = data
    train = [moments(x[i::2], y[i::2]) for i in (0, 1)]
    models = [model_of(m, path_of(m), [slice(0, 2)], [12]) for m in train]
    label = np.arange(len(x_val)) % 2
    expected = np.stack([models[c].predict(x_val[i : i + 1])[0] for i, c in enumerate(label)])
    np.testing.assert_allclose(predict_by_class(models, x_val, label), expected, rtol=1e-9)


@pytest.mark.parametrize("penalty", [1e-4, 1.0])
def test_raw_features_are_divided_by_one_number_alone(data, penalty):
    x, y, x_val, y_val = data
    ours = fit_ridge(moments(x, y), (x_val, y_val), [slice(0, 2)], [penalty], raw=True)
    scale = np.sqrt(x.astype(np.float64).var(0).mean())
    reference = ReferenceRidge(alpha=penalty * len(x)).fit((x - x.mean(0)) / scale, y)
    np.testing.assert_allclose(ours.predict(x_val), reference.predict((x_val - x.mean(0)) / scale), atol=1e-5)


def test_fewer_rows_than_features_are_solved_by_their_inner_products():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(30, 50)) * np.logspace(-2, 2, 50)).astype(np.float32)
    x[:, 7] = 3
    train = moments(x, rng.normal(size=(30, 2)))
    np.testing.assert_allclose(path_of(train, rows=x), path_of(train), atol=1e-9)


def test_validation_rows_far_outside_do_not_hide_what_all_others_show():
    rng = np.random.default_rng(0)
    y = rng.uniform(-1, 1, size=(2000, 1))
    # A feature that holds next to nothing in training: a line leans on it all the same, 1 % of the rows are far out.
    hidden = rng.normal(size=(2000, 1))
    wide = np.concatenate([hidden + 0.01 * y, hidden + 1e-4 * rng.normal(size=y.shape)], 1)
    wide[1000::100] += [5, -5]
    wide = wide.astype(np.float32)
    ridge = fit_ridge(moments(wide[:1000], y[:1000]), (wide[1000:], y[1000:]), [slice(0, 1)])
    predicted = ridge.predict(wide[1000:])
    assert ((predicted - y[1000:]) ** 2).mean() < 0.4 * y.var() and ridge.penalty[0] < 1e-3
    assert np.abs(predicted).max() <= 2.0
    np.testing.assert_array_less(np.abs(np.delete(predicted - y[1000:], np.s_[::100])), 0.5)
