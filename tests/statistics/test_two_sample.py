"""t-tests of all groups and features at once: those of scipy, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from invariantnets.randomness import numpy_rng
from invariantnets.statistics import two_sample as module
from invariantnets.statistics.two_sample import shuffled_tests, two_sample


def rows(groups: int = 7, width: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups of different sizes, not in order, far from 0 and of different spread on the two sides."""
    rng = numpy_rng(seed)
    group = rng.permutation(np.repeat(np.arange(groups), rng.integers(9, 40, groups)))
    side = rng.random(len(group)) > 0.6
    for g in range(groups):
        side[np.flatnonzero(group == g)[:4]] = [True, False, True, False]
    x = 1e3 + rng.normal(size=(len(group), width)) * (1 + side[:, None]) + 0.5 * side[:, None]
    return x, group, side


@pytest.mark.parametrize("welch", [True, False])
@pytest.mark.parametrize("block", [1, 50, 4096])
def test_they_are_those_of_scipy(welch: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", block)
    x, group, side = rows()
    found = two_sample(x, group, side, welch)
    for g in range(7):
        sides = (x[(group == g) & s] for s in (side, ~side))
        theirs = ttest_ind(*sides, equal_var=not welch)
        np.testing.assert_allclose(found.t[g], theirs.statistic, rtol=1e-8)
        np.testing.assert_allclose(found.p[g], theirs.pvalue, rtol=1e-8)
        np.testing.assert_allclose(found.freedom[g], theirs.df, rtol=1e-8)


@pytest.mark.parametrize("welch", [True, False])
def test_what_never_varies_has_no_test_unless_it_differs(welch: bool) -> None:
    x, group, side = rows()
    x[:, 0], x[:, 1] = 0.1, np.where(side, 0.3, 0.1)
    found = two_sample(x.astype(np.float32), group, side, welch)
    assert np.isnan(found.p[:, 0]).all() and (found.p[:, 1] == 0).all()
    counted = shuffled_tests(x[:, :1], group, side, 5, 0.05, numpy_rng(0), welch=welch)
    assert (counted == 0).all()


@pytest.mark.parametrize("welch", [True, False])
def test_shuffled_sides_differ_as_often_as_they_should(welch: bool) -> None:
    rng = numpy_rng(1)
    group = np.repeat(np.arange(10), 60)
    side = rng.random(600) > 0.4
    x = rng.normal(size=(600, 40)) + 5.0 * side[:, None]
    assert (two_sample(x, group, side, welch).p < 0.05).all()
    share = shuffled_tests(x, group, side, 50, 0.05, numpy_rng(2), welch=welch) / 40
    assert share.shape == (50, 10) and 0.04 < share.mean() < 0.06


def test_a_shuffle_is_the_test_of_shuffled_sides() -> None:
    x, group, side = rows(1, 200)
    counted = shuffled_tests(x, group, side, 3, 0.2, numpy_rng(3), welch=True)[:, 0]
    drawn = numpy_rng(3).permuted(np.tile(side, (3, 1)), axis=1)
    assert counted.tolist() == [(two_sample(x, group, s).p < 0.2).sum() for s in drawn]
