"""How unequal groups are without what chance adds: exact cases, loops, and populations of known truth."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from invariantnets.analysis.group_errors import GroupErrors
from invariantnets.analysis.group_measures import MEASURES, at_the_level_of
from invariantnets.protocols.every_pair import People
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.inequity import garbe, gini, worst_to_average
from invariantnets.statistics.intervals import effective_sources, worth
from invariantnets.statistics.lengths import unit
from invariantnets.statistics.unequal import Side, corrected

LADDER = np.array([0.2, 0.55], np.float32)


def some(of_person: bool, seed: int = 0) -> GroupErrors:
    rng = numpy_rng(seed)
    who = np.repeat(np.arange(14), rng.integers(2, 6, 14))
    x = rng.normal(size=(14, 8))[who] + 0.8 * rng.normal(size=(len(who), 8))
    people = People.of(unit(x.astype(np.float32)), who, np.arange(len(who)))
    return GroupErrors(people, who % 2 if of_person else rng.integers(2, size=len(who)), LADDER)


@pytest.mark.parametrize("of_person", [True, False])
def test_independent_pairs_of_false_matches_are_those_of_loops(of_person: bool) -> None:
    errors = some(of_person)
    score = errors.people.x @ errors.people.x.T
    who, group = errors.people.person, errors.group
    found = errors.independent()[0]
    for g, t in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rows = [i for i in range(len(who)) if group[i] == g]
        pairs: dict[tuple[int, int], list[bool]] = {}
        for i, j in combinations(rows, 2):
            if who[i] != who[j]:
                key = (min(who[i], who[j]), max(who[i], who[j]))
                pairs.setdefault(key, []).append(bool(score[i, j] >= LADDER[t]))
        total = sum(map(len, pairs.values()))
        rate = sum(map(sum, pairs.values())) / total
        away = {key: sum(matches) - rate * len(matches) for key, matches in pairs.items()}
        moved, of = np.zeros((2, 14))
        for (a, b), e in away.items():
            for one in (a, b):
                moved[one] += e
                of[one] += len(pairs[a, b])
        moved /= 1 - of / total
        variance = max((moved**2).sum() - sum(e**2 for e in away.values()), (moved**2).sum() / 2)
        few = max(2.25 * (moved**2).sum() ** 2 / (moved**4).sum(), 4)
        sources = min(few, float(effective_sources(of[:, None])[0]))
        expected = rate * (1 - rate) * total**2 / variance * float(worth(np.array(sources)))
        assert found[g, t] == pytest.approx(min(expected, total), rel=1e-9)


def test_independent_pairs_of_pairs_that_are_wrong_independently_are_most_of_them() -> None:
    rng = numpy_rng(1)
    count = 300
    angle = rng.choice([0.1, 1.2], size=count, p=[0.8, 0.2])
    x = np.zeros((count, 2, count), np.float32)
    x[np.arange(count), 0, np.arange(count)] = 1
    x[np.arange(count), 1, np.arange(count)] = np.cos(angle)
    x[np.arange(count), 1, (np.arange(count) + 1) % count] = np.sin(angle)
    who = np.repeat(np.arange(count), 2)
    people = People.of(x.reshape(-1, count), who, np.arange(2 * count))
    _, rows = GroupErrors(people, who % 2, np.array([0.5], np.float32)).independent()
    assert ((rows > 0.9 * 150) & (rows <= 150)).all()


RATES = [[0.1] * 4, [0.05, 0.1, 0.1, 0.2], [0.08, 0.1, 0.1, 0.12]]


@pytest.mark.parametrize("rates", RATES)
def test_intervals_hold_the_inequality_of_the_true_rates(rates: list[float]) -> None:
    """At 200 pairs of a group; equal ones, too, though all that is measured is pushed away from equality."""
    rng, true = numpy_rng(3), np.array(rates)
    held, middle = 0, []
    for _ in range(30):
        seen = rng.binomial(200, true) / 200
        found, _ = corrected(Side(seen, np.full(4, 200.0), rng), gini, 1.0)
        assert found.low <= found.value <= found.high <= 1
        held += found.low <= float(gini(true)) + 1e-9 and float(gini(true)) <= found.high
        middle.append((float(gini(seen)), found.value))
    assert held >= 25  # of 30 at 95 %, fewer than 1 time in 200
    measured, without = np.mean(middle, 0)
    assert abs(without - gini(true)) < max(0.75 * abs(measured - gini(true)), 0.03)


def test_of_many_errors_it_is_what_was_measured() -> None:
    rates = np.array([0.1, 0.2, 0.3])
    found, _ = corrected(Side(rates, np.full(3, 1e6), numpy_rng(0)), worst_to_average, 3.0)
    assert found.value == pytest.approx(1.5, abs=2e-3) and found.high - found.low < 0.01


def test_measures_of_both_rates() -> None:
    fmr, fnmr = np.array([0.01, 0.02]), np.array([0.1, 0.2])
    sides = [Side(rates, np.full(2, 1e6), numpy_rng(0)) for rates in (fmr, fnmr)]
    for name, expected in (("FDR (1 is equal)", 1 - 0.055), ("inequity rate (1 is equal)", 2.0)):
        found = MEASURES[name].without_chance(sides, 0.5)
        assert found is not None and found.value == pytest.approx(expected, rel=0.01)
        assert found.low < expected < found.high
    both = MEASURES["GARBE (0 is equal)"].without_chance(sides, 0.25)
    alone = MEASURES["GARBE (0 is equal)"].without_chance([None, sides[1]], 0.0)
    assert both is not None and both.value == pytest.approx(float(garbe(fmr, fnmr, 0.25)), rel=0.02)
    assert alone is not None and alone.value == pytest.approx(1 / 3, rel=0.02)
    assert MEASURES["GARBE (0 is equal)"].without_chance([None, sides[1]], 0.5) is None
    # One person has most of the pairs of a group: nothing is known of it.
    few = Side(fnmr, np.array([1.5, 1000.0]), numpy_rng(0))
    assert MEASURES["FNMR, worst group over mean"].without_chance([None, few], 0.5) is None


def test_two_equal_rates_of_both_kinds_are_not_called_unequal() -> None:
    rng, low = numpy_rng(5), 0
    for _ in range(20):
        sides = [Side(rng.binomial(300, 0.1, 4) / 300, np.full(4, 300.0), rng) for _ in range(2)]
        found = MEASURES["GARBE (0 is equal)"].without_chance(sides, 0.5)
        assert found is not None
        low += found.low > 1e-9
    assert low <= 3  # of 20 at 2.5 %, more fewer than 1 time in 500


def test_groups_drawn_at_random_are_brought_to_the_level_of_the_true_ones() -> None:
    rng = numpy_rng(6)
    drawn, rates = rng.random((50, 3, 2)) * 0.1, np.array([[0.3, 0.0], [0.2, 0.0], [0.1, 0.0]])
    found = at_the_level_of(drawn, rates)
    np.testing.assert_allclose(found.mean((0, 1)), [0.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(gini(found[..., 0]), gini(drawn[..., 0]), rtol=1e-9)
    np.testing.assert_array_equal(at_the_level_of(np.zeros((5, 3, 2)), rates), np.zeros((5, 3, 2)))
