from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from invariantnets.statistics.kernel_ridge import Kernel, Name, fit_kernel_ridge

SCIKIT = {
    "rbf": {"kernel": "rbf", "gamma": 1 / 7},
    "quadratic": {"kernel": "poly", "gamma": 1 / 7, "degree": 2, "coef0": 1},
}
KERNELS: list[Name] = ["rbf", "quadratic"]


def problem(rows: int = 400, dims: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, queries = rng.normal(size=(rows, dims)), rng.normal(size=(60, dims))
    y = np.stack([x[:, 0] * x[:, 1] + 3, np.sin(2 * x[:, 2])], 1) + 0.1 * rng.normal(size=(rows, 2))
    return x, y, queries


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_kernel_ridge_of_scikit_learn(name: Name, dtype: type):
    x, y, queries = (part.astype(dtype) for part in problem())
    penalties = (1e-5, 1e-2)
    kernel = Kernel(name, 7.0)
    found = fit_kernel_ridge(kernel, x, y, penalties).predict(queries)
    trace = float(np.diag(kernel(x, x)).sum())
    for penalty, predicted in zip(penalties, found, strict=True):
        reference = KernelRidge(alpha=penalty * trace, **SCIKIT[name]).fit(x, y - y.mean(0)).predict(queries)
        tolerance = 1e-9 if dtype is np.float64 else 2e-3
        np.testing.assert_allclose(predicted, reference + y.mean(0), atol=tolerance)


def test_the_quadratic_kernel_is_ridge_on_squares_and_products():
    x, y, queries = problem()
    dims, size = x.shape[1], 7.0
    kernel = Kernel("quadratic", size)
    penalty = 1e-3 * float(np.diag(kernel(x, x)).sum())
    products = PolynomialFeatures(2).fit(x)
    # (1 + x·z/c)² = 1 + Σ 2 x_i z_i / c + Σ x_i² z_i² / c² + Σ_{i<j} 2 x_i x_j z_i z_j / c²
    powers = products.powers_
    weight = np.where(powers.sum(1) == 2, np.where(powers.max(1) == 2, 1.0, 2.0) / size**2, 2 / size)
    weight[powers.sum(1) == 0] = 1
    assert products.n_output_features_ == 1 + dims + dims * (dims + 1) // 2

    def features(rows: np.ndarray) -> np.ndarray:
        return products.transform(rows) * np.sqrt(weight)

    reference = Ridge(alpha=penalty, fit_intercept=False).fit(features(x), y - y.mean(0)).predict(features(queries))
    (found,) = fit_kernel_ridge(kernel, x, y, (1e-3,)).predict(queries)
    np.testing.assert_allclose(found, reference + y.mean(0), atol=1e-9)


@pytest.mark.parametrize("name", KERNELS)
def test_landmarks_are_nystroem_of_scikit_learn(name: Name):
    x, y, queries = problem(900)
    kernel = Kernel(name, 7.0)
    (found,) = fit_kernel_ridge(kernel, x, y, (1e-4,), landmarks=100).predict(queries)
    size = float(np.diag(kernel(x[:100], x[:100])).mean())
    features = Nystroem(n_components=100, **SCIKIT[name])
    features.fit(x[:100])
    model = make_pipeline(features, Ridge(alpha=1e-4 * size * len(x), fit_intercept=False)).fit(x[:100], y[:100])
    model[-1].fit(features.transform(x), y - y.mean(0))
    np.testing.assert_allclose(found, model.predict(queries) + y.mean(0), atol=1e-4)


@pytest.mark.parametrize("name", KERNELS)
def test_as_many_landmarks_as_rows_are_exact(name: Name):
    x, y, queries = problem(300)
    exact, some = (fit_kernel_ridge(Kernel(name, 7.0), x, y, (1e-3,), m).predict(queries) for m in (None, 299))
    np.testing.assert_allclose(exact, some, atol=2e-3)


@pytest.mark.parametrize("name", KERNELS)
def test_slopes_are_the_differences_of_predictions(name: Name):
    x, y, queries = problem(50)
    path = fit_kernel_ridge(Kernel(name, 7.0), x, y, (1e-2,))
    step = 1e-5
    slopes = np.stack(
        [
            (path.predict(queries + step * axis) - path.predict(queries - step * axis))[0, :, 0] / (2 * step)
            for axis in np.eye(x.shape[1])
        ],
        1,
    )
    np.testing.assert_allclose(path.relevance(queries, 0, [0]), slopes.T @ slopes / len(queries), rtol=1e-5, atol=1e-7)


def test_errors_are_those_of_predictions_and_each_target_may_have_its_penalty():
    x, y, queries = problem(100)
    path, truth = fit_kernel_ridge(Kernel("rbf", 7.0), x, y, (1e-5, 1e-1)), np.zeros((60, 2))
    predicted = path.predict(queries)
    np.testing.assert_allclose(path.errors(queries, truth), (predicted**2).sum(1))
    np.testing.assert_allclose(path.at([1, 0]).predict(queries)[0], np.c_[predicted[1, :, 0], predicted[0, :, 1]])


def test_a_row_far_out_is_predicted_within_reach_of_the_targets():
    x, y, _ = problem(100)
    (found,) = fit_kernel_ridge(Kernel("quadratic", 7.0), x, y, (1e-6,)).predict(np.full((1, 5), 1e4))
    half = (y.max(0) - y.min(0)) / 2
    assert (found[0] >= y.min(0) - half).all() and (found[0] <= y.max(0) + half).all()


def test_equal_rows_predict_the_mean():
    y = np.random.default_rng(0).normal(size=(200, 1))
    for name in KERNELS:
        for landmarks in (None, 50):
            x = np.ones((200, 3), np.float32)
            (found,) = fit_kernel_ridge(Kernel(name, 1.0), x, y, (1e-8,), landmarks).predict(x)
            np.testing.assert_allclose(found, y.mean(), atol=1e-6)
