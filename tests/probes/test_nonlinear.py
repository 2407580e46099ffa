from __future__ import annotations

import numpy as np
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

from invariantnets.statistics.moments import moments
from invariantnets.statistics.neighbours import merge_equal, nearest, neighbour_grid, neighbour_means
from invariantnets.statistics.spaces import CLIP, sample_sources, spaces


def epanechnikov(distances: np.ndarray) -> np.ndarray:
    """Weights of k neighbours of k + 1; the last has none."""
    return 1 - (distances / distances[:, -1:]) ** 2


def test_knn_equals_scikit_learn():
    rng = np.random.default_rng(0)
    fit, queries = rng.normal(size=(2, 1500, 6)).astype(np.float32)
    y, grid = rng.normal(size=(1500, 2)), (1, 4, 16)
    index, squares = nearest(fit, queries, 17)
    distances, expected = NearestNeighbors(n_neighbors=17, algorithm="brute").fit(fit).kneighbors(queries)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(np.sqrt(squares), distances, atol=1e-3)
    for k, predicted in zip(grid, neighbour_means(y, index, distances**2, grid), strict=True):
        reference = KNeighborsRegressor(k + 1, weights=epanechnikov, algorithm="brute").fit(fit, y).predict(queries)
        np.testing.assert_allclose(predicted, reference, rtol=1e-6, atol=1e-9)


def test_neighbours_as_far_as_the_next_or_without_a_next_weigh_the_same():
    y, index = np.array([[1.0], [2], [6], [9]]), np.array([[0, 1, 2, 3]])
    for squares in (np.ones((1, 4)), np.zeros((1, 4))):
        np.testing.assert_allclose(neighbour_means(y, index, squares, (2, 3, 4))[:, 0, 0], [1.5, 3, 4.5])
    found = neighbour_means(y, index, np.array([[0.0, 1, 2, 4]]), (1, 2, 4))[:, 0, 0]
    np.testing.assert_allclose(found, [1, (1 + 2 * 0.5) / 1.5, 4.5])


def test_grid_shrinks_to_the_rows_there_are():
    assert neighbour_grid(5) == (1, 2, 4)
    assert neighbour_grid(4) == (1, 2) and neighbour_grid(1) == (1,)


def test_equal_rows_are_one_point():
    features = np.array([[1, 2], [3, 4], [1, 2], [1, 2]], np.float32)
    first, means = merge_equal(features, np.array([[0.0], [5], [3], [6]]))
    found = {tuple(features[i]): float(m[0]) for i, m in zip(first, means, strict=True)}
    assert found == {(1, 2): 3, (3, 4): 5}


def test_whitened_features_are_white_and_standardised_ones_keep_distances():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3000, 4)) @ rng.normal(size=(4, 4)) + 2).astype(np.float32)
    standardised, whitened, _ = (space.transform(x) for space in spaces(moments(x, np.zeros((3000, 0)))))
    np.testing.assert_allclose(np.cov(whitened.T, bias=True), np.eye(4), atol=1e-4)
    reference = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(
        np.linalg.norm(standardised[0] - standardised[1:], axis=1),
        np.linalg.norm(reference[0] - reference[1:], axis=1),
        rtol=1e-4,
    )


def test_rounding_noise_is_not_whitened_and_outliers_are_clipped():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1)).astype(np.float32)
    x = np.concatenate([x, x + 1e-7 * rng.normal(size=x.shape).astype(np.float32)], 1)
    _, whitened, _ = spaces(moments(x, np.zeros((2000, 0))))
    assert whitened.transform(x).std(0)[-1] < 0.1
    far = whitened.transform(np.array([[1e3, -1e3]], np.float32))
    assert np.abs(far).max() <= CLIP * 1.0001


def test_sample_takes_whole_sources():
    source = np.repeat(np.arange(200), 3)
    rows = sample_sources(source, 320, np.random.default_rng(0))
    assert len(rows) == 318 and len(np.unique(source[rows])) == 106
    assert len(sample_sources(source, 10_000, np.random.default_rng(0))) == 600


def test_of_few_sources_it_takes_some_rows_of_each():
    source = np.repeat(np.arange(20), 300)
    rows = sample_sources(source, 900, np.random.default_rng(0))
    assert len(rows) == len(np.unique(rows)) == 900 and len(np.unique(source[rows])) == 20
