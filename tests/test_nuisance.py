from __future__ import annotations

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance, check_magnitudes, doubt, infer_nuisance, magnitude

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "kind", "unit", "expected", "numbers"),
    [
        ([0.5, 2.0, NAN], None, "", Nuisance("x"), [0.5, 2, NAN]),
        ([0, 1, 1], None, "", Nuisance("x", "binary", "", ("0", "1")), [0, 1, 1]),
        ([-1, 1, -1], None, "", Nuisance("x", "binary", "", ("-1", "1")), [0, 1, 0]),
        ([1.0, NAN, 0.0], None, "", Nuisance("x", "binary", "", ("0", "1")), [1, NAN, 0]),
        ([1, 2, 2], None, "", Nuisance("x"), [1, 2, 2]),
        ([2, 0, 5], "categorical", "", Nuisance("x", "categorical", "", ("0", "2", "5")), [1, 0, 2]),
        ([1, 2, 2], "binary", "", Nuisance("x", "binary", "", ("1", "2")), [0, 1, 1]),
        ([0, 1, 1], "continuous", "", Nuisance("x"), [0, 1, 1]),
        (["yes", "no", ""], None, "", Nuisance("x", "binary", "", ("no", "yes")), [1, 0, NAN]),
        (["b", None, "a"], None, "", Nuisance("x", "binary", "", ("a", "b")), [1, NAN, 0]),
        ([True, False, True], None, "", Nuisance("x", "binary", "", ("False", "True")), [1, 0, 1]),
        (["030", "30", "30"], None, "", Nuisance("x", "binary", "", ("030", "30")), [0, 1, 1]),
        (["1.5", "", "2"], "continuous", "px", Nuisance("x", "continuous", "px"), [1.5, NAN, 2]),
        ([1.5, None, 2], None, "", Nuisance("x"), [1.5, NAN, 2]),
        ([-170.0, 20, 90], "circular", "deg", Nuisance("x", "circular", "°"), [-170, 20, 90]),
        ([0, np.pi, np.pi / 2], "circular", "rad", Nuisance("x", "circular", "°"), [0, 180, 90]),
        ([1.0, 30.0, 7.0], None, "deg", Nuisance("x", "continuous", "°"), [1, 30, 7]),
    ],
)
def test_what_a_column_is(values, kind, unit, expected, numbers):
    column = np.array(values, dtype=object if None in values else None)
    nuisance, found = infer_nuisance("x", column, kind, unit)
    assert nuisance == expected
    np.testing.assert_allclose(found, numbers)


@pytest.mark.parametrize(
    ("values", "kind", "unit", "message"),
    [
        ([1, 2, 3], "binary", "", "'x' is said to be binary, but has 3 values (1, 2, 3); say categorical"),
        (["a", "b"], "circular", "", "'x' is said to be circular, but holds 'a': numbers are needed"),
        (["1", "left"], "continuous", "", "'x' is said to be continuous, but holds 'left'"),
        ([1, 2], "round", "", "'x' is said to be 'round'; choose from continuous, circular, categorical, binary"),
        ([1.0, 2.0], "circular", "", "reaches 2: degrees or radians? Say units={x: deg} or rad"),
        ([1.0, 2.0], "circular", "gon", "the angle 'x' is said to be in 'gon'; use deg or rad"),
    ],
)
def test_what_it_cannot_be(values, kind, unit, message):
    with pytest.raises(InvariantNetsError) as error:
        infer_nuisance("x", np.array(values), kind, unit)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(40) % 5, "kinds={x: categorical}"),
        (np.linspace(-179, 179, 40), "kinds={x: circular}"),
        (np.linspace(0, 359, 40), "kinds={x: circular}"),
        (np.linspace(-45, 45, 40), ""),
        (np.linspace(0, 5000, 40), ""),
        (np.arange(5), ""),
    ],
)
def test_what_may_be_something_else_is_said(values, expected):
    found = doubt(Nuisance("x"), values.astype(float))
    assert expected in found and bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("continuous", [-30, 0, 20, np.nan], [30, 0, 20, np.nan]),
        ("circular", [350, 10, 180, 190], [10, 10, 180, 170]),
    ],
)
def test_how_far_from_0(kind, values, expected):
    found, sizes = magnitude(Nuisance("yaw", kind, "°", fixed=True), np.array(values, float))
    assert found == Nuisance("|yaw|", "continuous", "°", fixed=True)
    assert np.array_equal(sizes, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("nuisance", "values", "message"),
    [
        (Nuisance("light"), [*range(99), -1], "'light' lies on one side of 0 only (or nearly)"),
        (Nuisance("light"), [np.nan], "'light' lies on one side of 0 only (or nearly)"),
    ],
)
def test_what_has_no_magnitude(nuisance, values, message):
    with pytest.raises(InvariantNetsError, match="magnitudes: ") as error:
        magnitude(nuisance, np.array(values, float))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("asked", "message"), [("race", "'race' is categorical"), ("Yaw", "no nuisance 'Yaw' (nuisances: yaw, race)")]
)
def test_what_magnitudes_are_not_of(asked, message):
    there = (Nuisance("yaw"), Nuisance("race", "categorical", categories=("a", "b")))
    check_magnitudes(["yaw"], there)
    with pytest.raises(InvariantNetsError, match="magnitudes: ") as error:
        check_magnitudes(["yaw", asked], there)
    assert message in str(error.value)
