"""The table of codes: what it reads of few codes, where it holds its tongue, and that no code tells more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from representations import mixed, noise

from invariantnets.features.table import FeatureTable
from invariantnets.probes import Lookup, Ridge, named, run_probes
from invariantnets.probes.lookup import codes_of
from invariantnets.release import Quantise, released
from invariantnets.results import Result


def r2(table: FeatureTable) -> dict[str, Result]:
    found = run_probes(table, "ip1", [Ridge(), Lookup()])
    return {r.probe: r for r in found if (r.metric, r.target) == ("r2", "angle") and not r.where}


def narrow(table: FeatureTable, width: int) -> FeatureTable:
    """With the first few of its features."""
    return replace(table, features={"ip1": table.features["ip1"][:, :width]})


def explained(table: FeatureTable) -> float:
    """Share of the variance of the angle on test that the means of codes on these very rows explain."""
    test = table.part("test")
    _, code = np.unique(test.features["ip1"], axis=0, return_inverse=True)
    angle, code = test.nuisance["angle"], code.ravel()
    mean = np.bincount(code, angle) / np.bincount(code)
    return float(1 - ((angle - mean[code]) ** 2).sum() / ((angle - angle.mean()) ** 2).sum())


def of_code(label: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Five codes in eight features; the middle angle has its own in half of its rows: R² of the mean is known."""
    code = np.where((angle == 0) & (rng.random(len(label)) < 0.5), 4, rng.integers(4, size=len(label)))
    code[(angle > 0) & (rng.random(len(label)) < 0.5)] = 0
    return rng.normal(size=(5, 8))[code]


def test_of_few_codes_it_is_the_mean_of_each(make_table) -> None:
    table = make_table(of_code, sources=(2000, 500, 800))
    found = r2(table)["lookup"]
    known, test = table.part("train", "val"), table.part("test")
    every, code = np.unique(known.features["ip1"], axis=0, return_inverse=True)
    mean = np.bincount(code.ravel(), known.nuisance["angle"]) / np.bincount(code.ravel())
    at = (test.features["ip1"][:, None] == every).all(2).argmax(1)
    residual = ((test.nuisance["angle"] - mean[at]) ** 2).sum()
    by_hand = 1 - residual / ((test.nuisance["angle"] - known.nuisance["angle"].mean()) ** 2).sum()
    assert len(every) == 5 and found.value == pytest.approx(by_hand, abs=0.002)
    # Var E[angle | code] / Var angle, by the probabilities of each code (columns) at -30, 0 and 30 (rows).
    p = np.array([[1 / 4] * 4 + [0], [1 / 8] * 4 + [1 / 2], [5 / 8] + [1 / 8] * 3 + [0]]) / 3
    truth = ((p.T @ [-30, 0, 30]) ** 2 / p.sum(0)).sum() / 600
    assert found.low < truth < found.high and found.n_fit == len(known) and found.chosen["pull"] <= 100


def test_it_is_never_above_what_the_codes_explain_on_the_test_rows(make_table) -> None:
    for levels in (2, 3):
        table = narrow(make_table(mixed), 6)
        table = released(table, Quantise(levels).fit(table, "ip1"))
        found = r2(table)
        bound = explained(table)
        assert found["lookup"].value <= bound
        assert found["ridge"].value <= bound


def test_of_features_that_are_no_codes_it_says_nothing(make_table) -> None:
    assert "lookup" not in r2(make_table(mixed))
    assert codes_of([np.arange(100.0)[:, None]], 1000) is None  # no two alike
    assert codes_of([np.repeat(np.arange(60.0), 2)[:, None]], 59) is None  # more than are asked for


def test_one_code_tells_nothing_and_controls_tell_nothing(make_table) -> None:
    table = make_table(noise)
    table = released(table, Quantise(2).fit(table, "ip1"))
    found = r2(narrow(table, 3))["lookup"]
    assert abs(found.value) < 0.02 and found.control < 0.02


def test_codes_are_numbered_as_they_come_and_zero_is_zero() -> None:
    known = np.array([[0.0, 1], [2, 3], [-0.0, 1], [2, 3]], np.float32)
    first, second = codes_of([known, np.array([[9, 9], [2, 3]], np.float32)], 2) or ([], [])
    assert first.tolist() == [0, 1, 0, 1] and second.tolist() == [2, 1]


def test_a_code_that_was_never_seen_is_the_mean_of_all(make_table) -> None:
    table = make_table(of_code)
    x = table.features["ip1"].copy()
    x[table.split == "test"] += 100
    found = r2(replace(table, features={"ip1": x}))["lookup"]
    assert found.value == pytest.approx(0, abs=1e-6)


def test_it_is_called_by_its_name() -> None:
    assert named("lookup") == Lookup()
