"""Errors by group: exact cases, loops over all pairs, groups that differ and groups that do not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from invariantnets import FeatureTable
from invariantnets.analysis import Groups, Material
from invariantnets.analysis.group_errors import GroupErrors
from invariantnets.analysis.group_measures import beside
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.drawing import Scene
from invariantnets.figures.groups import draw
from invariantnets.figures.style import render
from invariantnets.protocols.every_pair import Errors, People, false_match_rates, false_non_match_rates
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.inequity import (
    discrepancy_rate,
    garbe,
    gini,
    inequity_rate,
    worst_to_average,
    worst_to_mean,
)
from invariantnets.statistics.lengths import unit

LADDER = np.array([0.2, 0.55, 0.7], np.float32)


def test_measures_are_as_published() -> None:
    fmr, fnmr = np.array([0.01, 0.02, 0.04]), np.array([0.1, 0.1, 0.4])
    assert discrepancy_rate(fmr, fnmr, 0.5) == pytest.approx(1 - (0.5 * 0.03 + 0.5 * 0.3))
    assert discrepancy_rate(fmr, fnmr, 1.0) == pytest.approx(0.97)
    # Σᵢⱼ |xᵢ - xⱼ| is twice 0.01 + 0.02 + 0.03; 3/2 · 0.12 / (2 · 9 · 0.07/3).
    assert gini(fmr) == pytest.approx(1.5 * 0.12 / (18 * 0.07 / 3))
    assert garbe(fmr, fnmr, 0.25) == pytest.approx(0.25 * gini(fmr) + 0.75 * gini(fnmr))
    assert inequity_rate(fmr, fnmr, 0.5) == pytest.approx(4.0) == inequity_rate(fmr, fnmr, 1.0)
    assert worst_to_mean(fmr) == pytest.approx(2.0)
    assert worst_to_average(fnmr) == pytest.approx(2.0)
    # All errors in one group are as unequal as can be, none in any is 0 / 0.
    one, none, same = np.array([0, 0, 0, 0.3]), np.zeros(4), np.full(4, 0.2)
    assert gini(one) == pytest.approx(1.0) and worst_to_average(one) == 4.0
    assert np.isinf(worst_to_mean(one)) and np.isinf(inequity_rate(one, same, 0.5))
    assert all(np.isnan(f(none)) for f in (gini, worst_to_mean, worst_to_average))
    assert np.isnan(inequity_rate(none, same, 0.5)) and discrepancy_rate(none, none, 0.5) == 1
    assert (gini(same), inequity_rate(same, same, 0.5), worst_to_average(same)) == pytest.approx((0, 1, 1))


def test_equal_groups_are_unequal_by_chance() -> None:
    """Five groups of 200 pairs of each kind, 1.9 % wrong in all of them: GARBE is 0.29 on average, and not 0."""
    rng = numpy_rng(0)
    fmr, fnmr = rng.binomial(200, 0.019, (2, 20000, 5)) / 200
    found = garbe(fmr, fnmr, 0.5)
    assert np.mean(found) == pytest.approx(0.29, abs=0.004)
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx([0.15, 0.45], abs=0.02)
    # So it is if FMR is known exactly, and 0.5 % of the pairs of one person are wrong.
    fnmr = rng.binomial(200, 0.005, (20000, 5)) / 200
    assert np.nanmean(garbe(np.full_like(fnmr, 1e-3), fnmr, 0.5)) == pytest.approx(0.29, abs=0.005)
    # Of more errors less: that of 200 pairs, a fifth of them wrong, and of a hundred times as many pairs.
    assert np.mean(gini(rng.binomial(200, 0.2, (20000, 5)) / 200)) == pytest.approx(0.08, abs=0.01)
    assert np.mean(gini(rng.binomial(20000, 0.02, (2000, 5)) / 20000)) == pytest.approx(0.028, abs=0.003)


def crowd(groups: Sequence[float], count: int, images: int, seed: int = 0, size: int = 12) -> tuple[np.ndarray, ...]:
    """Rows, whose they are, and the group: ``count`` people in each, whose images have so much noise."""
    rng = numpy_rng(seed)
    who = np.repeat(np.arange(count * len(groups)), images)
    group = who % len(groups)
    x = rng.normal(size=(count * len(groups), size))[who]
    return x + np.array(groups)[group][:, None] * rng.normal(size=x.shape), who, group


def small(of_person: bool) -> GroupErrors:
    x, who, group = crowd((0.6, 0.9, 0.9), 4, 5)
    rng = numpy_rng(3)
    keep = np.flatnonzero(rng.random(len(who)) < 0.8)
    people = People.of(unit(x.astype(np.float32)), who, keep)
    return GroupErrors(people, group[people.row] if of_person else rng.integers(3, size=len(keep)), LADDER)


def by_loops(errors: GroupErrors, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """FMR and FNMR ``(G, T)`` and the pairs ``(G,)`` that they are of."""
    wrong, of = np.zeros((2, errors.groups, len(LADDER))), np.zeros((2, errors.groups))
    score = errors.people.x @ errors.people.x.T
    for i, j in combinations(range(len(group)), 2):
        if group[i] == group[j]:
            mated = int(errors.people.person[i] == errors.people.person[j])
            of[mated, group[i]] += 1
            wrong[mated, group[i]] += (score[i, j] < LADDER) if mated else (score[i, j] >= LADDER)
    fmr, fnmr = wrong / of[..., None]
    return fmr, fnmr, *of


@pytest.mark.parametrize("of_person", [True, False])
def test_rates_of_groups_and_of_draws_are_those_of_loops_over_pairs(of_person: bool) -> None:
    errors = small(of_person)
    assert errors.of_person == of_person
    fmr, fnmr, impostors, mated = by_loops(errors, errors.group)
    np.testing.assert_array_equal(errors.impostors, impostors)
    np.testing.assert_array_equal(errors.mated, mated)
    for group in range(3):
        met, missed = errors.rates(group)
        np.testing.assert_allclose(met.value, fmr[group], rtol=1e-12)
        np.testing.assert_allclose(missed.value, fnmr[group], rtol=1e-12)
        alone = errors.people.some(errors.group == group)  # as if nobody else were there
        of = Errors.of(alone, LADDER)
        np.testing.assert_allclose(met, false_match_rates(of.false, alone.others), rtol=1e-9)
        np.testing.assert_allclose(missed, false_non_match_rates(of.missed, alone.mated), rtol=1e-9)
    drawn = errors.drawn(4, numpy_rng(5))
    rng, person = numpy_rng(5), errors.people.person
    first = np.unique(person, return_index=True)[1]
    for i in range(4):
        if of_person:
            moved = rng.permutation(errors.group[first])[person]
        else:
            moved = errors.group[np.lexsort((rng.random(len(person)), person))]
            for one in range(person.max() + 1):  # everybody keeps as many images in each group
                assert sorted(moved[person == one]) == sorted(errors.group[person == one])
        np.testing.assert_allclose(drawn[0][i], by_loops(errors, moved)[0], rtol=1e-12)
        np.testing.assert_allclose(drawn[1][i], by_loops(errors, moved)[1], rtol=1e-12)


def table(x: np.ndarray, who: np.ndarray, **columns: np.ndarray) -> FeatureTable:
    """All of test but the last four people."""
    last = who.max()
    split = np.where(who > last - 2, "train", np.where(who > last - 4, "val", "test"))
    return FeatureTable.from_arrays(x, label=who, split=split, **columns)


def names(group: np.ndarray) -> np.ndarray:
    return np.array(["red", "green", "blue"])[group]


def measure(of: FeatureTable, seed: int = 0, **knobs: Any) -> list[Result]:
    return Groups(**{"fmr": [1e-2], "draws": 200, **knobs})(Material(of, "features", seed))


def of_measure(results: list[Result], name: str, metric: str = "inequality", probe: str = "groups/measured") -> Result:
    (found,) = [
        r for r in results if r.where.get("measure", "").startswith(name) and (r.metric, r.probe) == (metric, probe)
    ]
    return found


def test_a_group_that_is_worse_is_found_and_named() -> None:
    x, who, group = crowd((0.4, 0.4, 0.8), 40, 4)
    results = measure(table(x, who, team=names(group)))
    rates = {r.where["team"]: r for r in results if r.metric == "false_non_match_rate"}
    assert rates["blue"].low is not None and rates["red"].high is not None and rates["blue"].low > rates["red"].high
    assert rates["blue"].n == 6 * rates["blue"].sources and rates["blue"].chance is not None
    for name in ("FDR", "GARBE", "FNMR, worst over geometric", "FNMR, worst group"):
        value, random = of_measure(results, name), of_measure(results, name, probe="groups/at random")
        assert random.low is not None and random.high is not None
        assert value.value < random.low if name == "FDR" else value.value > random.high
        assert of_measure(results, name, "p_value", "groups").value == pytest.approx(1 / 201)
    assert of_measure(results, "FNMR, worst group").where["group"] == "blue"
    assert "Bonferroni's correction asks for p below 0.007" in of_measure(results, "GARBE").note


def test_equal_groups_are_called_unequal_as_rarely_as_p_says() -> None:
    low = 0
    for seed in range(40):
        x, who, group = crowd((0.6, 0.6, 0.6), 16, 4, seed)
        results = measure(table(x, who, team=names(group)), seed, draws=60, fmr=[0.05])
        low += of_measure(results, "GARBE", "p_value", "groups").value <= 0.2
    assert 2 <= low <= 16  # of 40, 8 expected; 99 % of such counts


def test_groups_that_are_all_of_people_who_are_alike_are_not_unequal() -> None:
    """FMR within each group is higher than across, and of groups drawn at random lower: no group is worse."""
    x, who, group = crowd((0.5, 0.5, 0.5), 60, 4, 1)
    results = measure(table(x + 3 * np.eye(12)[group], who, team=names(group)))
    met = {r.where["team"]: r.value for r in results if r.metric == "false_match_rate"}
    everybody = met.pop("all, across groups too")
    assert min(met.values()) > 2 * everybody
    assert of_measure(results, "FMR, worst group", "p_value", "groups").value > 0.05


def test_what_changes_within_people_is_of_pairs_with_both_images_in_the_group() -> None:
    x, who, _ = crowd((0.5, 0.5), 30, 6)
    hat = np.tile([0, 0, 0, 1, 1, 1], 60)
    results = measure(table(x, who, hat=hat))
    rates = {r.where["hat"]: r for r in results if r.metric == "false_non_match_rate"}
    assert rates["1"].n == 3 * 28 and rates["all, across groups too"].n == 15 * 28
    assert "hat changes within 28 of 28 people who have two images" in rates["1"].note
    rare = hat.copy()
    rare[who % 2 == 0] = 0
    rare[who % 2 == 1] = 1
    rare[:6] = [0, 0, 0, 0, 0, 1]
    rare[6:12] = [1, 1, 1, 1, 1, 0]
    found = [measure(table(x, who, hat=rare), seed) for seed in range(4)]
    assert any("of whom few can change; if it is of the person" in r.note for results in found for r in results)


def test_what_is_not_known_or_too_small_is_left_out_and_named() -> None:
    x, who, group = crowd((0.5, 0.5, 0.5), 30, 3)
    team = names(group).astype(object)
    team[(group == 2) & (who > 9)] = "red"
    team[who < 2] = None
    results = measure(table(x, who, team=team))
    note = next(r.note for r in results if r.metric == "false_non_match_rate")
    assert "left out: blue (" in note and "10 are needed)" in note
    assert {r.where.get("team") for r in results} == {None, "all, across groups too", "red", "green"}


def test_numbers_that_are_not_defined_are_none_and_said() -> None:
    x, who, group = crowd((0.1, 0.1, 0.1), 30, 3)  # nobody is ever missed
    results = measure(table(x, who, team=names(group)))
    assert np.isnan(of_measure(results, "GARBE").value) and np.isnan(of_measure(results, "inequity").value)
    assert of_measure(results, "FNMR, worst group").where["group"] == "none has an error"
    assert "not defined (0/0, no error in any group)" in of_measure(results, "GARBE").note
    assert "of 200 draws are not defined, and left out: GARBE" in of_measure(results, "GARBE").note
    infinite = beside(np.inf, np.array([1.0, 2.0, np.inf, np.nan]), 1)
    assert infinite.p == pytest.approx(2 / 4) and infinite.undefined == 1
    assert beside(0.9, np.array([0.95, 0.9, 0.8, 0.99]), -1).p == pytest.approx(3 / 5)


def test_one_attribute_that_cannot_be_measured_does_not_keep_others_from_it() -> None:
    x, who, group = crowd((0.5, 0.5, 0.5), 20, 3)
    both = table(x, who, team=names(group), lone=(who == 3).astype(int), yaw=group + 0.5)
    results = measure(both)
    assert {r.target for r in results} == {"team"}
    assert "groups by lone: two groups are needed" in results[0].note
    for by, message in (
        ("lone", r"groups by lone: two groups are needed.*there is 0 only \(left out: 1 \("),
        ("yaw", r"analysis.groups.by=yaw: is a number; groups are categories \(have: team, lone\)"),
        ("hat", "analysis.groups.by=hat: no such column of categories"),
    ):
        with pytest.raises(InvariantNetsError, match=message):
            measure(both, by=by)
    with pytest.raises(InvariantNetsError, match=r"groups: no column of categories in the table \(have: none\)"):
        measure(table(x, who))
    with pytest.raises(InvariantNetsError, match="draws=10: a band of 95 % takes 40 or more"):
        measure(both, draws=10)
    with pytest.raises(InvariantNetsError, match="alpha=2: the weight of FMR"):
        measure(both, alpha=2.0)


def test_the_figure_shows_groups_and_what_chance_gives() -> None:
    x, who, group = crowd((0.6, 0.6, 0.9), 40, 4)
    results = measure(table(x, who, team=names(group)), fmr=[1e-2, 1e-3])
    (drawn,) = draw(Scene({"": [results]}))
    assert drawn.file == "groups_team.svg" and "GARBE at 1 %: 0." in drawn.caption
    assert "With what chance adds taken off it is 0." in drawn.caption
    assert render(drawn.figure, "svg").startswith(b"<?xml")
    silent = [r for r in results if not str(r.where.get("measure", "")).startswith("GARBE")]
    (drawn,) = draw(Scene({"": [silent]}))
    assert "GARBE is not defined" in drawn.caption
