"""Tests within each person, on people of whom it is known which features differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from invariantnets import FeatureTable
from invariantnets.analysis import IdentityTests, Material
from invariantnets.analysis.bands import bands
from invariantnets.analysis.pair_area import mean_area
from invariantnets.analysis.sides import sided, split
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.protocols.scores import Recorder
from invariantnets.protocols.verification import make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

PEOPLE, IMAGES, WIDTH = 24, 44, 30


def table(effect: np.ndarray, split: str = "half", seed: int = 0, **columns: Any) -> FeatureTable:
    """Who it is, noise, and what profile adds to each feature of each person, ``(PEOPLE, WIDTH)``."""
    rng = numpy_rng(seed)
    who = np.repeat(np.arange(PEOPLE), IMAGES)
    profile = np.tile(np.arange(IMAGES) % 2, PEOPLE)
    x = 3 * rng.normal(size=(PEOPLE, WIDTH))[who] + rng.normal(size=(len(who), WIDTH)) + effect[who] * profile[:, None]
    parts = np.where(who < PEOPLE // 2, "test", np.where(who % 4 == 0, "val", "train"))
    columns = {"profile": np.where(profile, "profile", "frontal")} | columns
    of = np.full(len(who), "test") if split == "all" else parts
    names = np.array([f"person {w:02d}" for w in who])
    return FeatureTable.from_arrays(x.astype(np.float32), label=names, split=of, **columns)


def found(of: FeatureTable, **knobs: Any) -> tuple[list[Result], dict[str, Any]]:
    kept: dict[str, Any] = {}
    results = IdentityTests(**knobs)(Material(of, "features", 0, keep=kept.__setitem__))
    return results, kept


def value(results: list[Result], metric: str, probe: str = "identity_tests", **where: str) -> Result:
    (one,) = [r for r in results if (r.metric, r.probe, dict(r.where)) == (metric, probe, where)]
    return one


def by_person(seed: int = 5) -> np.ndarray:
    """Every second person differs in all features, the others in none."""
    return np.repeat(2.5 * (np.arange(PEOPLE) % 2)[:, None], WIDTH, axis=1)


def test_people_differ_or_not_and_the_bands_are_theirs() -> None:
    results, kept = found(table(by_person()))
    arrays = kept["identity_tests_0"]
    assert arrays["map"].shape == (12, WIDTH) and arrays["images"].min() == 22
    assert {int(name[-2:]) % 2 for name in arrays["names"][:6]} == {0}
    mean = value(results, "features_that_differ", people="mean")
    assert mean.value == pytest.approx(0.5, abs=0.02) and mean.low < 0.5 < mean.high
    assert mean.chance == pytest.approx(0.05 / WIDTH) and (mean.n, mean.sources) == (12 * 44, 12)
    assert value(results, "features_that_differ", people="most").value == 1.0
    assert value(results, "features_that_differ", people="least").value == 0.0
    null = value(results, "features_that_differ", "identity_tests/sides shuffled", people="mean")
    assert null.value < 0.006
    people, features = (value(results, "variance_share", of=of) for of in ("people", "features"))
    assert people.value > 0.95 and people.low > 0.85 and features.value < 0.02
    assert value(results, "p_value", "identity_tests/by shuffling", of="people").value == 0.01
    named = [r.where["person"] for r in results if "person" in r.where]
    assert len(set(named)) == 10 and named[0] in {f"person {i:02d}" for i in range(0, 12, 2)}


def test_features_differ_or_not_and_the_bands_are_theirs() -> None:
    effect = np.repeat(2.5 * (np.arange(WIDTH) % 3 == 0)[None], PEOPLE, axis=0)
    results, _ = found(table(effect))
    assert value(results, "variance_share", of="features").value > 0.95
    assert value(results, "variance_share", of="people").value < 0.02
    assert value(results, "features_that_differ", people="mean").value == pytest.approx(1 / 3, abs=0.02)
    # One line tells the side of everybody, whom it has not seen.
    read = value(results, "auc", "identity_tests/side", people="mean")
    assert read.value > 0.99 and read.n_fit == 12 * 44 and "other people" in read.note


def test_where_nothing_differs_it_says_so() -> None:
    results, _ = found(table(np.zeros((PEOPLE, WIDTH))), shuffles=60)
    mean = value(results, "features_that_differ", people="mean")
    null = value(results, "features_that_differ", "identity_tests/sides shuffled", people="mean")
    assert mean.value < 0.01 and null.value == pytest.approx(0.05 / WIDTH, rel=0.5)
    read = value(results, "auc", "identity_tests/side", people="mean")
    assert read.low < 0.5 < read.high
    bands_of = [r for r in results if r.metric in ("variance_share", "p_value") and r.where["of"] == "people"]
    assert not any(r.metric == "p_value" and r.value < 0.02 for r in bands_of)


def test_those_who_differ_least_are_verified_by_themselves() -> None:
    results, kept = found(table(by_person()), invariant=6)
    least, others, gap = [r for r in results if r.title.startswith("Verification")]
    assert least.where == {"people": "the 6 who differ least"} and others.sources == 6
    assert least.value > others.value and gap.value == pytest.approx(least.value - others.value)
    assert gap.low <= gap.value <= gap.high and gap.low < least.low - others.value + 1e-9 + gap.value
    arrays = kept["identity_tests_0"]
    assert arrays["tar_0"][-1] == arrays["tar_1"][-1] == 1 and (np.diff(arrays["tar_0"]) >= 0).all()


def test_without_rows_to_fit_to_all_else_is_measured() -> None:
    results, _ = found(table(by_person(), split="all"))
    assert value(results, "features_that_differ", people="mean").sources == PEOPLE
    assert not [r for r in results if r.metric == "auc" and r.probe.endswith("/side")]
    assert any("the side is not read: the feature table has no row with split='train'" in r.note for r in results)


def test_who_has_too_few_is_left_out_and_counted() -> None:
    of = table(by_person())
    drop = (of.label == 1) & (np.cumsum(of.label == 1) > 30)
    results, kept = found(of.rows(~drop))
    assert len(kept["identity_tests_0"]["map"]) == 11
    assert "11 people with 20 images or more on both sides, 1 with fewer left out" in results[0].note
    rare = table(by_person(), rare=(np.arange(PEOPLE * IMAGES) % 10 == 0).astype(int))
    assert "of 'rare' nobody has 20 images on both sides" in found(rare)[0][0].note
    with pytest.raises(
        InvariantNetsError, match=r"nobody .* 30 images on both sides of 'profile'; the most is 22: .*=22"
    ):
        found(of, least=30)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"nuisance": "yaw"}, r"nuisance=yaw: no such nuisance in the table \(it has profile\)"),
        ({"least": 1}, "least=1 and most=None are 2 or more"),
        ({"most": 1}, "most=1"),
        ({"alpha": 1.0}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_asked_for(knobs: dict[str, Any], words: str) -> None:
    with pytest.raises(InvariantNetsError, match=words):
        found(table(by_person()), **knobs)


def test_without_people_there_is_nobody_to_test() -> None:
    bare = FeatureTable.from_arrays(numpy_rng(0).normal(size=(60, 3)), hat=np.arange(60) % 2)
    with pytest.raises(InvariantNetsError, match="add a column 'label'"):
        found(bare)


def test_sides_of_numbers_angles_and_categories() -> None:
    yaw = np.array([-50.0, -10, 5, 20, 30, np.nan, 359, 0])
    test = FeatureTable.from_arrays(
        np.arange(8.0)[:, None], split=["test"] * 8, yaw=yaw, hue=np.nan_to_num(yaw), kinds={"hue": "circular"}
    )
    number, angle = test.nuisances
    assert split(test, number, 15).code.tolist()[:5] == [1, 0, 0, 1, 1] and np.isnan(split(test, number, 15).code[5])
    assert split(test, number, 15).names == ("|yaw| below 15", "from 15")
    np.testing.assert_array_equal(split(test, number, [10, 30]).code, [1, np.nan, 0, np.nan, 1, np.nan, 1, 0])
    assert split(test, number, magnitude=False).code.tolist()[:5] == [0, 0, 1, 1, 1]  # the median is 5
    assert split(test, angle, 15).code[6] == 0  # 359 degrees are 1
    with pytest.raises(InvariantNetsError, match="two that ascend"):
        split(test, number, [30, 10])
    place = Nuisance("place", "categorical", categories=("sea", "hill", "town"))
    there = replace(test, nuisance={"place": np.array([0, 1, 1, 2, 1, np.nan, 0, 0])}, nuisances=(place,))
    assert split(there, place).names == ("place: all others", "sea")  # as frequent as the hill, and before it
    assert split(there, place, category="town").code.tolist()[:4] == [0, 0, 0, 1]
    with pytest.raises(InvariantNetsError, match="has none of that name, but sea, hill, town"):
        split(there, place, category="moon")


def test_copies_of_an_image_are_one() -> None:
    source = np.repeat(np.arange(20), 6)
    label = np.repeat([0, 1], 60)
    x = numpy_rng(0).normal(size=(120, 2))
    of = FeatureTable.from_arrays(x, label=label, source=source, split=["test"] * 120)
    code = np.tile([0.0, 0, 0, 1, 1, np.nan], 20)
    some, most = sided(of, code, 10, None, numpy_rng(0))
    assert some is not None and most == 10 and len(some.rows) == 40 and some.images.tolist() == [[10, 10]] * 2
    assert sided(of, code, 11, None, numpy_rng(0)) == (None, 10)
    few, _ = sided(of, code, 10, 4, numpy_rng(0))
    assert few is not None and few.images.tolist() == [[4, 4]] * 2
    assert (code[few.rows] == few.second).all() and (label[few.rows] == few.who).all()


def test_bands_are_those_of_an_analysis_of_variance() -> None:
    rng = numpy_rng(3)
    made = rng.random((9, 14)) < np.where(np.arange(9) % 2, 0.2, 0.8)[:, None]
    share = bands(made, 199, numpy_rng(0))
    grand, total = made.mean(), ((made - made.mean()) ** 2).sum()
    assert share["rows"].value == pytest.approx(14 * ((made.mean(1) - grand) ** 2).sum() / total)
    assert share["columns"].value == pytest.approx(9 * ((made.mean(0) - grand) ** 2).sum() / total)
    # What is not in the means of columns is spread over 14 of them by a shuffle within each.
    assert share["rows"].chance == pytest.approx((1 - share["columns"].value) / 14, rel=0.1)
    assert share["columns"].chance == pytest.approx((1 - share["rows"].value) / 9, rel=0.1)
    assert share["rows"].p < 0.02


def test_a_map_without_bands_is_as_often_below_any_p_as_it_should() -> None:
    rng = numpy_rng(6)
    found = [bands(rng.random((9, 14)) < 0.3, 39, rng) for _ in range(100)]
    for of in ("rows", "columns"):
        p = np.array([share[of].p for share in found])
        assert 0.4 < p.mean() < 0.6 and (p <= 0.1).mean() < 0.2


def test_the_area_of_pairs_is_scikit_learns_and_its_interval_that_of_the_protocols() -> None:
    rng = numpy_rng(4)
    label = np.repeat(np.arange(40), 6)
    x = rng.normal(size=(40, 6))[label] + 1.6 * rng.normal(size=(240, 6))
    pairs = make_pairs(label, 1, 500, rng)
    scores = np.einsum("pd,pd->p", x[pairs.left], x[pairs.right])
    (area,), low, high, people = mean_area(scores[:, None], pairs, label)
    assert area == pytest.approx(roc_auc_score(pairs.same, scores), abs=1e-12) and people == 40
    record = Recorder("features", 0, "cosine", 400)
    theirs = record.verification(scores, pairs, label, np.array([0.7, 0.8]), "")[1]
    assert theirs.metric == "auc"
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.015)
    areas, *_ = mean_area(np.stack([scores, -scores], 1), pairs, label)
    assert areas.sum() == pytest.approx(1)
