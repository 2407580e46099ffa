"""Deleted units: what one unit alone holds, what all hold, and what none does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from invariantnets import FeatureTable
from invariantnets.analysis import Material, UnitDeletion
from invariantnets.analysis.sub_ridge import SubRidge, held_out_error, left_out, of_units
from invariantnets.analysis.unit_deletion import draw_units
from invariantnets.errors import InvariantNetsError
from invariantnets.probes.linear import path_of
from invariantnets.probes.task import prepare
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.moments import moments

PEOPLE, IMAGES, WIDTH = 40, 12, 16


def table(**more: Any) -> FeatureTable:
    """Every unit knows who it is and a little of the yaw; one alone knows the hat; none the light."""
    rng = numpy_rng(0)
    who = np.repeat(np.arange(PEOPLE), IMAGES)
    yaw, light = rng.normal(0, 20, len(who)), rng.random(len(who))
    hat = (rng.random(len(who)) > 0.5).astype(int)
    x = rng.normal(size=(PEOPLE, WIDTH))[who] + 0.02 * yaw[:, None] + 0.3 * rng.normal(size=(len(who), WIDTH))
    x[:, 5] = 0.05 * hat + 0.001 * rng.normal(size=len(who))
    given = {"label": who, "yaw": yaw, "light": light, "hat": hat, "division": "identity"} | more
    return FeatureTable.from_arrays(x, **{name: v for name, v in given.items() if v is not None})


def measured(of: FeatureTable, **knobs: Any) -> list[Result]:
    return UnitDeletion(**knobs)(Material(of, "features"))


def curve(results: list[Result], target: str, metric: str) -> dict[int, float]:
    return {r.where["units"]: r.value for r in results if (r.target, r.metric) == (target, metric)}


def test_what_all_units_know_falls_late_and_what_one_knows_with_the_odds_of_drawing_it() -> None:
    results = measured(table(), draws=40)
    assert list(curve(results, "identity", "auc")) == [16, 8, 4, 2, 1]
    identity, hat = curve(results, "identity", "auc"), curve(results, "hat", "auc")
    assert identity[16] > 0.85 and identity[16] > identity[4] > identity[1] > 0.5
    # With the one unit it is known, without it not: half of the draws of half of the units have it.
    assert hat[16] > 0.99
    assert all(hat[units] == pytest.approx(0.5 + 0.5 * units / 16, abs=0.12) for units in (8, 4, 2))
    # What is not there is read as nothing, or worse where the mean of so few test rows is another.
    assert all(-0.12 < v < 0.03 for v in curve(results, "light", "r2").values())
    yaw, spread = curve(results, "yaw", "r2"), curve(results, "yaw", "sd_over_draws")
    assert yaw[16] > yaw[4] > yaw[1] and set(spread) == {8, 4, 2, 1}
    for r in results:
        assert r.low is None or r.low <= r.value <= r.high
        assert r.n and r.sources and (r.n_fit is not None) == (r.target != "identity")


def test_identity_from_all_units_is_the_area_of_the_cosine() -> None:
    of = table()
    (whole,) = [r for r in measured(of) if r.target == "identity" and r.where["units"] == WIDTH and r.metric == "auc"]
    test = of.part("test")
    x = test.features["features"] / np.linalg.norm(test.features["features"], axis=1, keepdims=True)
    i, j = np.triu_indices(len(x), 1)
    area = roc_auc_score(test.label[i] == test.label[j], (x[i] * x[j]).sum(1))  # all pairs; ours are drawn
    assert whole.value == pytest.approx(area, abs=0.02) and whole.low < area < whole.high


def test_a_block_of_the_moments_is_a_regression_on_these_units() -> None:
    task = prepare(table(), "features", 0, closed=False)
    ridge, units = SubRidge.of(task), np.array([1, 4, 5, 9])
    model = ridge.fit(units)
    x = task.x["known"][:, units].astype(np.float64)
    z = x.std(0)
    for target, group, penalty in zip(task.every, ridge.groups, model.penalty, strict=True):
        y = task.y["known"][:, target.true]
        if not np.isfinite(penalty):
            assert np.allclose(model.coef[:, group], 0)
            continue
        theirs = Ridge(alpha=penalty * len(x), fit_intercept=True).fit(x / z, y)
        np.testing.assert_allclose(model.coef[:, group].T, np.atleast_2d(theirs.coef_) / z, rtol=1e-6, atol=1e-9)


def test_the_error_held_out_is_that_of_the_rows() -> None:
    rng = numpy_rng(1)
    x, y = 100 + rng.normal(size=(60, 5)), rng.normal(size=(60, 2))
    fitted, held = np.arange(40), np.arange(40, 60)
    part, whole, units = moments(x, y, fitted), moments(x, y), np.array([0, 3])
    path = path_of(of_units(part, units))
    found = held_out_error(of_units(left_out(whole, part), units), path)
    for coef, error in zip(path, found, strict=True):
        off = (x[held][:, units] - part.x_mean[units]) @ coef + part.y_mean - y[held]
        np.testing.assert_allclose(error, (off**2).sum(0), rtol=1e-8)


def test_units_are_left_in_halves_of_the_last() -> None:
    left = draw_units(10, 30, 2, numpy_rng(0))
    assert [masks.shape for masks in left] == [(10, 1), (10, 30), (10, 30)]
    assert [set(masks.sum(0)) for masks in left] == [{10}, {5}, {2}]
    assert (left[2] <= left[1]).all() and (left[1].sum(1) > 5).all()
    assert [masks.shape for masks in draw_units(1, 3, 1, numpy_rng(0))] == [(1, 1)]


def test_what_can_be_measured_is_and_the_rest_is_said() -> None:
    alone = measured(table(split=["test"] * (PEOPLE * IMAGES), division=None))
    assert {r.target for r in alone} == {"identity"}
    assert "no rows of split train, val and test to fit a line" in alone[0].note
    nobody = measured(table(label=None, division=None))
    assert {r.target for r in nobody} == {"yaw", "light", "hat"}
    assert "nobody says who is on the images" in nobody[0].note and "over images" in nobody[0].note
    some = measured(table(far=np.where(np.arange(PEOPLE * IMAGES) == 0, 1.0, np.nan)), draws=2)
    assert "far is not read: it is known in" in some[0].note and {r.target for r in some} >= {"identity", "yaw"}


@pytest.mark.parametrize("knobs", [{"draws": 1}, {"least": 0}])
def test_what_cannot_be_asked_for(knobs: dict[str, int]) -> None:
    with pytest.raises(InvariantNetsError, match=next(iter(knobs))):
        measured(table(), **knobs)


def test_nothing_at_all_is_an_error() -> None:
    bare = FeatureTable.from_arrays(numpy_rng(0).normal(size=(20, 4)), split=["test"] * 20)
    with pytest.raises(InvariantNetsError, match="nothing can be measured: identity is not measured"):
        measured(bare)
