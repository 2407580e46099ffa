from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr

from invariantnets.analysis.norm import correlation, describe_norm, describe_recognition, norms
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.results.result import Result
from invariantnets.statistics.resampling import Resampling

PEOPLE, IMAGES = 30, 6
BLUR = Nuisance("blur")
YAW = Nuisance("yaw", "continuous", "°")
VIDEO = Nuisance("video", "binary", "", ("still", "video"))
PLACE = Nuisance("place", "categorical", "", ("indoors", "outdoors", "stage"))
LIGHT = Nuisance("light", "circular", "°")


def faces() -> FeatureTable:
    """Sharp images have long features and sure predictions; turned heads have short ones."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(PEOPLE), IMAGES)
    n = len(label)
    blur, yaw = rng.random(n), rng.uniform(-90, 90, n)
    x = np.maximum(rng.normal(size=(PEOPLE, 24))[label] + 0.8 * rng.normal(size=(n, 24)), 0)
    x *= (2 - blur - np.abs(yaw) / 120)[:, None]
    columns = {"blur": blur, "yaw": yaw, "video": (blur > 0.5) * 1.0, "place": label % 3.0, "light": 2 * yaw}
    return FeatureTable(
        {"F7": x.astype(np.float32)},
        label,
        np.full(n, "test"),
        np.arange(n),
        columns,
        (BLUR, YAW, VIDEO, PLACE, LIGHT),
        PEOPLE,
        entropy=(3 - norms(x) / 4).astype(np.float32),
    )


def found(results: list[Result], metric: str, probe: str) -> list[Result]:
    return [r for r in results if (r.metric, r.probe) == (metric, probe)]


def test_norms() -> None:
    x = faces().features["F7"]
    assert norms(x) == pytest.approx([np.linalg.norm(row.astype(float)) for row in x])


def test_correlations_are_pearsons() -> None:
    table = faces()
    results, norm = describe_norm(table, "F7", seed=2), norms(table.features["F7"])
    assert found(results, "correlation", "entropy")[0].value == pytest.approx(-1, abs=1e-5)
    yaw, light = table.nuisance["yaw"], np.deg2rad(table.nuisance["light"])
    expected = {
        ("blur", ""): table.nuisance["blur"],
        ("yaw", ""): yaw,
        ("|yaw|", ""): np.abs(yaw),
        ("video", ""): table.nuisance["video"],
        **{("place", name): table.nuisance["place"] == code for code, name in enumerate(PLACE.categories)},
        ("light", "cos"): np.cos(light),
        ("light", "sin"): np.sin(light),
    }
    ours = {
        (r.probe, r.where.get("part", "")): r for r in results if r.metric == "correlation" and r.probe != "entropy"
    }
    assert ours.keys() == expected.keys()
    for key, result in ours.items():
        assert result.value == pytest.approx(pearsonr(norm, expected[key])[0], abs=1e-6)
        assert result.low <= result.value <= result.high
        assert (result.target, result.split, result.n, result.seed) == ("norm", "test", len(table), 2)
    assert ours["|yaw|", ""].high < 0 and ours["yaw", ""].low < 0 < ours["yaw", ""].high


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(100):
        a, noise = np.random.default_rng(seed).normal(size=(2, 80))
        _, low, high = correlation(Resampling(np.arange(80)), a, 0.6 * a + 0.8 * noise)
        inside += low <= 0.6 <= high
    assert 89 <= inside <= 100


def test_a_norm_far_from_zero_loses_no_digits() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 50))
    value, _, _ = correlation(Resampling(np.arange(50)), 1e6 + a, b)
    assert value == pytest.approx(pearsonr(a, b)[0], abs=1e-6)


def test_bins_hold_all_rows_and_average_them() -> None:
    table = faces()
    results, norm = describe_norm(table, "F7"), norms(table.features["F7"])
    bins = found(results, "mean_entropy", "norm")
    assert sum(r.n for r in bins) == len(table) and len(bins) == 12
    assert sum(r.n * r.value for r in bins) / len(table) == pytest.approx(table.entropy.mean())
    assert sum(r.n * r.where["norm"] for r in bins) / len(table) == pytest.approx(norm.mean())
    places = [r.where["norm"] for r in bins]
    assert places == sorted(places) and bins[0].value > bins[-1].value


def test_without_classifier_there_is_no_entropy_and_equal_norms_have_no_correlation() -> None:
    table = faces()
    table = replace(table, entropy=None, features={"F7": table.features["F7"] / norms(table.features["F7"])[:, None]})
    flat = replace(table, features={"F7": np.ones_like(table.features["F7"])})
    assert not found(describe_norm(table, "F7"), "correlation", "entropy")
    assert np.isnan(found(describe_norm(flat, "F7"), "correlation", "blur")[0].value)


def test_recognition() -> None:
    results = describe_recognition(faces(), "F7")
    bins = found(results, "mean_norm", "retrieval_rank")
    assert sum(r.n for r in bins) == PEOPLE * (IMAGES - 1) and bins[0].where == {"rank": "1"}
    assert abs(found(results, "correlation", "retrieval_rank")[0].value) <= 1
    for metric, probe in (("accuracy_drop", "binarised/verification"), ("rank1_drop", "binarised/closed_set")):
        (drop,) = found(results, metric, probe)
        assert drop.target == "features" and -0.2 < drop.low <= drop.value <= drop.high < 0.5


def test_few_people_make_fewer_folds() -> None:
    table = faces()
    results = describe_recognition(table.rows(table.label < 8), "F7")
    assert "Student's t over 4 folds" in found(results, "accuracy_drop", "binarised/verification")[0].note


def test_features_that_are_binary_already_lose_nothing() -> None:
    table = faces()
    results = describe_recognition(replace(table, features={"F7": (table.features["F7"] > 0.5) * 2.0}), "F7")
    assert [r.value for r in results if r.metric.endswith("_drop")] == [0, 0]


def test_refusals() -> None:
    table = faces()
    with pytest.raises(InvariantNetsError, match="NaN"):
        describe_norm(replace(table, features={"F7": table.features["F7"] * np.nan}), "F7")
    with pytest.raises(InvariantNetsError, match="needs 4 identities"):
        describe_recognition(table.rows(table.label < 3), "F7")
