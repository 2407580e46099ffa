"""Thresholds that are chosen on some people: exact cases, loops over all pairs, and populations of known truth."""

from __future__ import annotations

from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from invariantnets import FeatureTable
from invariantnets.analysis import Groups, Material, Thresholds
from invariantnets.analysis.calibration import Calibration
from invariantnets.analysis.chosen import Met
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.drawing import Scene
from invariantnets.figures.style import render
from invariantnets.figures.thresholds import draw
from invariantnets.protocols import every_pair
from invariantnets.protocols.every_pair import Errors, People, false_match_rates, false_non_match_rates, highest
from invariantnets.protocols.every_pair import thresholds as smallest
from invariantnets.randomness import numpy_rng
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Scatter, effective_sources, share_bounds
from invariantnets.statistics.lengths import unit


def crowd(count: int, images: int, noise: float = 0.5, seed: int = 0, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows and whose they are."""
    rng = numpy_rng(seed)
    who = np.repeat(np.arange(count), images)
    x = rng.normal(size=(count, size))[who] + noise * rng.normal(size=(len(who), size))
    return unit(x.astype(np.float32)), who


def everybody(x: np.ndarray, who: np.ndarray) -> People:
    return People.of(x, who, np.arange(len(x)))


def table(count: int, images: int, **knobs: Any) -> FeatureTable:
    """All of test but four people, who are there to fit on."""
    x, who = crowd(count + 4, images, **knobs)
    split = np.where(who < 2, "train", np.where(who < 4, "val", "test"))
    return FeatureTable.from_arrays(x, label=who, split=split)


def measure(of: FeatureTable, **knobs: Any) -> list[Result]:
    return Thresholds(**knobs)(Material(of, "features"))


def one(results: list[Result], metric: str, probe: str, promised: str) -> Result:
    (found,) = [r for r in results if (r.metric, r.probe, r.where["promised FMR"]) == (metric, probe, promised)]
    return found


@pytest.mark.parametrize("block", [1, 40, 1 << 23])
def test_every_pair_comes_once_whatever_the_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(every_pair, "BLOCK", block)
    x, who = crowd(7, 4)
    keep = np.array([0, 1, 2, 3, 4, 5, 9, 12, 13, 17, 20, 25, 26, 27])  # of unequal numbers, one person alone
    order = numpy_rng(1).permutation(len(keep))
    people = everybody(x[keep[order]], who[keep[order]])
    impostors: dict[tuple[int, int], float] = {}
    mates: dict[tuple[int, int], float] = {}
    for part in people.blocks():
        assert part.scores.size <= max(block, len(part.scores[0]))
        for i, j in np.argwhere(np.isfinite(part.scores)):
            assert (pair := (i + part.first, j + part.first)) not in impostors
            impostors[pair] = part.scores[i, j]
        for i, j, score in zip(part.left, part.right, part.mated, strict=True):
            assert (i, j) not in mates
            mates[i, j] = score
    expected = {pair: float(people.x[pair[0]] @ people.x[pair[1]]) for pair in combinations(range(len(people.x)), 2)}
    same = {(i, j) for i, j in expected if people.person[i] == people.person[j]}
    assert set(mates) == same and set(impostors) == set(expected) - same
    assert len(mates) == people.mated.sum() and len(impostors) == people.impostors
    for pair, score in {**mates, **impostors}.items():
        assert score == pytest.approx(expected[pair], abs=1e-6)
    top = highest(people, 5)
    np.testing.assert_allclose(top, sorted(impostors.values(), reverse=True)[:5], atol=1e-6)
    assert len(highest(people, 10**6)) == people.impostors


def test_of_equal_scores_none_matches_if_not_all_may() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.8, 0.5, 0.1, 0.1, 0.0, -0.2, -0.5], np.float32)
    wanted = np.array([0.05, 0.1, 0.3, 0.39, 0.4, 0.5])
    found = smallest(scores, len(scores), wanted)
    assert [(scores >= t).mean() for t in found] == [0.0, 0.1, 0.1, 0.1, 0.4, 0.5]
    # Smallest: the next number below lets in more than was promised.
    for rate, t in zip(wanted, found, strict=True):
        assert (scores >= np.nextafter(t, np.float32(-2))).mean() > rate
    # 0.3 of 10 are 3, though 0.3 * 10 in binary may be 2.9999…
    assert smallest(np.arange(3000, 0, -1.0), 3000, np.array([0.001]))[0] == np.nextafter(2997.0, np.inf)


def test_counts_rates_and_intervals_are_those_of_loops_over_pairs() -> None:
    x, who = crowd(9, 5, noise=0.8)
    keep = np.flatnonzero(numpy_rng(2).random(len(who)) < 0.7)
    people = everybody(x[keep], who[keep])
    ladder = np.array([0.2, 0.55, 0.7], np.float32)
    errors = Errors.of(people, ladder)
    score = people.x @ people.x.T

    def rates(absent: int | None) -> np.ndarray:
        """FMR and FNMR at each threshold, without somebody."""
        counts = np.zeros((2, len(ladder)))
        of = np.zeros(2)
        for i, j in combinations(range(len(people.x)), 2):
            a, b = people.person[i], people.person[j]
            if absent not in (a, b):
                kind = int(a == b)
                of[kind] += 1
                counts[kind] += (score[i, j] >= ladder) if not kind else (score[i, j] < ladder)
        return counts / of[:, None]

    false = false_match_rates(errors.false, people.others)
    missed = false_non_match_rates(errors.missed, people.mated)
    np.testing.assert_allclose([false.value, missed.value], rates(None), rtol=1e-12)
    count = len(people.images)
    without = np.array([rates(p) for p in range(count)])
    u = (count - 1) * (without[:, 0] - rates(None)[0])  # influences on FMR
    u -= u.mean(0)
    variance = (u**2).sum(0) / (count * (count - 1))
    matter = np.minimum(3 * (u**2).sum(0) ** 2 / (u**4).sum(0), count)
    effective = float(effective_sources(people.others[:, None].astype(float))[0])
    for t in range(len(ladder)):
        scatter = Scatter(float(variance[t]), float(matter[t]))
        low, high = share_bounds(float(false.value[t]), scatter, effective, effective - 1)
        assert (false.low[t], false.high[t]) == pytest.approx((low, high), rel=1e-6)


def test_others_of_the_same_population_meet_what_was_promised() -> None:
    results = measure(table(300, 4, noise=0.8, size=16), fmr=[1e-2, 1e-3])
    for promised, rate in (("1 %", 1e-2), ("0.1 %", 1e-3)):
        known = one(results, "false_match_rate", "thresholds/calibration people", promised)
        assert known.value <= rate and rate - known.value < 1 / known.n and known.n == 150 * 149 // 2 * 16
        met = one(results, "false_match_rate", "thresholds/other people", promised)
        assert met.low is not None and met.high is not None and met.low < rate < met.high < 2 * rate
        assert met.sources == 150 and met.n_fit == known.n
        assert "mark" not in met.where and met.chosen["fmr"] == rate
    missed = one(results, "false_non_match_rate", "thresholds/other people", "1 %")
    # Of the same population, a hundred times as many people: at that threshold the truth.
    x, who = crowd(3000, 4, noise=0.8, seed=5, size=16)
    threshold = np.float32(results[0].chosen["threshold"])
    people = everybody(x, who)
    four = people.x.reshape(3000, 4, 16)
    first, second = np.triu_indices(4, 1)
    near = np.einsum("pkd,pkd->pk", four[:, first], four[:, second])
    assert missed.low is not None and missed.high is not None
    assert missed.low < (near < threshold).mean() < missed.high
    assert missed.n == 150 * 6


def test_intervals_over_people_hold_the_truth_of_the_population() -> None:
    every = everybody(*crowd(2500, 4, noise=0.8, seed=9))
    ladder = smallest(highest(every, every.impostors // 50), every.impostors, np.array([1e-2, 1e-3]))
    errors = Errors.of(every, ladder)
    truth = false_match_rates(errors.false, every.others).value, false_non_match_rates(errors.missed, every.mated).value
    held = np.zeros((2, 2))
    for seed in range(100, 180):
        people = everybody(*crowd(40, 4, noise=0.8, seed=seed))
        errors = Errors.of(people, ladder)
        met = false_match_rates(errors.false, people.others), false_non_match_rates(errors.missed, people.mated)
        held += [(of.low <= true) & (true <= of.high) for of, true in zip(met, truth, strict=True)]
    assert (held / 80 >= 0.9).all()


def test_intervals_of_thresholds_chosen_so_hold_what_is_to_be_expected() -> None:
    """Those of other people hold the FMR at a threshold; what thresholds so chosen bring they hold less often."""
    every = everybody(*crowd(1000, 4, noise=0.8, seed=9))
    top = np.sort(highest(every, every.impostors // 5))
    wanted = np.array([2e-2, 5e-3])
    found, truth = [], []
    for seed in range(300, 390):
        known, others = (everybody(*crowd(n, 4, noise=0.8, seed=seed + 1000 * n)) for n in (24, 100))
        table = FeatureTable.from_arrays(known.x)
        met = Met.of(Calibration(table, known, others, highest(known, known.impostors)), wanted)
        found.append(met)
        truth.append((len(top) - np.searchsorted(top, met.ladder)) / every.impostors)
    expected = np.mean(truth, 0)
    fixed, so = (
        np.mean([(r.low <= expected) & (expected <= r.high) for r in rates], 0)
        for rates in ([m.others.fmr for m in found], [m.so.fmr for m in found])
    )
    of_threshold = np.mean(
        [(m.others.fmr.low <= t) & (t <= m.others.fmr.high) for m, t in zip(found, truth, strict=True)]
    )
    assert of_threshold >= 0.93 and (so >= 0.93).all() and (fixed <= 0.75).all()
    for m in found:
        for own, both in ((m.others.fmr, m.so.fmr), (m.others.fnmr, m.so.fnmr)):
            assert (both.low <= own.low).all() and (both.high >= own.high).all()
    # What the others meet between the two thresholds at the ends of the calibration's interval, by hand.
    m = found[0]
    low, high = m.known.low[0], m.known.high[0]
    known, others = (everybody(*crowd(n, 4, noise=0.8, seed=300 + 1000 * n)) for n in (24, 100))
    ends = smallest(highest(known, known.impostors), known.impostors, np.array([high, low]))
    up, down = false_match_rates(Errors.of(others, ends).false, others.others).value
    value = m.others.fmr.value[0]
    assert m.so.fmr.low[0] == pytest.approx(max(value - np.hypot(value - m.others.fmr.low[0], value - down), 0))
    assert m.so.fmr.high[0] == pytest.approx(value + np.hypot(m.others.fmr.high[0] - value, up - value))


def test_where_too_few_scores_are_held_thresholds_chosen_so_are_not_known() -> None:
    known, others = (everybody(*crowd(20, 3, seed=seed)) for seed in (1, 2))
    found = Calibration(FeatureTable.from_arrays(known.x), known, others, highest(known, 400))
    met = Met.of(found, np.array([0.2, 1e-4]))
    assert np.isnan(met.so.fmr.high[0]) and np.isnan(met.so.fnmr.low[0]) and np.isfinite(met.others.fmr.high[0])
    # No calibration pair matches, so that any threshold above may be meant.
    assert met.known.value[1] == 0 and met.so.fmr.low[1] == 0 and met.so.fnmr.high[1] == 1


def test_thresholds_of_one_population_are_wrong_on_another() -> None:
    x, who = crowd(200, 3, size=16)
    known = everybody(x, who)
    threshold = smallest(highest(known, 3000), known.impostors, np.array([1e-3]))
    alike = unit(crowd(200, 3, seed=3, size=16)[0] + 0.5 * np.eye(16, dtype=np.float32)[0])  # who resemble each other
    others = everybody(alike, who)
    met = false_match_rates(Errors.of(others, threshold).false, others.others)
    assert met.low[0] > 2e-3


def test_features_far_from_zero_are_compared_to_more_digits() -> None:
    """Cosines that differ from the seventh digit on would tie in float32, and a tie matches nobody."""
    x, who = crowd(64, 4)
    split = np.where(who < 2, "train", np.where(who < 4, "val", "test"))
    far = FeatureTable.from_arrays(x.astype(np.float64) + 1e3, label=who, split=split)
    results = measure(far, fmr=[0.05])
    known = one(results, "false_match_rate", "thresholds/calibration people", "5 %")
    assert 0.05 - known.value < 1 / known.n
    missed = one(results, "false_non_match_rate", "thresholds/other people", "5 %")
    assert missed.high is not None and missed.high < 0.9


def test_features_of_nothing_find_as_many_of_one_person_as_of_two() -> None:
    rng = numpy_rng(4)
    who = np.repeat(np.arange(124), 4)
    split = np.where(who < 2, "train", np.where(who < 4, "val", "test"))
    results = measure(FeatureTable.from_arrays(rng.normal(size=(len(who), 8)), label=who, split=split), fmr=[0.1])
    missed = one(results, "false_non_match_rate", "thresholds/other people", "10 %")
    assert missed.chance is not None and missed.low is not None and missed.high is not None
    assert missed.low < missed.chance < missed.high


def test_what_rests_on_little_is_marked_and_given_all_the_same() -> None:
    results = measure(table(20, 3), fmr=[0.1, 1e-3])
    few = one(results, "false_match_rate", "thresholds/other people", "0.1 %")
    pairs = 10 * 9 // 2 * 9
    assert few.where["mark"] == "† ‡" and np.isfinite(few.value)
    assert f"it takes 3,000 pairs of two calibration people (3 / FMR), and there are {pairs}" in few.note
    assert "fewer than 30 errors, and hardly known (false matches: 0" in few.note
    assert "†" not in one(results, "false_match_rate", "thresholds/other people", "10 %").where.get("mark", "")


def test_images_of_one_source_are_one_and_never_a_pair() -> None:
    x, who = crowd(24, 3)
    split = np.where(who < 2, "train", np.where(who < 4, "val", "test"))
    twice = np.repeat(np.arange(len(who)), 2)
    doubled = FeatureTable.from_arrays(x[twice], label=who[twice], split=split[twice], source=twice)
    results = measure(doubled, fmr=[0.1])
    assert one(results, "false_non_match_rate", "thresholds/other people", "10 %").n == 10 * 3


def test_somebody_of_whom_most_pairs_are_is_said() -> None:
    x, who = crowd(44, 12)
    rare = (who < 40) & (np.tile(np.arange(12), 44) > 1)
    split = np.where(who < 2, "train", np.where(who < 4, "val", "test"))[~rare]
    results = measure(FeatureTable.from_arrays(x[~rare], label=who[~rare], split=split), fmr=[0.1])
    assert "of the pairs that FNMR is of" in results[0].note


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"fmr": [0.0]}, r"fmr=\[0.0\]: give a list of false match rates above 0"),
        ({"fmr": []}, "give a list"),
        ({"fmr": 0.001}, "fmr=0.001: give a list"),
        ({"fmr": ["low"]}, "give a list"),
        ({"fmr": [0.01, 0.01]}, "each once"),
        ({"share": 1.0}, "share=1: a share of the people"),
        ({"share": 0.01}, "of 20 people of split 'test', 0 would calibrate and 20 be others"),
    ],
)
def test_knobs_that_make_no_sense(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        measure(table(20, 3), **knobs)


@pytest.mark.parametrize("analysis", [Thresholds, Groups])
def test_what_the_command_line_asks_for_is_what_python_does(analysis: type) -> None:
    path = Path(__file__).parents[2] / "conf" / "analysis" / f"{analysis.name}.yaml"
    knobs = {k: v for k, v in OmegaConf.load(path).items() if k != "_target_"}
    default = analysis()
    assert set(knobs) == {f.name for f in fields(default)}
    assert all(v == (list(d) if isinstance(d := getattr(default, k), tuple) else d) for k, v in knobs.items())
    assert measure(table(20, 3), fmr=knobs["fmr"])  # as the command line gives it, no list of Python's


def test_tables_that_thresholds_cannot_be_chosen_on() -> None:
    x, who = crowd(20, 6)
    with pytest.raises(InvariantNetsError, match="20 of 20 people of split 'test' are in split 'train', too"):
        measure(FeatureTable.from_arrays(x, label=who))
    with pytest.raises(InvariantNetsError, match="does not say who is who"):
        measure(FeatureTable.from_arrays(x))
    with pytest.raises(InvariantNetsError, match="none of the 10 people who do not calibrate has two images"):
        measure(table(20, 1))


def test_both_figures_are_drawn_even_where_nobody_matches() -> None:
    kept: dict[str, Arrays] = {}
    results = Thresholds([0.1, 1e-3])(Material(table(20, 3), "features", keep=kept.__setitem__))
    assert one(results, "false_match_rate", "thresholds/other people", "0.1 %").value == 0
    drawn = list(draw(Scene({"": [results]}, arrays=kept)))
    assert [d.file for d in drawn] == ["thresholds.svg", "thresholds_promise.svg"]
    assert "405 pairs of two calibration people" in drawn[0].caption
    assert all(render(d.figure, "svg").startswith(b"<?xml") for d in drawn)
    assert not list(draw(Scene({"": [results]})))
