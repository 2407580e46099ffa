from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor, NearestNeighbors

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import Knn, Mlp
from invariantnets.probes.mlp import _Group, _Option
from invariantnets.probes.sample import draw_sample, task_spaces
from invariantnets.probes.targets import r2
from invariantnets.probes.task import Task, prepare
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


def task_of(x: np.ndarray, y: np.ndarray, source: np.ndarray) -> Task:
    """The last quarter of the sources is test, the quarter before it validation."""
    part = np.searchsorted([0.5, 0.75], source / (source.max() + 1), side="right")
    split = np.array(["train", "val", "test"])[part]
    table = FeatureTable(
        {"e": x.astype(np.float32)}, np.arange(len(x)) % 2, split, source, {"y": y}, (Nuisance("y"),), 2
    )
    return prepare(table, "e", 0, closed=True).asked_for(Knn.reads)


READERS = (Knn(), Mlp(steps=600, epochs=1, networks=1))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_sources_known_by_heart_read_nothing_of_others(reader):
    """All pictures of one source are alike, and so is its nuisance: among themselves, R² is 1."""
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(500), 4)
    x = rng.normal(size=(500, 24))[source] + 0.05 * rng.normal(size=(2000, 24))
    y = rng.normal(size=500)[source]
    assert KNeighborsRegressor(3).fit(x, y).score(x, y) > 0.99
    task = task_of(x, y, source)
    (reading,) = reader(task)
    assert task.validation_r2(reading.held_out, reading.target) < 0.05
    assert r2(reading.test, task.y["test"][:, reading.target.true], task.mean(reading.target.true)) < 0.05


def test_neighbours_out_of_fold_are_scikit_learns():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(900, 5)) * (1, 2, 3, 0.5, 0.1)
    y = np.sin(x[:, 0]) + x[:, 1] ** 2 + 0.3 * rng.normal(size=900)
    task = task_of(x, y, np.arange(900) // 3)
    (reading,) = Knn()(task)
    k, name = reading.chosen["k"], reading.chosen["space"]
    x_known, y_known = task.x["known"], task.y["known"][:, reading.target.true]
    for fold, options in zip(task.fits, task_spaces(task), strict=True):
        (space,) = (space for space in options if space.name == name)
        fit = task.folds.fit(fold)
        slow = KNeighborsRegressor(k + 1, weights=epanechnikov, algorithm="brute")
        slow.fit(space.transform(x_known[fit]).astype(float), y_known[fit])
        rows = task.x["test"] if fold is None else x_known[task.folds.held(fold)]
        read = reading.test if fold is None else reading.held_out[task.folds.places(fold)]
        np.testing.assert_allclose(read, slow.predict(space.transform(rows).astype(float)), rtol=1e-3, atol=1e-3)


def test_networks_out_of_fold_know_nothing_of_the_rows_held_out():
    """Whatever is written beside the rows of a fold, its networks come out the same."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 4))
    task = task_of(x, x[:, 0] * x[:, 1], np.arange(400))
    mlp, sample = Mlp(steps=100, epochs=1, networks=1), draw_sample(task, 400, np.random.default_rng(0))
    group = _Group((task.targets[0],))
    chosen = {group: _Option(0, 0.0, 16, 0.1, 100)}
    before = mlp._held_out(task, sample, chosen)[0][group]
    for fold in range(task.folds.count):
        y = task.y["known"].copy()
        y[task.folds.held(fold)] = 1e3
        after = mlp._held_out(replace(task, y={**task.y, "known": y}), sample, chosen)[0][group]
        places = task.folds.places(fold)
        np.testing.assert_array_equal(after[:, places], before[:, places])
        assert not np.array_equal(after, before)


def test_many_nuisances_share_networks_and_each_is_read():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(900, 12))
    names = [f"n{i}" for i in range(12)]
    columns = {name: x[:, i] * (1 + x[:, (i + 1) % 12]) for i, name in enumerate(names)}
    table = FeatureTable(
        {"e": x.astype(np.float32)},
        np.arange(900) % 3,
        np.repeat(["train", "val", "test"], 300),
        np.arange(900),
        columns,
        tuple(Nuisance(name) for name in names),
        3,
    )
    task = prepare(table, "e", 0, closed=True).asked_for(Mlp.reads)
    readings = list(Mlp(steps=300, epochs=1, networks=2)(task))
    assert [reading.target.nuisance.name for reading in readings] == names
    true, control = (
        [r2(read, task.y["test"][:, target.true], task.mean(target.true)) for target, read in of]
        for of in ([(r.target, r.test) for r in readings], [(r.target, r.control) for r in readings])
    )
    assert min(true) > 0.2 and np.mean(control) < 0


def test_where_enough_rows_are_never_held_out_one_fit_serves_both():
    """The networks that are judged are those that read test: what was held out reads the same there."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(28_000, 4))
    task = task_of(x, x[:, 0] + rng.normal(size=28_000), np.arange(28_000))
    assert task.folds.count == 1
    again = {**task.x, "test": task.x["known"][task.choice]}, {**task.y, "test": task.y["known"][task.choice]}
    task = replace(task, x=again[0], y=again[1])
    (reading,) = Mlp(rows=2000, steps=200, epochs=1, networks=2)(task)
    assert task.validation_r2(reading.held_out, reading.target) > 0.4
    np.testing.assert_allclose(reading.test, reading.held_out, atol=1e-5)
    assert abs(np.corrcoef(reading.control[:, 0], reading.test[:, 0])[0, 1]) < 0.5
