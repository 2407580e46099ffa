from __future__ import annotations

import math

import pytest

from invariantnets.results.format import number


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.98765, "accuracy", "98.8 %"),
        (-0.0004, "accuracy", "0.0 %"),
        (-0.004, "rank1_drop", "−0.4 %"),
        (0.4567, "r2", "0.46"),
        (-0.001, "r2", "0.00"),
        (9.51, "rmse", "9.5°"),
        (153.71, "effective_rank", "154"),
        (5748.0, "ideal_rank", "5,748"),
        (-5748.0, "mean_norm", "−5,748"),
        (math.nan, "r2", "–"),
        (None, "r2", "–"),
    ],
)
def test_numbers_read_as_people_write_them(value: float | None, metric: str, text: str) -> None:
    assert number(value, metric, "°" if metric == "rmse" else "") == text
