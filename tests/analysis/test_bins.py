"""Errors by bins of the nuisance itself, and of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import Bins, Material
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

PEOPLE, IMAGES = 40, 20


def faces(**more: Any) -> FeatureTable:
    """Yaw (s.d. 20), which is in the features but for noise that grows with the blur (0 to 1); and a temperature."""
    rng = numpy_rng(0)
    who = np.repeat(np.arange(PEOPLE), IMAGES)
    yaw, blur = rng.normal(0, 20, len(who)), rng.random(len(who))
    x = np.stack([yaw + 30 * blur * rng.normal(size=len(who)), *rng.normal(size=(3, len(who)))], 1)
    columns = {"yaw": yaw, "blur": blur, "warmth": rng.normal(20, 9, len(who)), "division": "identity", **more}
    return FeatureTable.from_arrays(x, label=who, **columns)


def found(table: FeatureTable, **asked: Any) -> list[Result]:
    return Bins(**asked)(Material(table, "features"))


def by_bin(results: list[Result], probe: str = "bins/line") -> dict[str, Result]:
    return {next(iter(r.where.values())): r for r in results if r.probe == probe}


def test_errors_of_one_nuisance_grow_with_another() -> None:
    table = faces()
    results = found(table, nuisance="yaw", by="blur", edges=(0.25, 0.5, 0.75))
    line, mean = by_bin(results), by_bin(results, "bins/always the mean")
    assert list(line) == list(mean) == ["all", "below 0.25", "0.25 to 0.5", "0.5 to 0.75", "above 0.75"]
    assert line["below 0.25"].value < 9 < 11 < line["above 0.75"].value < mean["above 0.75"].value
    assert max(abs(mean[name].value - mean["all"].value) for name in mean) < 4  # yaw and blur are independent
    test = table.part("test")
    blurred = test.nuisance["blur"] >= 0.75
    assert {r.target for r in results} == {"yaw"} and all(set(r.where) == {"blur"} for r in results)
    assert line["above 0.75"].n == blurred.sum() and line["above 0.75"].sources == len(np.unique(test.label[blurred]))
    assert line["all"].n == len(test) == sum(r.n for name, r in line.items() if name != "all")
    weighted = sum(r.n * r.value for name, r in line.items() if name != "all") / len(test)
    assert weighted == pytest.approx(line["all"].value, abs=1e-9)
    assert all(r.low is not None and r.high is not None and r.low < r.value < r.high for r in results)


def test_they_are_those_of_the_reader_of_the_suite_and_of_the_mean() -> None:
    table = faces()
    (ridge,) = (
        r
        for r in run_suite(table, ["ridge"], protocols=None).results
        if (r.target, r.probe, r.metric) == ("yaw", "ridge", "mae")
    )
    results = found(table, nuisance="yaw", by="warmth")
    assert by_bin(results)["all"].value == pytest.approx(ridge.value, rel=1e-9)
    assert (by_bin(results)["all"].low, ridge.n) == (pytest.approx(ridge.low, rel=1e-6), by_bin(results)["all"].n)
    known, test = table.part("train", "val").nuisance["yaw"], table.part("test").nuisance["yaw"]
    expected = np.abs(known.mean() - test).mean()
    assert by_bin(results, "bins/always the mean")["all"].value == pytest.approx(expected, rel=1e-12)


def test_magnitudes_are_of_numbers_with_two_sides() -> None:
    table = faces(few=np.where(np.arange(PEOPLE * IMAGES) % 50 == 0, -1.0, np.arange(PEOPLE * IMAGES) % 7))
    where = {r.target: next(iter(r.where)) for r in found(table)}
    assert where == {"yaw": "|yaw|", "blur": "blur", "warmth": "warmth", "few": "few"}
    for asked, name, first in ((True, "|warmth|", "0 to "), (False, "yaw", "below ")):
        line = by_bin(found(table, nuisance=name.strip("|"), magnitude=asked))
        assert list(line)[1].startswith(first) and len(line) == 5
        assert {next(iter(r.where)) for r in line.values()} == {name}
    line = by_bin(found(table, nuisance="yaw", magnitude=False, edges=(-20, 20)))
    assert list(line) == ["all", "below -20", "-20 to 20", "above 20"]
    assert line["below -20"].n == (table.part("test").nuisance["yaw"] < -20).sum()


def test_rows_of_which_the_other_is_not_known_are_fitted_to_and_counted() -> None:
    blur = faces().nuisance["blur"]
    gaps = faces(blur=np.where(np.arange(len(blur)) % 3 == 0, np.nan, blur))
    line = by_bin(found(gaps, nuisance="yaw", by="blur"))
    known = np.isfinite(gaps.part("test").nuisance["blur"])
    assert line["all"].n == known.sum() and f"not known of {(~known).sum()} more" in line["all"].note
    assert line["all"].n_fit == len(gaps.part("train", "val"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "blurr"}, "analysis.bins.by=blurr: no number of that name among the nuisances (numbers: yaw, blur"),
        ({"by": "hat"}, "analysis.bins.by=hat: no number of that name"),
        ({"nuisance": "hat"}, "analysis.bins.nuisance=hat: no number of that name"),
        ({"by": "sharp"}, "analysis.bins.by=sharp: in split test it is not known of any row of which 'yaw' is"),
        (
            {"nuisance": "yaw", "edges": (-5, 5)},
            "from 0 or more, for bins are of |yaw| (analysis.bins.magnitude",
        ),
        ({"nuisance": "yaw", "by": "blur", "edges": (0.5, 0.2)}, "edges=[0.5, 0.2]: they must ascend"),
    ],
)
def test_what_cannot_be_is_one_line(asked: dict[str, Any], said: str) -> None:
    of_train = np.where(np.arange(PEOPLE * IMAGES) < PEOPLE * IMAGES / 2, np.arange(PEOPLE * IMAGES), np.nan)
    split = np.repeat(["train", "val", "test"], (IMAGES * 20, IMAGES * 10, IMAGES * 10))
    table = faces(hat=np.where(np.arange(PEOPLE * IMAGES) % 2, "yes", "no"), sharp=of_train, split=split, division=None)
    with pytest.raises(InvariantNetsError) as error:
        found(table, **{"nuisance": "yaw", **asked})
    assert said in str(error.value)
