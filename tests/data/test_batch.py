from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from invariantnets.data.batch import Nuisance, numpy_rng, parse_range, torch_rng
from invariantnets.errors import InvariantNetsError


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ([0], [0.0]),
        ([30, -15.5, 0], [30.0, -15.5, 0.0]),
        ((1, 2), [1.0, 2.0]),
        ({"start": -45, "stop": 45, "step": 15}, [-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0]),
        ({"start": 0, "stop": 0.3, "step": 0.1}, [0.0, 0.1, 0.2, 0.3]),
        ({"start": 5, "stop": 5, "step": 1}, [5.0]),
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
        {"start": 0, "stop": 10},
        {"start": 0, "stop": 10, "step": 0},
        {"start": 0, "stop": 10, "step": -5},
        {"start": 10, "stop": 0, "step": 5},
        {"start": 0, "stop": 10, "step": 3},
        {"start": 0, "stop": math.inf, "step": 3},
        {"start": 0, "stop": None, "step": 3},
        {"start": 0, "stop": 10, "step": 5, "stride": 1},
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
