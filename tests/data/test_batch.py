from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from invariantnets.data.batch import parse_range
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance
from invariantnets.randomness import numpy_rng, torch_rng


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ([0], [0.0]),
        ([30, -15.5, 0], [30.0, -15.5, 0.0]),
        ((1, 2), [1.0, 2.0]),
        ("-45:45:15", [-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0]),
        ("0:0.3:0.1", [0.0, 0.1, 0.2, 0.3]),
        ("5:5:1", [5.0]),
    ],
)
def test_ranges(spec: object, values: list[float]) -> None:
    assert parse_range(spec) == pytest.approx(values, abs=1e-12)  # type of spec: what a YAML may hold


@pytest.mark.parametrize(
    "spec",
    [
        [],
        [1, 1],
        [0, math.nan],
        [0, math.inf],
        ["a"],
        "45",
        45,
        None,
        "0:10",
        "0:10:0",
        "0:10:-5",
        "10:0:5",
        "0:10:3",
        "0:inf:3",
        "0::3",
        "0:10:5:1",
        {"start": 0, "stop": 10, "step": 5},
    ],
    ids=str,
)
def test_bad_ranges_are_refused_by_name(spec: object) -> None:
    with pytest.raises(InvariantNetsError, match="^data.angles: "):
        parse_range(spec, "data.angles")


def test_encodings() -> None:
    values = np.array([0.0, 90.0, 360.0])
    assert np.array_equal(Nuisance("angle").encode(values), values[:, None])
    circular = Nuisance("angle", "circular").encode(values)
    assert circular == pytest.approx(np.array([[1, 0], [0, 1], [1, 0]]), abs=1e-12)
    categorical = Nuisance("person", "categorical", categories=("a", "b", "c")).encode(np.array([2.0, 0.0]))
    assert np.array_equal(categorical, [[0, 0, 1], [1, 0, 0]])


def test_generators_are_functions_of_their_numbers() -> None:
    def draw(*entropy: int) -> tuple[float, ...]:
        return float(numpy_rng(*entropy).random()), float(torch.rand((), generator=torch_rng(*entropy)))

    assert draw(1, 2) == draw(1, 2)
    assert len({draw(1, 2), draw(2, 1), draw(1, 3), draw(1)}) == 4
