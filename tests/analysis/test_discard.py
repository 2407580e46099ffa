"""Error-versus-discard curves: by hand in exact fractions, against a slow version, and where the truth is known."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import Discard, Material
from invariantnets.analysis.analysis import measured
from invariantnets.analysis.discard_strangers import Strangers
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.discard import draw
from invariantnets.figures.drawing import Scene
from invariantnets.protocols.every_pair import Errors, People, false_match_rates
from invariantnets.randomness import numpy_rng
from invariantnets.results import Result
from invariantnets.statistics.discards import area, areas_of, perfect_area, stairs, step_at, target_threshold
from invariantnets.statistics.intervals import Number, Scatter, bounds
from invariantnets.statistics.lengths import unit
from invariantnets.statistics.resampling import draw as drawn_again

# Ten mated comparisons: quality of the pair, and whether it is a false non-match.
QUALITY = np.array([3.0, 1, 7, 2, 3, 1, 4, 5, 3, 6])
WRONG = np.array([0.0, 1, 0, 1, 1, 0, 0, 0, 0, 0])
# By hand: (share discarded, errors left / comparisons left). The two of quality 1 go together, as the three of 3 do.
BY_HAND = [
    (Fraction(0), Fraction(3, 10)),
    (Fraction(2, 10), Fraction(2, 8)),
    (Fraction(3, 10), Fraction(1, 7)),
    (Fraction(6, 10), Fraction(0, 4)),
    (Fraction(7, 10), Fraction(0, 3)),
    (Fraction(8, 10), Fraction(0, 2)),
    (Fraction(9, 10), Fraction(0, 1)),
]


def mates(count: int = 10, wrong: np.ndarray = WRONG, quality: np.ndarray = QUALITY, **columns: Any) -> FeatureTable:
    """Two images of each person: one on the axis, of quality 100, the other off it, far where it is not to match."""
    angle = np.linspace(0.1, 0.3, count) + wrong
    x = np.zeros((count, 2, 2), np.float32)
    x[:, 0, 0], x[:, 1, 0], x[:, 1, 1] = 1, np.cos(angle), np.sin(angle)
    both = np.stack([np.full(count, 100.0), quality], 1).ravel()
    who = np.repeat(np.arange(count), 2)
    return FeatureTable.from_arrays(
        x.reshape(-1, 2) * np.linspace(1, 2, 2 * count, dtype=np.float32)[:, None],
        label=who, split=np.full(2 * count, "test"), sharpness=both, **columns,
    )  # fmt: skip


def of(results: list[Result], metric: str, discarded: str = "", target: str = "identity") -> Result:
    (found,) = [
        r
        for r in results
        if (r.about, r.metric, r.target) == ("analysis", metric, target) and discarded in ("", r.where["discarded"])
    ]
    return found


def test_the_stairs_by_hand() -> None:
    cuts, discarded, left = stairs(QUALITY, np.stack([WRONG, np.ones(10)], 1))
    assert cuts.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert discarded.tolist() == [float(share) for share, _ in BY_HAND]
    assert (left[:, 0] / left[:, 1]).tolist() == pytest.approx([float(rate) for _, rate in BY_HAND], abs=1e-15)
    # Between two cuts nothing is interpolated.
    assert [step_at(discarded, share) for share in (0.0, 0.19, 0.2, 0.3, 0.59, 0.6)] == [0, 0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("limit", "by_hand", "perfect"),
    [
        # 2/10 at 3/10, 1/10 at 2/8, 2/10 at 1/7; the perfect falls from 3/10 to 0, a triangle.
        (0.5, Fraction(3, 50) + Fraction(1, 40) + Fraction(1, 35), Fraction(9, 200)),
        # 2/10 at 3/10, 5/100 at 2/8; of the triangle a tip of 5/100 is cut off.
        (0.25, Fraction(3, 50) + Fraction(1, 80), Fraction(9, 200) - Fraction(25, 20_000)),
        (0.1, Fraction(3, 100), Fraction(9, 200) - Fraction(4, 200)),
    ],
)
def test_the_areas_by_hand(limit: float, by_hand: Fraction, perfect: Fraction) -> None:
    _, discarded, left = stairs(QUALITY, np.stack([WRONG, np.ones(10)], 1))
    assert area(discarded, left[:, :1] / left[:, 1:], limit)[0] == pytest.approx(float(by_hand), abs=1e-15)
    assert perfect_area(np.array(0.3), limit) == pytest.approx(float(perfect), abs=1e-15)
    found = areas_of(QUALITY, WRONG, np.arange(10), limit, 20, numpy_rng(0))
    assert (found.whole, found.perfect) == pytest.approx((float(by_hand), float(perfect)), abs=1e-15)
    assert found.beyond[0] == pytest.approx(float(by_hand - perfect), abs=1e-15)
    flat = Fraction(limit).limit_denominator(100) * Fraction(3, 10)
    assert found.relative[0] == pytest.approx(float((by_hand - perfect) / (flat - perfect)), abs=1e-14)


def test_the_same_through_the_door() -> None:
    """With images, cosines and the threshold in between: of ten scores three are to lie below it."""
    ask = [Discard(quality="sharpness", fnmr=0.3, limit=0.5)]
    found = run_suite(mates(yaw=np.arange(20.0)), [], analyses=ask, protocols=None)
    shown = {share: of(found.results, "fnmr", share).value for share in ("0 %", "10 %", "20 %")}
    assert shown == pytest.approx({"0 %": 3 / 10, "10 %": 3 / 10, "20 %": 2 / 8})
    assert of(found.results, "fnmr", "20 %").n == 8 and of(found.results, "fnmr", "20 %").chance == pytest.approx(0.3)
    assert of(found.results, "fnmr_saved", "20 %").value == pytest.approx(3 / 10 - 2 / 8)
    assert of(found.results, "discard_area").value == pytest.approx(3 / 50 + 1 / 40 + 1 / 35)
    assert of(found.results, "discard_area").chance == pytest.approx(0.15)
    assert of(found.results, "discard_area_perfect").value == pytest.approx(9 / 200)
    assert found.arrays["discard"]["fnmr"] == pytest.approx([float(rate) for _, rate in BY_HAND])
    assert "no R²" in of(found.results, "fnmr", "0 %").note
    # Turned round, those that fail are kept longest.
    found = run_suite(mates(), [], analyses=[Discard(quality="-sharpness", fnmr=0.3)], protocols=None)
    assert "lower is better" in of(found.results, "fnmr", "0 %").note
    assert of(found.results, "fnmr", "20 %").value == pytest.approx(3 / 10)  # the smaller quality is that of 100 now


def test_ties_at_the_threshold_are_no_errors() -> None:
    assert target_threshold(np.array([0.1, 0.2, 0.2, 0.2, 0.9]), 0.4) == 0.2
    assert target_threshold(np.arange(30.0), 0.1) == 3.0


def test_it_agrees_with_a_slow_version() -> None:
    rng = numpy_rng(1)
    quality, wrong, group = rng.integers(0, 12, 300).astype(float), rng.random(300) < 0.2, rng.integers(0, 30, 300)

    def slow(weight: np.ndarray, limit: float) -> tuple[float, float]:
        total, last, found = weight.sum(), 0.0, 0.0
        start = weight[wrong].sum() / total
        for cut in np.unique(quality):
            kept = quality >= cut
            gone = weight[quality <= cut].sum() / total
            width = min(gone, limit) - min(last, limit)
            found += width * weight[kept & wrong].sum() / weight[kept].sum() if width else 0.0
            last = gone
        return found, sum(1e-4 * max(start - 1e-4 * (i + 0.5), 0) for i in range(round(limit / 1e-4)))

    found = areas_of(quality, wrong.astype(float), group, 0.3, 40, numpy_rng(2))
    assert (found.whole, found.perfect) == pytest.approx(slow(np.ones(300), 0.3), abs=1e-8)
    drawn = [np.subtract(*slow(c[group].astype(float), 0.3)) for c in drawn_again(30, 40, numpy_rng(2))]
    rows = np.bincount(group).astype(float)
    scatter = Scatter(float(np.var(drawn)) * 30 / 29, 30)
    effective = np.array([rows.sum() ** 2 / (rows**2).sum()])
    ends = bounds(Number("positive", (0,)), found.beyond[0], scatter, Scatter(np.nan, 30), effective)
    assert found.beyond[1:] == pytest.approx(ends, rel=1e-5)


def blurred(strength: float, seed: int = 0) -> FeatureTable:
    """People of whom each image has a blur, by which features and the trace of a yaw are lost, as strength says."""
    rng = numpy_rng(seed)
    who = np.repeat(np.arange(120), 8)
    sharp, yaw = rng.random(len(who)), rng.normal(0, 20, len(who))
    noise = 0.35 + strength * (sharp < 0.1)
    x = rng.normal(size=(120, 24))[who] + 0.01 * yaw[:, None] * rng.normal(size=24)
    x = (x + noise[:, None] * rng.normal(size=x.shape)).astype(np.float32)
    return FeatureTable.from_arrays(x, label=who, division="identity", sharp=sharp, yaw=yaw)


def test_a_quality_that_tells_failures_and_one_that_does_not() -> None:
    ask = [Discard(quality="sharp", fnmr=0.1)]
    told = run_suite(blurred(3.0), [], analyses=ask, protocols=None).results
    beyond, relative = of(told, "discard_area_beyond"), of(told, "discard_area_relative")
    assert beyond.value < 0.6 * beyond.chance and relative.high < 1 and of(told, "fnmr_saved", "20 %").low > 0.02
    assert of(told, "r2", "20 %", "yaw").value > of(told, "r2", "0 %", "yaw").value + 0.01
    assert of(told, "rmse", "20 %", "yaw").value < of(told, "rmse", "0 %", "yaw").value
    assert of(told, "r2", "0 %", "yaw").n_fit > 600
    none = run_suite(blurred(0.0), [], analyses=ask, protocols=None).results
    relative, saved = of(none, "discard_area_relative"), of(none, "fnmr_saved", "20 %")
    assert relative.low < 1 < relative.high and saved.low < 0 < saved.high
    assert not [r for r in told if (r.about, r.target) == ("analysis", "sharp")]  # of itself it has no curve


def test_intervals_of_what_is_saved_hold_nothing_where_there_is_nothing() -> None:
    held = 0
    for seed in range(40):
        rng = numpy_rng(seed, 3)
        own = 0.15 * rng.random(40)  # people differ in how often they fail
        wrong = (rng.random((40, 12)) < own[:, None]).ravel()
        table = mates(480, wrong.astype(float), rng.random(480))
        table = FeatureTable.from_arrays(
            table.features["features"], label=np.repeat(np.arange(40), 24), split=table.split,
            sharpness=table.nuisance["sharpness"],
        )  # fmt: skip
        results = Discard(quality="sharpness", per_person=10)(Material(table, "features", seed))
        saved = of(results, "fnmr_saved", "20 %")
        held += saved.low <= 0 <= saved.high
    assert held >= 33  # of 40 at 95 %, fewer than 1 time in 1,000


def strangers(seed: int, people: int = 40, alike: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit rows, whose they are, and their quality; the better they are, the more all resemble each other."""
    rng = numpy_rng(seed, 4)
    who = np.repeat(np.arange(people), rng.integers(1, 5, people))
    quality = np.round(rng.random(len(who)), 2)
    x = rng.normal(size=(people, 6))[who] + 0.5 * rng.normal(size=(len(who), 6))
    x[:, 0] += alike * quality
    return unit(x), who, quality


def added(seed: int, people: int = 40, alike: float = 0.0) -> dict[tuple[str, str], Result]:
    x, who, quality = strangers(seed, people, alike)
    cuts = np.quantile(quality, [0.0, 0.1, 0.2])
    material = Material(mates(), "features")
    make = partial(measured, material, target="identity", probe="discard")
    return {(r.metric, r.where["discarded"]): r for r in Strangers(x, who, quality, 0.75, cuts).rates(make)}


def test_false_matches_of_what_is_left_are_those_of_a_loop_over_pairs() -> None:
    x, who, quality = strangers(0)
    cuts = np.unique(quality)
    counts = np.zeros((2, len(cuts)))
    for i, j in combinations(range(len(who)), 2):
        if who[i] != who[j]:
            left = cuts <= min(quality[i], quality[j])
            counts += left * np.array([[x[i] @ x[j] >= 0.75], [1]])
    found = Strangers(x, who, quality, 0.75, cuts[:3]).curve(cuts)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found, counts[0] / counts[1], rtol=1e-12)
    assert np.isnan(found[-1]) == (counts[1, -1] == 0)
    shown = added(0)
    for share, cut in zip(("0 %", "10 %", "20 %"), np.quantile(quality, [0, 0.1, 0.2]), strict=True):
        kept = quality >= cut
        people = People.of(x[kept], who[kept], np.arange(kept.sum()))
        rates = false_match_rates(Errors.of(people, np.array([0.75])).false, people.others)
        of_share = shown["false_match_rate", share]
        assert of_share.value == pytest.approx(rates.value[0], rel=1e-12)
        assert (of_share.n, of_share.sources) == (people.impostors, len(people.images))
        assert of_share.low == pytest.approx(rates.low[0], rel=0.1)  # who has only bad images counts there as a source


def test_a_quality_that_saves_non_matches_at_the_price_of_false_matches_is_found_out() -> None:
    worse = added(1, 200, 4.0)["fmr_added", "20 %"]
    assert worse.low is not None and worse.low > 0
    held = 0
    for seed in range(60):
        nothing = added(seed)["fmr_added", "20 %"]
        assert nothing.low is not None and nothing.high is not None
        held += nothing.low <= 0 <= nothing.high
    assert held >= 52  # of 60 at 95 %, fewer than 1 time in 100


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"quality": "sharpnes"}, "choose from norm .*, sharpness"),
        ({"quality": "same"}, "all test rows have the same"),
        ({"fnmr": 0.0}, "analysis.discard.fnmr=0.0: a share is needed"),
        ({"limit": 1.5}, "analysis.discard.limit=1.5"),
        ({"fnmr": 0.05}, "0.05 of 10 mated comparisons is less than one"),
    ],
)
def test_what_cannot_be_measured_is_one_line(knobs: dict[str, Any], said: str) -> None:
    table = mates(same=np.full(20, 3.5))
    table = FeatureTable(**{**vars(table), "nuisance": {**table.nuisance, "same": np.full(20, 3.5)}})
    with pytest.raises(InvariantNetsError, match=said):
        Discard(**knobs)(Material(table, "features"))


def test_features_of_one_length_have_no_quality() -> None:
    table = mates()
    unit = table.features["features"] / np.linalg.norm(table.features["features"], axis=1, keepdims=True)
    with pytest.raises(InvariantNetsError, match="give quality=<a column"):
        Discard()(Material(FeatureTable(**{**vars(table), "features": {"features": unit}}), "features"))


def test_the_figure_shows_the_stairs() -> None:
    found = run_suite(blurred(3.0), [], analyses=[Discard(quality="sharp", fnmr=0.1)], protocols=None)
    scene = Scene({"": [found.results]}, layer=found.layer, arrays=found.arrays)
    ((_, figure, _, caption, about),) = draw(scene)
    above, strangers, below = figure.axes
    arrays = found.arrays["discard"]
    shown = arrays["discarded"] <= 0.95
    assert above.lines[0].get_ydata() == pytest.approx(100 * arrays["fnmr"][shown])
    assert above.lines[0].get_drawstyle() == "steps-post" and arrays["nuisances"].tolist() == ["yaw"]
    assert below.lines[0].get_ydata()[0] == pytest.approx(of(found.results, "r2", "0 %", "yaw").value)
    assert strangers.lines[0].get_ydata() == pytest.approx(100 * arrays["fmr"][shown])
    assert "false non-match rate, the false match rate and R² of nuisances" in caption
    assert about == "analysis/discard" and "quality: sharp, higher is better" in caption
    assert not list(draw(Scene({"": [[]]})))
