"""Frontal or profile by neighbours: scikit-learn's answers, a truth that is known, people apart, sides as many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import PoseKnn
from invariantnets.analysis.pose_knn import as_many, cross_validated
from invariantnets.randomness import numpy_rng


def test_it_is_k_neighbours_classifier() -> None:
    """Each fold by the k that is best in the others, as scikit-learn finds it."""
    rng = numpy_rng(1)
    x = rng.normal(size=(400, 5)).astype(np.float32)
    answer = x[:, 0] + rng.normal(size=400) > 0
    fold, ks = rng.integers(4, size=400), (1, 5, 25, 999)
    hits, best = cross_validated(x, answer[:, None], fold, ks)
    right = [
        cross_val_predict(KNeighborsClassifier(k, algorithm="brute"), x, answer, cv=PredefinedSplit(fold)) == answer
        for k in ks[:3]
    ]
    expected = np.empty(400)
    for f in range(4):
        k = int(np.argmax([of[fold != f].sum() for of in right]))
        expected[fold == f] = right[k][fold == f]
    assert (hits[:, 0] == expected).mean() >= 0.999
    assert best[0] == ks[int(np.argmax([of.sum() for of in right]))]


def test_as_many_of_either_side_and_first_of_who_has_both() -> None:
    side = np.array([0.0] * 60 + [1.0] * 12 + [np.nan] * 8)
    source = np.concatenate([np.repeat(np.arange(6), 10), np.repeat(np.arange(3, 9), 2), np.zeros(8, int)])
    rows = as_many(side, source, 1000, numpy_rng(0))
    frontal, profile = (source[rows[side[rows] == code]] for code in (0, 1))
    assert len(frontal) == len(profile) == 12 and len(np.unique(rows)) == 24
    assert all((frontal == who).sum() >= 2 for who in (3, 4, 5))  # those that three of them have in profile
    assert len(as_many(side, source, 10, numpy_rng(0))) == 10


def people(signal: float, count: int = 60, images: int = 10, **columns: Any) -> FeatureTable:
    """Who it is in eight features, and at the layers early and late the magnitude of yaw, loudly and not at all."""
    rng = numpy_rng(2)
    who = np.repeat(np.arange(count), images)
    yaw = rng.uniform(-90, 90, len(who))
    x = rng.normal(size=(count, 8))[who] + 0.3 * rng.normal(size=(len(who), 8))
    early = np.concatenate([x, signal * np.abs(yaw)[:, None] / 20 + 0.2 * rng.normal(size=(len(who), 1))], 1)
    layers = {"early": early.astype(np.float32), "late": x.astype(np.float32)}
    return FeatureTable.from_arrays(layers, label=who, division="identity", yaw=yaw, **columns)


def test_the_truth_is_found_and_where_there_is_none_half(tmp_path: Path) -> None:
    found = run_suite(people(5.0), [], analyses=[PoseKnn()], protocols=None, layers="all")
    told = {(r.layer, r.probe.split("/")[1]): r for r in found.results if r.about == "analysis"}
    assert not found.failed and told["early", "knn"].value > 0.97
    for at in (("early", "shuffled"), ("late", "knn"), ("late", "shuffled")):
        assert 0.35 < told[at].value < 0.62
    late = told["late", "knn"]
    assert late.low < 0.5 < late.high and late.chance == 0.5 and 40 < late.sources <= 60 and late.n % 2 == 0
    assert 150 < late.n < 250 and late.n == told["early", "knn"].n and late.n_fit == round(0.9 * late.n)
    page = found.save(tmp_path).read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "pose_depth_yaw.svg").is_file() and "by neighbours against depth" in page


def test_people_are_apart() -> None:
    """Somebody who is always seen from one side is told by who it is, if other images of them may be neighbours."""
    rng = numpy_rng(3)
    who = np.repeat(np.arange(40), 10)
    yaw = np.where(rng.random(40) > 0.5, 80.0, 5.0)[who] + rng.random(400)
    x = rng.normal(size=(40, 8))[who] + 0.1 * rng.normal(size=(400, 8))
    opened = FeatureTable.from_arrays(x.astype(np.float32), label=who, division="identity", yaw=yaw)
    closed = FeatureTable.from_arrays(x.astype(np.float32), label=who, yaw=yaw)
    told = []
    for table in (opened, closed):
        found = run_suite(table, [], analyses=[PoseKnn()], protocols=None)
        told.append(next(r.value for r in found.results if r.probe == "pose_knn/knn"))
    assert told[0] < 0.75 and told[1] > 0.99


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"nuisance": "roll"}, "nuisance=roll: no number of that name among the nuisances (numbers: yaw)"),
        ({"profile": 120.0}, "|yaw| is 120 or more in 0 rows, of 0 people, and 2 are needed; it reaches from"),
        ({"frontal": 50.0}, "frontal=50 must be 0 or more, and less than profile=45"),
        ({"neighbours": [1, 4]}, "neighbours=[1, 4]: odd numbers are needed, ascending"),
        ({"folds": 40}, "folds=40: rows are of 17 people only; give more, or analysis.pose_knn.folds=17"),
        ({"rows": "val"}, "rows=val: choose from all, test"),
    ],
)
def test_refusals(knobs: dict[str, Any], said: str) -> None:
    told: list[Any] = []
    run_suite(people(1.0, 20), [], analyses=[PoseKnn(**knobs)], protocols=None, lost=told.append)
    assert said in str(told[0])
