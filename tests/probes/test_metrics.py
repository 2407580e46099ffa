"""What readings are judged by, against scikit-learn, on all rows and on rows that are drawn again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import circmean
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from invariantnets.nuisance import Kind, Nuisance
from invariantnets.probes.metrics import Judgement, judge, placements
from invariantnets.probes.targets import Target, plan_targets
from invariantnets.randomness import numpy_rng
from invariantnets.statistics.resampling import Resampling, draw

REPLICATES = 80


def target(kind: Kind, values: np.ndarray) -> Target:
    names = tuple("abcdef"[: int(values.max()) + 1]) if kind in ("binary", "categorical") else ()
    (found,) = plan_targets([Nuisance("it", kind, categories=names)], {"it": values})
    return found


def drawn(classes: int, shares: list[float], sources: int = 120, views: int = 3, ties: bool = True):
    """Codes that are the same in most rows of a source, and scores that know something of them, with equal ones."""
    rng = np.random.default_rng(classes)
    code = np.repeat(rng.choice(classes, sources, p=shares), views)
    code = np.where(rng.random(len(code)) < 0.2, rng.choice(classes, len(code), p=shares), code)
    score = np.eye(classes)[code] * 0.3 + np.array(shares) + 0.3 * rng.normal(size=(len(code), classes))
    score += 0.15 * rng.normal(size=(sources, classes)).repeat(views, axis=0)
    score /= score.sum(1, keepdims=True) if classes == 2 else 1
    return code, score.round(1 if ties else 6), np.repeat(np.arange(sources), views)


def left_out(source: np.ndarray) -> list[np.ndarray]:
    """The rows without each source."""
    return [np.flatnonzero(source != s) for s in np.unique(source)]


def sums_without(found: Judgement, source: np.ndarray) -> np.ndarray:
    """What is left of each sum without each source, ``(S, Q)``."""
    return np.stack([found.quantities[rows].sum(0) for rows in left_out(source)])


def drawn_again(found: Judgement, source: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Numbers of sources that are drawn with replacement, ``(R, M)``, and the rows that these stand for."""
    sources = source.max() + 1
    counts = draw(sources, REPLICATES, numpy_rng(0)).astype(np.float64)
    sums = counts @ np.stack([np.bincount(source, column) for column in found.quantities.T], 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return found.statistic(sums), [
            np.flatnonzero(np.ones_like(source)).repeat(c[source].astype(int)) for c in counts
        ]


def scatter(values: np.ndarray) -> np.ndarray:
    """Standard errors by the jackknife, of numbers without each source ``(S, M)``."""
    return np.sqrt(((values - values.mean(0)) ** 2).sum(0) * (len(values) - 1) / len(values))


def judged(kind: Kind, code: np.ndarray, score: np.ndarray, mean: np.ndarray) -> Judgement:
    return judge(target(kind, code), score, np.eye(score.shape[1])[code], mean)


@pytest.mark.parametrize(("share", "ties"), [(0.03, True), (0.03, False), (0.3, True)])
def test_two_classes_agree_with_scikit_learn_on_rows_left_out_and_drawn_again(share, ties):
    code, score, source = drawn(2, [1 - share, share], ties=ties)
    mean = np.array([1 - share, share]) + [-0.011, 0.011]
    found = judged("binary", code, score, mean)
    yes = score[:, 1] > mean[1]
    if ties:
        yes = (score / mean).argmax(1) == 1

    def expected(rows: np.ndarray) -> list[float]:
        y, said = code[rows], yes[rows]
        right = float((score[rows].argmax(1) == y).mean())
        if not y.any():
            return [np.nan, right, np.nan, np.nan, np.nan]
        missed, alarms = (~said[y == 1]).mean(), said[y == 0].mean()
        return [roc_auc_score(y, score[rows, 1]), right, balanced_accuracy_score(y, said), missed, alarms]

    assert found.metrics[1:] == (
        "auc",
        "accuracy",
        "balanced_accuracy",
        "false_negative_rate",
        "false_positive_rate",
    )
    value, low, high = (
        part[1:6] for part in Resampling(source).interval(found.quantities, found.statistic, found.numbers)
    )
    np.testing.assert_allclose(value, expected(np.arange(len(code))), atol=1e-12)
    again, rows_again = drawn_again(found, source)
    theirs = np.array([expected(rows) for rows in rows_again])
    np.testing.assert_allclose(again[:, 2:6], theirs[:, 1:], atol=1e-9)
    assert np.nanmax(np.abs(again[:, 1] - theirs[:, 0])) < 0.05  # a projection, see the module
    without = found.statistic(sums_without(found, source))[:, 1:6]
    exact = np.array([expected(rows) for rows in left_out(source)])
    np.testing.assert_allclose(without[:, 1:], exact[:, 1:], atol=1e-9)
    np.testing.assert_allclose(without[:, 0], exact[:, 0], atol=2e-3)
    assert scatter(without) == pytest.approx(scatter(exact), rel=0.02)
    assert (low < value).all() and (value < high).all()
    assert (high - low > 3.5 * scatter(exact)).all()  # more than normal errors would have
    assert {k: int(rows.sum()) for k, rows in found.rows.items()} == {
        "false_negative_rate": code.sum(),
        "false_positive_rate": len(code) - code.sum(),
    }


def test_several_classes_agree_with_scikit_learn_on_rows_left_out_and_drawn_again():
    shares = [0.55, 0.3, 0.1, 0.05]
    code, score, source = drawn(4, shares)
    found = judged("categorical", code, score, np.array(shares))
    named = (score / shares).argmax(1)

    def expected(rows: np.ndarray) -> list[float]:
        areas = [roc_auc_score(code[rows] == c, score[rows, c]) for c in np.unique(code[rows])]
        return [np.mean(areas), np.mean(score[rows].argmax(1) == code[rows]), _balanced(code[rows], named[rows])]

    assert found.metrics[1:] == ("auc", "accuracy", "balanced_accuracy") and found.chance["balanced_accuracy"] == 0.25
    value, low, high = (
        part[1:4] for part in Resampling(source).interval(found.quantities, found.statistic, found.numbers)
    )
    np.testing.assert_allclose(value, expected(np.arange(len(code))), atol=1e-12)
    without = found.statistic(sums_without(found, source))[:, 1:4]
    exact = np.array([expected(rows) for rows in left_out(source)])
    np.testing.assert_allclose(without[:, 1:], exact[:, 1:], atol=1e-9)
    np.testing.assert_allclose(without[:, 0], exact[:, 0], atol=1e-3)
    assert scatter(without) == pytest.approx(scatter(exact), rel=0.02)
    assert (high - low > 3.5 * scatter(exact)).all() and (high - low < 8 * scatter(exact)).all()


def _balanced(true: np.ndarray, named: np.ndarray) -> float:
    return float(np.mean([(named[true == c] == c).mean() for c in np.unique(true)]))


def test_a_class_that_test_does_not_show_does_not_count():
    code, score, source = drawn(3, [0.6, 0.4, 0.0])
    found = judged("categorical", code, score, np.array([0.6, 0.3, 0.1])).plain()
    areas = [roc_auc_score(code == c, score[:, c]) for c in (0, 1)]
    assert found["auc"] == pytest.approx(np.mean(areas))


@pytest.mark.parametrize("kind", ["binary", "categorical"])
def test_a_class_of_its_own_has_no_area(kind):
    found = judged(kind, np.ones(9, int), np.random.default_rng(0).random((9, 2)), np.array([0.5, 0.5])).plain()
    assert np.isnan(found["auc"]) and np.isnan(found["balanced_accuracy"])


def test_the_mean_knows_nothing():
    code, _, _ = drawn(2, [0.9, 0.1])
    mean = np.array([0.9, 0.1])
    found = judged("binary", code, np.broadcast_to(mean, (len(code), 2)), mean).plain()
    assert (found["r2"], found["auc"], found["balanced_accuracy"]) == (0, 0.5, 0.5)


@pytest.mark.parametrize("decimals", [0, 8])
def test_placements_average_to_the_area(decimals):
    rng = np.random.default_rng(3)
    score, positive = rng.normal(size=200).round(decimals), rng.random(200) < 0.2
    score += positive
    placed, area = placements(score, positive), roc_auc_score(positive, score)
    assert placed[positive].mean() == pytest.approx(area) and placed[~positive].mean() == pytest.approx(area)


def test_an_angle_is_judged_round_the_circle():
    rng = np.random.default_rng(0)
    angle = np.r_[179.0, -179.0, 10.0, rng.uniform(-180, 180, 200)]
    off = np.r_[-358.0, 358.0, 20.0, rng.normal(0, 30, 200)]
    it = target("circular", angle)
    true, predicted = it.nuisance.encode(angle), 0.4 * it.nuisance.encode(angle + off)
    found = judge(it, predicted, true, true.mean(0)).plain()
    wrapped = np.abs((off + 180) % 360 - 180)
    assert wrapped[:2] == pytest.approx([2, 2]) and found["mae"] == pytest.approx(wrapped.mean())
    guess = judge(it, np.broadcast_to(true.mean(0), true.shape), true, true.mean(0)).plain()
    centre = np.rad2deg(circmean(np.deg2rad(angle)))
    assert guess["mae"] == pytest.approx(np.abs((angle - centre + 180) % 360 - 180).mean())
