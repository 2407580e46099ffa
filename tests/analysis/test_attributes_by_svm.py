"""Attributes by balanced SVMs: scikit-learn's answers, a truth that is known, groups and what is skipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import Attributes, Material
from invariantnets.analysis.attributes import GROUPS, variation_within
from invariantnets.probes.balanced_svm import fit_balanced, weights_of
from invariantnets.randomness import numpy_rng
from invariantnets.report.analyses import analysis_tables
from invariantnets.results.result import Result
from invariantnets.statistics.moments import moments


def test_it_is_linear_svc() -> None:
    """Of attributes of 3 % to half of the rows, some rows of which are left out, from the least C to the greatest."""
    rng = numpy_rng(1)
    x = (5 + rng.normal(size=(1500, 30)) @ rng.normal(size=(30, 30))).astype(np.float32)
    hidden = x[:, :4] @ rng.normal(size=(4, 4)) / 5 + rng.normal(size=(1500, 4))
    present = (hidden > np.quantile(hidden, [0.5, 0.7, 0.9, 0.97], axis=0).diagonal()).T
    fitted = rng.random((4, 1500)) > 0.2
    weights = np.stack([weights_of(*pair) for pair in zip(present, fitted, strict=True)])
    penalties = (0.001, 0.1, 10.0)
    said = fit_balanced(x, moments(x, np.zeros((1500, 0))), present, weights, penalties).scores(x, np.arange(1500)) > 0
    z = ((x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)).astype(np.float64)
    for i, c in enumerate(penalties):
        for j in range(4):
            svc = LinearSVC(C=c, dual=False, class_weight="balanced", tol=1e-8, max_iter=5000)
            theirs = svc.fit(z[fitted[j]], present[j][fitted[j]]).predict(z)
            assert (said[i, :, j] == theirs).mean() >= 0.999


def people(count: int = 120, images: int = 8, **columns: Any) -> FeatureTable:
    """A sex and a beard that mostly stays, a smile that is half noise, a hat of 4 % that is plain, and pure chance."""
    rng = numpy_rng(2)
    who = np.repeat(np.arange(count), images)
    male = (rng.random(count) > 0.5)[who]
    beard = (rng.random(count) > 0.6)[who] ^ (rng.random(len(who)) > 0.92)
    smile, hat, luck = rng.random(len(who)) > 0.5, rng.random(len(who)) > 0.96, rng.random(len(who)) > 0.5
    x = rng.normal(size=(len(who), 12))
    for i, (of, size) in enumerate(((male, 5.0), (beard, 3.0), (smile, 1.0), (hat, 8.0))):
        x[:, i] += size * of
    given = {"luck": luck, "hat": hat, "smile": smile, "male": male, "beard": beard, **columns}
    return FeatureTable.from_arrays(x.astype(np.float32), label=who, division="identity", **given)


def measure(table: FeatureTable, **knobs: Any) -> list[Result]:
    return Attributes(**knobs)(Material(table, "features"))


def value(found: list[Result], metric: str, target: str) -> Result:
    (result,) = [r for r in found if (r.metric, r.target) == (metric, target)]
    return result


@pytest.fixture(scope="module")
def found() -> list[Result]:
    return measure(people())


def test_the_truth_is_found(found: list[Result]) -> None:
    """A smile of one s.d. is told by half of it: 69 % of either side. Balanced, the rare hat is not missed."""
    for target, least, most in (("male", 0.97, 1), ("smile", 0.62, 0.75), ("hat", 0.95, 1), ("luck", 0.4, 0.6)):
        balanced = value(found, "balanced_accuracy", target)
        missed, vain = (value(found, f"false_{side}_rate", target) for side in ("negative", "positive"))
        assert (
            least <= balanced.value <= most
            and balanced.chance == 0.5
            and balanced.chosen["C"] in (0.01, 0.1, 1, 10, 100)
        )
        assert balanced.value == pytest.approx(1 - (missed.value + vain.value) / 2)
        assert missed.n + vain.n == balanced.n == 24 * 8 and balanced.sources == 24 and balanced.n_fit == 96 * 8
        assert all(r.low <= r.value <= r.high for r in (balanced, missed, vain))
    luck = value(found, "balanced_accuracy", "luck")
    assert luck.low < 0.5 < luck.high
    assert value(found, "false_negative_rate", "hat").n < 20


def test_groups_by_who_varies_and_by_name(found: list[Result]) -> None:
    of = {r.target: r.where["group"] for r in found}
    named = {"male": "dependent", "beard": "correlated", "smile": "independent", "hat": "independent"}
    assert {name: of[name] for name in named} == {name: f"identity-{group}" for name, group in named.items()}
    assert [*dict.fromkeys(of.values())] == ["identity-dependent", "identity-correlated", "identity-independent"]
    told = measure(people(), groups={"face": ["male", "beard"], "moment": ["smile"]}, penalties=[0.1, 1.0])
    of = {r.target: r.where["group"] for r in told}
    assert of == {"male": "face", "beard": "face", "smile": "moment", "hat": "in no group", "luck": "in no group"}
    who = np.repeat(np.arange(500), 2)
    by_chance = (numpy_rng(3).random(1000) > 0.8).astype(np.float64)
    assert variation_within(by_chance, who) == pytest.approx(1, abs=0.15)
    assert variation_within((who % 3 == 0).astype(np.float64), who) == 0
    assert np.isnan(variation_within(by_chance, np.arange(1000)))


def test_one_value_is_skipped_unknown_rows_are_left_out_and_the_figure_shows_the_rest(tmp_path: Path) -> None:
    rng = numpy_rng(4)
    part = np.where(rng.random(960) > 0.5, np.nan, (rng.random(960) > 0.5).astype(float))
    table = people(never=np.zeros(960), part=part)
    evaluation = run_suite(table, [], analyses=[Attributes()], protocols=None)
    found = [r for r in evaluation.results if r.about == "analysis"]
    assert not evaluation.failed and "not told: 'never': it has one value only (0)" in found[0].note
    known = np.isfinite(table.nuisance["part"])
    assert value(found, "balanced_accuracy", "part").n == (known & (table.split == "test")).sum()
    assert value(found, "balanced_accuracy", "part").n_fit == (known & (table.split != "test")).sum()
    page = evaluation.save(tmp_path).read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "attribute_errors.svg").is_file() and "missed and seen in vain" in page
    (tables,) = analysis_tables(found, {}).values()
    assert [table.title for table in tables] == [f"Attributes by linear SVMs: {group}" for group in GROUPS]
    assert all(table.title in page for table in tables)
    assert [row.name for row in tables[-1].parts[""]] == ["luck", "hat", "smile", "part"], "a row each, by its name"


def test_own_answers_stand_beside(found: list[Result], tmp_path: Path) -> None:
    """As they are: who says no to every hat misses all of them, and the machine's numbers stay what they were."""
    table = people()
    answers = {"hat": np.full(960, -0.1), "male": table.nuisance["male"] - 0.5, "never asked for": np.zeros(960)}
    evaluation = run_suite(replace(table, answers=answers), [], analyses=[Attributes()], protocols=None)
    asked = [r for r in evaluation.results if r.about == "analysis"]
    assert [(r.target, r.metric, r.value) for r in asked if r.probe == "attributes"] == [
        (r.target, r.metric, r.value) for r in found
    ]
    own = {(r.target, r.metric): r for r in asked if r.probe == "attributes/own answers"}
    assert {target for target, _ in own} == {"hat", "male"}
    rates = [
        [own[target, f"false_{side}_rate"].value for side in ("negative", "positive")] for target in ("hat", "male")
    ]
    assert rates == [[1, 0], [0, 0]] and own["hat", "balanced_accuracy"].value == 0.5
    for r in own.values():
        beside = value([r for r in asked if r.probe == "attributes"], r.metric, r.target)
        assert (r.n, r.sources, r.where, r.n_fit) == (beside.n, beside.sources, beside.where, None)
        assert r.low is None or r.low <= r.value <= r.high
    page = evaluation.save(tmp_path).read_text(encoding="utf-8")
    assert "false negatives, own answers" in page and "Crosses" in page


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"penalties": [1.0, 0.1]}, "penalties=[1.0, 0.1]: they must ascend from more than 0"),
        ({"groups": {"face": ["nose"]}}, "groups: 'nose' of 'face' is no column (binary ones: luck, hat"),
    ],
)
def test_refusals(knobs: dict[str, Any], said: str) -> None:
    told: list[Any] = []
    run_suite(people(20, 4), [], analyses=[Attributes(**knobs)], protocols=None, lost=told.append)
    assert said in str(told[0])


def test_a_table_without_attributes_and_one_whose_only_one_is_of_one_person() -> None:
    told: list[Any] = []
    bare = FeatureTable.from_arrays(
        people(20, 4).features["features"], label=np.repeat(np.arange(20), 4), division="identity"
    )
    run_suite(bare, [], analyses=[Attributes()], protocols=None, lost=told.append)
    assert "no binary nuisance in the table" in str(told[0])
    split = people(20, 4).split
    one = (np.arange(80) == int(np.flatnonzero(split == "train")[0])).astype(int)
    alone = FeatureTable.from_arrays(bare.features["features"], label=bare.label, split=split, scar=one)
    run_suite(alone, [], analyses=[Attributes()], protocols=None, lost=told.append)
    assert "'scar': 1 people of splits 'train' and 'val' are with it, and 2 are needed" in str(told[1])


@pytest.mark.parametrize("categories", [("female", "male"), ("female", "male", "nobody's")])
def test_two_words_are_binary_however_they_are_called(categories: tuple[str, ...]) -> None:
    """As text, as categories, or as two of three categories: the numbers are those of 0 and 1."""
    table = people(60, 8)
    male = table.nuisance["male"]
    words = {"male": np.where(male == 1, "male", "female"), "hat": np.where(np.arange(len(male)) % 9, "on", None)}
    text = FeatureTable.from_arrays(table.features["features"], label=table.label, split=table.split, **words)
    of_categories = replace(
        text, nuisances=tuple(replace(n, kind="categorical", categories=categories) for n in text.nuisances[:1])
    )
    plain = FeatureTable.from_arrays(table.features["features"], label=table.label, split=table.split, male=male)
    assert "not told: 'hat': it has one value only (on)" in measure(text)[0].note
    for of in (text, of_categories):
        found, numbers = measure(of), measure(plain)
        assert [(r.metric, r.value, r.low) for r in found] == [(r.metric, r.value, r.low) for r in numbers]
        assert "the attribute is there where it is: male 'male'" in found[0].note


def test_where_nobody_is_known_there_are_no_groups() -> None:
    table = people(30, 8)
    bare = FeatureTable.from_arrays(table.features["features"], male=table.nuisance["male"], hat=table.nuisance["hat"])
    found = measure(bare)
    assert {(r.where["group"], r.title) for r in found} == {("in no group", "Attributes by linear SVMs")}
    assert value(found, "balanced_accuracy", "male").value > 0.95
