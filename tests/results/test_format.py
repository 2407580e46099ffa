"""Numbers with as many digits as they carry."""

from __future__ import annotations

import math

import pytest

from invariantnets.results.format import chance, summary, written
from invariantnets.results.result import Result
from invariantnets.results.select import spread


def result(metric: str, value: float, half: float | None = None, **fields) -> Result:
    bounds = {} if half is None else {"low": value - half, "high": value + half}
    return Result(metric, value, "F7", "scale", "ridge", "test", n=10, sources=5, seed=0, **bounds, **fields)


@pytest.mark.parametrize(
    ("found", "unit", "texts"),
    [
        # A small error beside a chance of its size: neither is nothing.
        (result("rmse", 0.03, chance=0.2, control=0.2003), "", ("0.030", "–", "0.200", "0.200")),
        (result("rmse", 0.0312, 0.0004, chance=0.2), "", ("0.0312", "[0.0308, 0.0316]", "0.2000", "–")),
        (result("rmse", 0.0, chance=0.2), "", ("0.0", "–", "0.18", "–")),
        (result("rmse", 27.076, 0.42, chance=30.0, control=30.2), "°", ("27.1°", "[26.7, 27.5]", "30.0°", "30.2°")),
        (result("r2", 0.003, 0.001, chance=0.0, control=-0.0004), "", ("0.003", "[0.002, 0.004]", "0.000", "0.000")),
        (result("r2", 0.185, 0.025, chance=0.0, control=-0.013), "", ("0.18", "[0.16, 0.21]", "0.00", "−0.01")),
        (result("accuracy", 0.9916, 0.0004, chance=0.1), "", ("99.16 %", "[99.12, 99.20]", "10.00 %", "–")),
        # One of 20,000 people is found by chance.
        (result("rank1", 0.6, 0.02, chance=1 / 20000), "", ("60.0 %", "[58.0, 62.0]", "0.005 %", "–")),
        (result("dir_far1", 0.05, 0.02, chance=1e-4), "", ("5.0 %", "[3.0, 7.0]", "0.01 %", "–")),
        (result("effective_rank", 153.71), "", ("154", "–", "–", "–")),
        (result("mean_norm", 153.71, 0.2), "", ("153.7", "[153.5, 153.9]", "–", "–")),
        (result("mean_norm", 5748.2, 12.0), "", ("5,748", "[5,736, 5,760]", "–", "–")),
        (result("auc", 0.98765, 0.001, chance=0.5), "", ("0.988", "[0.987, 0.989]", "0.500", "–")),
        (result("r2", math.nan, chance=0.0), "", ("–", "–", "0.00", "–")),
        (result("rmse", math.nan, math.nan, chance=0.2), "", ("–", "–", "0.18", "–")),
    ],
)
def test_a_row_has_the_digits_that_its_interval_lets_it_carry(found: Result, unit: str, texts: tuple[str, ...]) -> None:
    assert written(found, unit)[:4] == texts


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (result("r2", 0.185, 0.025, control=-0.013), "0.18"),
        (result("auc", 0.9, 0.05, control=0.52), "0.38"),
        (result("accuracy", 0.9, 0.01, control=0.1), "80.0 %"),
        (result("rmse", 27.0, 0.4, control=30.0), "–"),
        (result("r2", 0.9, 0.01), "–"),
    ],
)
def test_selectivity_is_written_like_its_value(found: Result, text: str) -> None:
    assert written(found).selectivity == text


@pytest.mark.parametrize(
    ("metric", "values", "unit", "text"),
    [
        ("accuracy", (0.9912, 0.9916, 0.9920), "", "99.16 ± 0.04 %"),
        ("accuracy", (0.94, 0.96), "", "95.0 ± 1.4 %"),
        ("rmse", (0.029, 0.031), "", "0.030 ± 0.001"),
        ("rmse", (9.5, 10.5), "°", "10.0 ± 0.7°"),
        ("r2", (0.002, 0.004), "", "0.003 ± 0.001"),
        ("effective_rank", (20.0, 22.0), "", "21 ± 1"),
    ],
)
def test_a_group_has_the_digits_that_its_seeds_agree_on(metric, values, unit, text):
    assert summary(spread([result(metric, v) for v in values]), metric, unit) == text


def test_what_guessing_gives_over_runs():
    runs = [[result("rank1", 0.5, chance=c)] for c in (1 / 20000, 1 / 200, 1 / 200)]
    assert chance(runs, "rank1", "scale", "ridge") == "0.005 % to 0.5 %"
