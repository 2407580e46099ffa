"""Leakage class by class: numbers against slow ones, and classes that differ and do not, of which that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, recall_score
from sklearn.metrics import r2_score as plain_r2

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import Material, PerClass
from invariantnets.analysis.class_scores import Scores, apart, centred, enough, score
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import Result

YAW, SIDE = Nuisance("yaw"), Nuisance("side", "categorical", categories=("left", "front", "right"))
DIGITS, IMAGES = 10, 120


def digits(noise: Any = 0.5, division: Any = "image", images: int = IMAGES) -> FeatureTable:
    """Ten classes, each with an offset of its own in the yaw and in the features that tell it."""
    rng = numpy_rng(1)
    who = np.repeat(np.arange(DIGITS), images)
    yaw = rng.normal(size=len(who)) + rng.normal(0, 2, DIGITS)[who]
    noise = np.broadcast_to(noise, DIGITS)[who]
    told = yaw + 0.7 * rng.normal(size=DIGITS)[who] + noise * rng.normal(size=len(who))
    x = np.stack([told, *rng.normal(size=(2, len(who)))], 1)
    hat = np.where(yaw + 0.1 * rng.normal(size=len(who)) > centre(yaw, who), "hat", "none")
    columns = {"yaw": yaw, "hat": hat, "fixed": 1.0 * (who % 2), "tiny": rng.random(len(who))}
    return FeatureTable.from_arrays(x, label=[f"digit {c}" for c in who], division=division, **columns)


def centre(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    return values - centred(values[:, None], who)[:, 0]


def found(table: FeatureTable, **asked: Any) -> tuple[list[Result], dict[str, Arrays]]:
    kept: dict[str, Arrays] = {}
    results = PerClass(**{"draws": 99, **asked})(Material(table, "features", keep=kept.__setitem__))
    return results, kept


def pick(results: list[Result], metric: str, probe: str = "per_class", **where: Any) -> Result:
    (of,) = (r for r in results if (r.metric, r.probe, r.where) == (metric, probe, where))
    return of


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes, truths and predictions of four classes, each with offsets in both."""
    rng = numpy_rng(2)
    who = rng.integers(0, 4, 400)
    true = rng.normal(size=400) * (1 + who) + 3 * who
    return who, true, 0.8 * true + rng.normal(size=400) + 5 * (who == 2)


def test_numbers_are_those_of_sklearn_within_each_class(rows: Any) -> None:
    who, true, read = rows
    scores = score(YAW, read[:, None], true[:, None], np.zeros(1), who)
    assert scores.metrics == ("r2", "mae")
    for c, (r2, mae) in enumerate(scores.by_class(who, 4)):
        y, p = (v[who == c] - v[who == c].mean() for v in (true, read))
        assert (r2, mae) == (pytest.approx(plain_r2(y, p), abs=1e-12), pytest.approx(mean_absolute_error(y, p)))
        assert scores.chance[c, 1] == pytest.approx(np.abs(y).mean())
    moved = score(YAW, (read + 100 * who)[:, None], true[:, None], np.zeros(1), who)  # no offset counts
    assert moved.by_class(who, 4) == pytest.approx(scores.by_class(who, 4), abs=1e-9)
    nothing = score(YAW, np.full((400, 1), 7.0), true[:, None], np.zeros(1), who)
    assert nothing.by_class(who, 4)[:, 0] == pytest.approx(np.zeros(4), abs=1e-12)


def test_of_an_angle_both_columns_count(rows: Any) -> None:
    who, true, read = rows
    y, p = (Nuisance("turn", "circular").encode(20 * v) for v in (true, read))
    scores = score(Nuisance("turn", "circular"), p, y, np.zeros(2), who)
    assert scores.metrics == ("r2",)
    for c, (value,) in enumerate(scores.by_class(who, 4)):
        inside = who == c
        expected = [((v[inside] - v[inside].mean(0)) ** 2).sum() for v in (y - p, y)]
        assert value == pytest.approx(1 - expected[0] / expected[1], abs=1e-12)


def test_categories_are_those_that_exceed_their_mean_within_the_class(rows: Any) -> None:
    who = rows[0]
    rng = numpy_rng(3)
    code = np.where(who == 3, rng.integers(0, 2, 400), rng.integers(0, 3, 400))  # the last is never seen from the right
    true, mean = SIDE.encode(code), np.array([0.5, 0.3, 0.2])
    read = true + rng.normal(size=true.shape) + 2.0 * who[:, None] * [1, 0, -1]
    scores = score(SIDE, read, true, mean, who)
    assert scores.chance[:, 0] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 2])
    for c, (value,) in enumerate(scores.by_class(who, 4)):
        inside = who == c
        shown = np.unique(code[inside])
        excess = (read[inside] - read[inside].mean(0))[:, shown] / mean[shown]
        named = shown[excess.argmax(1)]
        assert value == pytest.approx(recall_score(code[inside], named, average="macro"), abs=1e-12)


def test_intervals_hold_the_truth(rows: Any) -> None:
    """In 95 % of classes of 40 rows that are all alike, but for what chance does to 300 of them."""
    rng = numpy_rng(4)
    who = np.repeat(np.arange(300), 40)
    true = rng.normal(size=len(who))
    scores = score(YAW, (true + rng.normal(size=len(who)))[:, None] / 2, true[:, None], np.zeros(1), who)
    ends = scores.intervals(who, 300, np.arange(len(who)))[:, 0]
    held = (ends[:, 0] <= 0.5) & (0.5 <= ends[:, 1])
    assert 0.92 <= held.mean() <= 0.99
    assert np.isnan(scores.intervals(who, 300, who)).all()  # of one image each nothing can be said


def test_p_of_equal_classes_is_even_and_of_unequal_ones_small() -> None:
    def p(seed: int, differ: float, repeats: int = 1) -> tuple[float, float]:
        rng = numpy_rng(5, seed)
        who = np.repeat(np.arange(12), 30)
        true = rng.normal(size=len(who)) + who
        read = true + (1 + differ * (who == 3)) * rng.normal(size=len(who))
        who, true, read = (np.repeat(v, repeats) for v in (who, true, read))
        scores = score(YAW, read[:, None], true[:, None], np.zeros(1), who)
        source = np.arange(len(who)) // repeats
        far = apart(scores, who, source, 49, rng)
        assert far.of_class.argmin() == 3 or not differ
        return far.p, float(far.of_class.min())

    null = np.array([p(seed, 0) for seed in range(100)])
    assert 0.35 < null[:, 0].mean() < 0.65 and (null <= 0.06).mean(0).max() < 0.14
    copied = np.array([p(seed, 0, 3)[0] for seed in range(60)])  # copies of an image are no images
    assert 0.35 < copied.mean() < 0.65 and (copied <= 0.06).mean() < 0.17
    unequal = np.array([p(seed, 3) for seed in range(5)])
    assert unequal[:, 0].max() == 0.02 and unequal[:, 1].max() <= 0.1  # what differs is among what is shuffled, too


def test_shuffled_classes_keep_what_each_has_of_every_category() -> None:
    rng = numpy_rng(6)
    who, code = np.repeat(np.arange(5), 60), rng.integers(0, 3, 300) * (rng.random(300) < 0.5)
    true = SIDE.encode(code)
    scores = score(SIDE, true + rng.normal(size=true.shape), true, true.mean(0), who)
    seen: list[np.ndarray] = []

    def statistic(sums: np.ndarray) -> np.ndarray:
        seen.append(sums[:, :3])
        return scores.statistic(sums)

    watched = Scores(scores.metrics, scores.quantities, statistic, scores.numbers, scores.chance, scores.stratum)
    apart(watched, who, np.arange(300), 9, rng)
    assert len(seen) == 10 and all((of == seen[0]).all() for of in seen)


def test_rows_count_where_the_nuisance_varies() -> None:
    label, source = np.repeat([0, 1, 2], 30), np.arange(90) // 2
    yaw = np.where(label == 1, 4.0, np.arange(90.0))
    counted, images = enough(YAW, yaw[:, None], label, source)
    assert images.tolist() == [15, 0, 15] and (counted == (label != 1)).all()
    code = np.where(label == 0, 1, np.arange(90) // 2 % 2)
    code[60:68] = 2  # four images
    counted, images = enough(SIDE, SIDE.encode(code), label, source)
    assert images.tolist() == [0, 15, 11] and not counted[60:68].any() and counted[68:].all()


@pytest.mark.parametrize("division", ["image", "identity"])
def test_who_leaks_least_is_named(division: Any) -> None:
    noise = np.where(np.arange(DIGITS) == 7, 3.0, 0.3)
    table = digits(noise, division, 200)
    if division == "identity":
        table = FeatureTable.from_arrays(
            table.features["features"],
            label=np.array(table.classes)[table.label],
            split=np.choose(table.label // 2, ["train", "train", "val", "test", "test"]),
            yaw=table.nuisance["yaw"],
        )
    results, kept = found(table, nuisance="yaw")
    arrays = kept["per_class_0"]
    assert arrays["names"][0] == "digit 7" and (np.diff(arrays["value"]) >= 0).all()
    least, most = pick(results, "r2", **{"class": "digit 7"}), pick(results, "r2", **{"class": arrays["names"][-1]})
    assert least.value < 0.4 < 0.8 < most.value and least.high is not None and most.low is not None
    assert least.high < most.low and least.chance == most.chance == 0
    assert pick(results, "p_value", **{"class": "digit 7"}).value <= 0.05
    test = table.part("test")
    assert least.n == least.sources == (np.array(test.classes)[test.label] == "digit 7").sum()
    assert least.n_fit == len(table) - len(test)
    mean = pick(results, "r2", classes="mean")
    assert mean.value == pytest.approx(arrays["value"].mean()) and mean.low is not None and mean.low < mean.value
    assert mean.sources == (len(test) if division == "image" else len(np.unique(test.label)))
    assert pick(results, "p_value", classes="how far apart").value == 0.01
    control = pick(results, "r2", "per_class/shuffled within the class", classes="mean")
    assert control.value < 0.05 and control.value == mean.control


def test_they_are_those_of_the_readers_of_the_suite() -> None:
    """From the predictions that these save, class by class."""
    read: dict[str, Arrays] = {}
    ran = run_suite(
        digits(),
        ["ridge", "ridge/per_label"],
        analyses=[PerClass("yaw", draws=9)],
        predicted=lambda layer, nuisance, of: read.__setitem__(nuisance, of),
    )
    of, arrays = read["yaw"], ran.arrays["per_class_0"]
    for name, value, own in zip(arrays["names"], arrays["value"], arrays["own"], strict=True):
        inside = (of["split"] == "test") & (of["label"] == name)
        y, blind, by_label = (v[inside] - v[inside].mean() for v in (of["true"], of["ridge"], of["ridge/per_label"]))
        assert value == pytest.approx(plain_r2(y, blind), abs=1e-8)
        assert own == pytest.approx(plain_r2(y, by_label), abs=1e-8)
    told = pick([r for r in ran.results if r.about == "analysis"], "r2", "per_class/a line of its own", classes="mean")
    assert told.uses_answer and told.value == pytest.approx(arrays["own"].mean())


def test_classes_that_do_not_differ_lie_as_far_apart_as_chance_puts_them() -> None:
    results, _ = found(digits(0.5), nuisance="yaw")
    far = pick(results, "sd_over_classes", classes="how far apart")
    assert far.chance is not None and far.value < 2 * far.chance
    assert pick(results, "p_value", classes="how far apart").value > 0.05
    nothing, _ = found(digits(0.5), nuisance="tiny")
    assert abs(pick(nothing, "r2", classes="mean").value) < 0.02
    hat, _ = found(digits(0.1), nuisance="hat")
    assert pick(hat, "balanced_accuracy", classes="mean").value > 0.85
    assert pick(hat, "balanced_accuracy", classes="mean").chance == 0.5
    shuffled = pick(hat, "balanced_accuracy", "per_class/shuffled within the class", classes="mean")
    assert 0.35 < shuffled.value < 0.65


def test_where_it_varies_less_r2_is_lower_and_that_is_said() -> None:
    """One error for all, but another range of each class."""
    rng = numpy_rng(7)
    who = np.repeat(np.arange(DIGITS), IMAGES)
    yaw = (0.2 + 0.3 * who) * rng.normal(size=len(who))
    x = np.stack([yaw + 0.5 * rng.normal(size=len(who)), rng.normal(size=len(who))], 1)
    results, kept = found(FeatureTable.from_arrays(x, label=who, division="image", yaw=yaw), nuisance="yaw")
    of, arrays = pick(results, "spearman", classes="how far apart"), kept["per_class_0"]
    assert of.value == pytest.approx(spearmanr(arrays["value"], arrays["varies"]).statistic) and of.value > 0.9
    assert of.low is not None and of.low < of.value <= of.high and of.chance == 0
    test = arrays["names"].astype(int)
    assert np.corrcoef(arrays["varies"], (0.2 + 0.3 * test) ** 2)[0, 1] > 0.95
    mae = [pick(results, "mae", **{"class": int(name)}).value for name in arrays["names"]]
    assert max(mae) < 2.5 * min(mae) and arrays["value"][-1] - arrays["value"][0] > 0.5


def test_what_is_left_out_is_named() -> None:
    whole = digits()
    few = np.ones(len(whole), bool)
    few[np.flatnonzero((whole.split == "test") & (whole.label == 4))[5:]] = False
    table = whole.rows(few)
    results, kept = found(table)
    note = pick([r for r in results if r.target == "yaw"], "r2", classes="mean").note
    assert "of 9 classes with 20 images" in note and "1 with fewer" in note and "(digit 4)" in note
    assert "'fixed' is not told by class: it never varies within a class" in results[0].note
    assert "digit 4" not in kept["per_class_0"]["names"]
    many = [r for r in results if r.where.get("class") and r.target == "yaw" and r.metric == "p_value"]
    assert len(many) == 9 and len({r.title for r in results}) == 1 + len({r.target for r in results})


def test_of_one_class_alone_nothing_is_compared() -> None:
    whole = digits()
    table = whole.rows((whole.split != "test") | (whole.label == 2) | (np.arange(len(whole)) % 4 == 0))
    most = np.bincount(table.part("test").label).max()
    results, kept = found(table, nuisance="yaw", least=int(most))
    assert len(kept["per_class_0"]["names"]) == 1 and "p" not in kept["per_class_0"]
    assert {r.metric for r in results} == {"r2", "mae"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"nuisance": "pitch"}, "analysis.per_class.nuisance=pitch: no such nuisance in the table (it has yaw, hat"),
        ({"nuisance": "fixed"}, "'fixed' is not told by class: it never varies within a class"),
        ({"least": 500, "nuisance": "yaw"}, "no class has 500 images in split 'test' among which it varies; the most"),
        ({"least": 500}, "give more images or analysis.per_class.least=24 (and 3 more)"),
        ({"least": 1}, "least=1 is 2 or more"),
    ],
)
def test_what_cannot_be_is_one_line(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvariantNetsError) as error:
        found(digits(), **asked)
    assert said in str(error.value)


def test_a_table_without_classes_is_refused() -> None:
    x = numpy_rng(0).normal(size=(90, 3))
    with pytest.raises(InvariantNetsError, match="add a column 'label'"):
        found(FeatureTable.from_arrays(x, yaw=x[:, 0]))
