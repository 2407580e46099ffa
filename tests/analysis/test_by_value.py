"""How often the class is named at each value: against counting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from invariantnets import FeatureTable
from invariantnets.analysis import ByValue, Material
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

SPLIT = np.repeat(["train", "val", "test"], [400, 100, 600])


def table(**columns: Any) -> FeatureTable:
    """Classes that are told less well at large angles, and not at all beyond 60°."""
    rng = numpy_rng(0)
    label, angle = rng.integers(3, size=len(SPLIT)), rng.choice([-65.0, -20.0, 0.0, 20.0, 65.0], len(SPLIT))
    x = rng.normal(size=(len(SPLIT), 4))
    x[:, :3] += np.eye(3)[label] * np.where(np.abs(angle) > 60, 0, 4)[:, None]
    answer = np.where(rng.random(len(SPLIT)) < 0.8, label, 0)
    return FeatureTable.from_arrays(x, label=label, split=SPLIT, angle=angle, prediction=answer, **columns)


def found(of: FeatureTable, **changes: Any) -> dict[tuple[str, str], Result]:
    results = ByValue(**changes)(Material(of, "features"))
    assert all(r.metric == "accuracy" and r.target == "label" and 0.3 < r.chance < 0.4 for r in results)
    return {(r.probe, *r.where.values()): r for r in results}


def test_each_value_has_its_own_rows() -> None:
    of = table()
    test = of.part("test")
    results = found(of, nuisance="angle")
    for value in (-65, -20, 0, 20, 65):
        rows = test.nuisance["angle"] == value
        own = results["by_value/softmax", f"{value}"]
        assert own.value == np.mean(test.prediction[rows] == test.label[rows]) and own.n == own.sources == rows.sum()
        assert own.low < own.value < own.high and own.n_fit is None
        mav = results["by_value/mav", f"{value}"]
        assert mav.n_fit == 500 and (mav.value > 0.9 if abs(value) < 60 else 0.15 < mav.value < 0.5)
    every = [results["by_value/mav", f"{value}"] for value in (-65, -20, 0, 20, 65)]
    assert results["by_value/mav", "all"].value == pytest.approx(sum(r.value * r.n for r in every) / 600)


def test_magnitudes_lie_together() -> None:
    results = found(table(), magnitude=True)
    assert [value for probe, value in results if probe == "by_value/mav"] == ["all", "0", "20", "65"]
    apart = found(table())
    for probe in ("by_value/mav", "by_value/softmax"):
        parts = [apart[probe, side] for side in ("-65", "65")]
        assert results[probe, "65"].n == sum(r.n for r in parts)
        assert results[probe, "65"].value == pytest.approx(sum(r.value * r.n for r in parts) / results[probe, "65"].n)


def test_categories_have_their_names_and_what_has_many_values_is_left() -> None:
    rng = numpy_rng(1)
    hat = np.where(rng.random(len(SPLIT)) < 0.5, "cap", "none")
    of = table(hat=hat, light=rng.random(len(SPLIT)))
    assert {value for _, value in found(of, nuisance="hat", magnitude=True)} == {"all", "cap", "none"}
    assert "light" not in {key for r in ByValue()(Material(of, "features")) for key in r.where}
    with pytest.raises(InvariantNetsError, match="'light' has 600 values in split 'test'; 20 at most"):
        found(of, nuisance="light")


def test_who_is_new_is_not_named() -> None:
    of = FeatureTable.from_arrays(table().features["features"], label=np.arange(len(SPLIT)) % 40, division="identity")
    with pytest.raises(InvariantNetsError, match="people of test who are not in train are for protocols="):
        found(of)
    with pytest.raises(InvariantNetsError, match=r"by_value\.nuisance=yaw: no such nuisance .*angle"):
        found(table(), nuisance="yaw")
