from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, t

from invariantnets.randomness import numpy_rng
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.resampling import Resampling, draw, ratio, shares

R2 = [Number("below_one", (2,))]


def r2(sums: np.ndarray) -> np.ndarray:
    return 1 - sums[:, :1] / sums[:, 1:2]


def errors(sources: int, views: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Source of each row; squared error, squared deviation and 1."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(sources, 1)) + rng.normal(size=(sources, views))
    wrong = rng.normal(size=(sources, 1)) + 0.3 * rng.normal(size=(sources, views))
    found = np.stack([wrong.ravel() ** 2, y.ravel() ** 2, np.ones(sources * views)], 1)
    return np.repeat(np.arange(sources), views), found


def test_equals_leaving_out_the_rows_of_each_source_in_a_loop():
    source, quantities = errors(30, 4)
    value, low, high = Resampling(source).interval(quantities, r2, R2)
    left = [np.log((q := quantities[source != s].sum(0))[0] / q[1]) for s in range(30)]
    influence = 29 * (np.mean(left) - np.array(left))
    error = np.sqrt((influence**2).sum() / (30 * 29))
    many = min(30, 3 * (influence**2).sum() ** 2 / (influence**4).sum())
    whole = quantities.sum(0)
    middle, reach = np.log(whole[0] / whole[1]), t.ppf(0.975, 0.75 * many - 1)
    further = (influence**3).sum() / (influence**2).sum() ** 1.5 * (1 + 2 * t.ppf(0.975, 29) ** 2) / 6
    assert further > 0, "errors lean towards large ones"
    ends = [middle + (reach + further) * error, middle - reach * error]
    np.testing.assert_allclose(value, 1 - whole[0] / whole[1])
    np.testing.assert_allclose([low[0], high[0]], 1 - np.exp(ends), rtol=1e-9)


def test_of_many_sources_it_is_the_percentile_interval_of_the_bootstrap():
    source, quantities = errors(4000, 3)
    right = (quantities[:, :1] < 0.5).astype(float)
    both = np.hstack([quantities, right])

    def statistic(sums: np.ndarray) -> np.ndarray:
        return np.hstack([r2(sums), sums[:, 3:] / sums[:, 2:3]])

    _, low, high = Resampling(source).interval(both, statistic, [*R2, Number("share", (2,))])
    sums = np.stack([np.bincount(source, column) for column in both.T], 1)
    drawn = statistic(draw(4000, 2000, np.random.default_rng(1)).astype(float) @ sums)
    for i in range(2):
        ends = np.percentile(drawn[:, i], (2.5, 97.5))
        assert [low[i], high[i]] == pytest.approx(ends.tolist(), abs=0.05 * np.diff(ends)[0])


def test_draws_are_those_of_a_bootstrap():
    counts = draw(50, 400, np.random.default_rng(0))
    np.testing.assert_array_equal(counts.sum(1), 50)
    assert abs(counts.var() - (1 - 1 / 50)) < 0.05
    sample = np.random.default_rng(2).normal(size=50)
    ours = (draw(50, 9000, np.random.default_rng(0)) @ sample / 50).std(ddof=1)
    theirs = bootstrap((sample,), np.mean, n_resamples=9000, rng=np.random.default_rng(0)).standard_error
    assert ours == pytest.approx(theirs, rel=0.03)


def test_correlated_rows_need_a_wider_interval_than_rows_suggest():
    correct = np.repeat(np.random.default_rng(0).random(200) < 0.7, 7).astype(float)
    quantities = np.stack([correct, np.ones(1400)], 1)
    width = {}
    for name, source in (("sources", np.repeat(np.arange(200), 7)), ("rows", np.arange(1400))):
        _, low, high = Resampling(source).interval(quantities, ratio, shares(1))
        width[name] = float(high[0] - low[0])
    assert abs(width["sources"] / width["rows"] - np.sqrt(7)) < 0.1


def test_a_subset_of_one_source_says_little_and_an_empty_one_nothing():
    member = np.zeros((20, 2))
    member[0, 0] = 1
    value, low, high = Resampling(np.arange(20)).interval(np.hstack([member, member]), ratio, shares(2))
    assert (value[0], high[0]) == (1, 1) and low[0] == pytest.approx(0.025)
    assert np.isnan([value[1], low[1], high[1]]).all()


def test_of_one_source_nothing_can_be_said_and_of_two_little():
    source, quantities = errors(2, 9)
    both = np.hstack([quantities, quantities[:, :1] < 0.5])

    def statistic(sums: np.ndarray) -> np.ndarray:
        return np.hstack([r2(sums), sums[:, 3:] / sums[:, 2:3]])

    kinds = [*R2, Number("share", (2,))]
    value, low, high = Resampling(np.zeros(18)).interval(both, statistic, kinds)
    assert np.isfinite(value).all() and np.isnan([low, high]).all()
    value, low, high = Resampling(source).interval(both, statistic, kinds)
    assert (low <= value).all() and (value <= high).all() and low[1] < 0.1 and high[1] > 0.9


def test_what_is_right_by_all_sources_may_be_wrong_by_another():
    """Clopper and Pearson's end, of sources and not of rows."""
    _, low, high = Resampling(np.repeat(np.arange(12), 5)).interval(np.ones((60, 2)), ratio, shares(1))
    assert low[0] == pytest.approx(0.025 ** (1 / 12)) and high[0] == 1


@pytest.mark.parametrize("seed", range(5))
def test_intervals_stay_where_numbers_can_be(seed):
    rng = np.random.default_rng(seed)
    source = rng.integers(6, size=40)
    share = (rng.random(40) < 0.95).astype(float)
    wild = np.exp(3 * rng.normal(size=40))
    quantities = np.stack([share, share - 0.4, wild, wild, np.ones(40)], 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        means = sums[:, :4] / sums[:, 4:]
        return np.hstack([means[:, :3], 1 - means[:, 3:], np.tanh(means[:, :1])])

    scales = ("share", "difference", "positive", "below_one", "correlation")
    value, low, high = Resampling(source).interval(quantities, statistic, [Number(s, (4,)) for s in scales])
    assert (low <= value).all() and (value <= high).all() and (low < high).all()
    assert (low >= [0, -1, 0, -np.inf, -1]).all() and (high <= [1, 1, np.inf, 1, 1]).all()


def test_a_mean_of_shares_reaches_as_far_as_they_do():
    """Nobody of three is right: their share does not scatter, and yet is not known to be 0."""
    group = np.repeat([0, 1], [3, 60])
    right = np.where(group == 1, np.arange(63) % 4 > 0, False).astype(float)
    member = (group[:, None] == [0, 1]).astype(float)
    quantities = np.hstack([member * right[:, None], member])

    def statistic(sums: np.ndarray) -> np.ndarray:
        recall = ratio(sums)
        return np.hstack([recall.mean(1, keepdims=True), recall])

    kinds = [Number("share", parts=(1, 2)), Number("share", (2,)), Number("share", (3,))]
    value, low, high = Resampling(np.arange(63)).interval(quantities, statistic, kinds)
    reach = [np.hypot(*(high - value)[1:]) / 2, np.hypot(*(value - low)[1:]) / 2]
    assert [high[0] - value[0], value[0] - low[0]] == pytest.approx(reach, rel=1e-6)
    assert high[1] == pytest.approx(1 - 0.025 ** (1 / 3)) and low[1] == 0


def test_shares_of_the_same_sources_that_rise_together_scatter_more():
    """Twice the same rows: the mean of two shares is one of them."""
    source, quantities = errors(40, 5)
    right = (quantities[:, :1] < 0.5).astype(float)
    all_rows = np.hstack([right, right, np.ones((200, 2))])

    def statistic(sums: np.ndarray) -> np.ndarray:
        return np.hstack([ratio(sums).mean(1, keepdims=True), ratio(sums)])

    kinds = [Number("share", parts=(1, 2)), Number("share", (2,)), Number("share", (3,))]
    _, low, high = Resampling(source).interval(all_rows, statistic, kinds)
    assert [low[0], high[0]] == pytest.approx([low[1], high[1]])


def test_no_error_at_all_is_not_known_to_stay():
    quantities = np.stack([np.zeros(20), np.ones(20), np.ones(20)], 1)
    _, low, high = Resampling(np.arange(20)).interval(quantities, r2, R2)
    assert high[0] == 1 and low[0] == pytest.approx(0.025 ** (1 / 20))
    quantities[:, 0] = quantities[:, 1]
    assert [float(v[0]) for v in Resampling(np.arange(20)).interval(quantities, r2, R2)] == [0, 0, 0], "says the mean"


@pytest.mark.parametrize("scale", ["positive", "below_one", "any"])
def test_of_one_source_among_many_nothing_is_known_of_others(scale: str) -> None:
    """A bin that holds the rows of a single person, of whom the error is the same whoever else is left out."""
    rng = numpy_rng(4)
    group, errors = np.repeat(np.arange(20), 3), rng.random(60) + 0.1
    for people, known in ((1, False), (2, True)):
        inside = (group < people).astype(np.float64)
        kind = Number(scale, (1,))
        value, low, high = Resampling(group).interval(np.stack([inside * errors, inside], 1), ratio, [kind])
        assert np.isfinite(value).all() and np.isfinite([low, high]).all() == known
