from __future__ import annotations

import numpy as np

from invariantnets.statistics.resampling import LEVELS, Resampling, ratio


def r2(sums: np.ndarray) -> np.ndarray:
    return 1 - sums[:, :1] / sums[:, 1:2]


def test_equals_resampling_the_rows_of_each_source_in_a_loop():
    rng = np.random.default_rng(0)
    source, y = np.repeat(np.arange(30), 4), rng.normal(size=120)
    predicted = y + rng.normal(size=120)
    boot = Resampling(source, 200, np.random.default_rng(1))
    value, low, high = boot.interval(np.stack([(y - predicted) ** 2, y**2], 1), r2)
    slow = []
    for counts in boot.counts.astype(int):
        rows = np.concatenate([np.flatnonzero(source == s) for s in np.repeat(np.arange(30), counts)])
        slow.append(1 - ((y - predicted)[rows] ** 2).sum() / (y[rows] ** 2).sum())
    np.testing.assert_allclose(value, 1 - ((y - predicted) ** 2).sum() / (y**2).sum())
    np.testing.assert_allclose([low[0], high[0]], np.percentile(slow, LEVELS), rtol=1e-4)


def test_counts_are_draws_with_replacement():
    counts = Resampling(np.arange(50), 400, np.random.default_rng(0)).counts
    np.testing.assert_array_equal(counts.sum(1), 50)
    assert abs(counts.var() - (1 - 1 / 50)) < 0.05


def test_correlated_rows_need_a_wider_interval_than_rows_suggest():
    correct = np.repeat(np.random.default_rng(0).random(200) < 0.7, 7).astype(float)
    quantities = np.stack([correct, np.ones(1400)], 1)
    width = {}
    for name, source in (("sources", np.repeat(np.arange(200), 7)), ("rows", np.arange(1400))):
        _, low, high = Resampling(source, 1000, np.random.default_rng(1)).interval(quantities, ratio)
        width[name] = float(high[0] - low[0])
    assert abs(width["sources"] / width["rows"] - np.sqrt(7)) < 0.4


def test_interval_of_a_mean_covers_it_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sample = np.stack([rng.normal(size=100), np.ones(100)], 1)
        _, low, high = Resampling(np.arange(100), 400, rng).interval(sample, ratio)
        covered += int(low[0] <= 0 <= high[0])
    assert 0.89 <= covered / 200 <= 0.985


def test_a_small_subset_may_be_missing_from_replicates_and_an_empty_one_is_undefined():
    member = np.zeros((20, 2))
    member[0, 0] = 1
    boot = Resampling(np.arange(20), 100, np.random.default_rng(0))
    value, low, high = boot.interval(np.hstack([member, member]), ratio)
    assert (value[0], low[0], high[0]) == (1, 1, 1)
    assert np.isnan([value[1], low[1], high[1]]).all()
