from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from invariantnets.analysis.blocks import block_order, sort_samples
from invariantnets.analysis.description import column_spread, describe
from invariantnets.analysis.scatter import scatter_traces
from invariantnets.analysis.spectrum import effective_rank, singular_values, variance_share
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance


def make_table(x: np.ndarray, classes: int = 3) -> FeatureTable:
    n = len(x)
    return FeatureTable(
        features={"ip1": x},
        label=np.arange(n) % classes,
        split=np.repeat(["train", "test"], [n // 2, n - n // 2]),
        source=np.arange(n) // 2,
        nuisance={"angle": np.zeros(n)},
        nuisances=(Nuisance("angle"),),
        num_classes=classes,
    )


def test_singular_values_equal_svd():
    x = np.random.default_rng(0).normal(size=(50, 8))
    np.testing.assert_allclose(singular_values(x.T @ x), np.linalg.svd(x, compute_uv=False), rtol=1e-10)


@pytest.mark.parametrize(
    ("singular", "rank"), [(np.ones(7), 7), (np.array([3.0, 0, 0]), 1), (np.zeros(4), 0), (np.array([2.0, 2, 0]), 2)]
)
def test_effective_rank(singular, rank):
    assert effective_rank(singular) == pytest.approx(rank)


def test_variance_share():
    assert variance_share(np.array([2.0, 1, 1]), 1) == pytest.approx(4 / 6)
    assert np.isnan(variance_share(np.zeros(3), 1))


def test_scatter_adds_up_and_equals_scikit_learn():
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(90, 4)).astype(np.float32), rng.integers(0, 3, 90)
    means = np.stack([x[label == c].mean(0) for c in range(3)])
    within, between = scatter_traces(float(((x - x.mean(0)) ** 2).sum()), np.bincount(label), means)
    assert within + between == pytest.approx(((x - x.mean(0, dtype=np.float64)) ** 2).sum())
    reference = LinearDiscriminantAnalysis(store_covariance=True).fit(x, label)
    assert within == pytest.approx(np.trace(reference.covariance_) * 90, rel=1e-5)


def test_column_spread_equals_numpy():
    x = np.random.default_rng(0).normal(3, 1e-3, (5000, 4)).astype(np.float32)
    mean, std = column_spread(x)
    np.testing.assert_allclose(mean, x.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(std, x.std(0, dtype=np.float64), rtol=1e-8)


def test_block_order_of_a_block_matrix():
    label = np.array([0, 0, 1, 1, 2, 2])
    features = np.zeros((6, 5))
    for column, c in ((0, 2), (1, 0), (3, 1), (4, 0)):  # column 2 is dead
        features[label == c, column] = [1, 2]
    order, cluster = block_order(features, label, 3)
    np.testing.assert_array_equal(order, [1, 4, 3, 0, 2])
    np.testing.assert_array_equal(cluster, [2, 0, 3, 1, 0])


def test_block_order_equals_a_double_loop_over_equation_1():
    rng = np.random.default_rng(0)
    features, label = rng.random((60, 12)).astype(np.float32), rng.integers(0, 4, 60)
    _, cluster = block_order(features, label, 4)
    for i in range(12):
        error = [
            sum(d for d, y in zip(features[:, i], label, strict=True) if y != c)
            / sum(d for d, y in zip(features[:, i], label, strict=True) if y == c)
            for c in range(4)
        ]
        assert cluster[i] == int(np.argmin(error))


def test_samples_are_sorted_by_class_then_nuisance():
    label, angle = np.array([1, 0, 1, 0]), np.array([15.0, 30, -15, -30])
    np.testing.assert_array_equal(sort_samples(label, angle), [3, 1, 2, 0])


def test_description_follows_the_definitions():
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(400, 60)), 0).astype(np.float32)
    x[:, 0] = 0.3
    results = describe(make_table(x), "ip1", seed=5)
    test = x[200:].astype(np.float64)
    scaled = 2 * (test - test.min()) / (test.max() - test.min()) - 1
    expected = np.linalg.svd(scaled - scaled.mean(0), compute_uv=False)
    found = {r.metric: r for r in results}
    singular = [r.value for r in results if r.metric == "singular_value"]
    np.testing.assert_allclose(singular, expected[:40], rtol=1e-6)
    assert [r.where["component"] for r in results if r.metric == "singular_value"] == list(range(1, 41))
    assert found["ideal_rank"].value == 2
    assert found["effective_rank"].value == pytest.approx(effective_rank(expected), rel=1e-4)
    assert found["variance_in_ideal_rank"].value == pytest.approx(variance_share(expected, 2))
    assert found["sparsity"].value == pytest.approx((test == 0).mean())
    assert found["sparsity"].low < found["sparsity"].value < found["sparsity"].high
    assert found["dead_fraction"].value == pytest.approx(1 / 60) and found["dead_fraction"].split == "train"
    for r in results:
        assert (r.n, r.sources, r.seed, r.target, r.layer) == (200, 100, 5, "features", "ip1")


def test_ideal_representation_has_the_ideal_rank():
    table = make_table(np.eye(3, dtype=np.float32)[np.arange(600) % 3])
    found = {r.metric: r.value for r in describe(table, "ip1")}
    assert found["effective_rank"] == pytest.approx(2, rel=1e-3)
    assert found["variance_in_ideal_rank"] == pytest.approx(1)
    assert found["within_between"] == pytest.approx(0, abs=1e-12)


def test_a_collapsed_representation_is_described_not_divided_by_zero():
    found = {r.metric: r.value for r in describe(make_table(np.ones((40, 3), np.float32)), "ip1")}
    assert found["effective_rank"] == 0 and found["dead_fraction"] == 1
    assert np.isnan(found["within_between"])


def test_nan_is_refused():
    with pytest.raises(InvariantNetsError, match="NaN"):
        describe(make_table(np.full((40, 3), np.nan, np.float32)), "ip1")
