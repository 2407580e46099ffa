"""Wherever a nuisance hides, `strongest` finds all but 3 % of what the best reader that was tuned for it finds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hidden import TABLES

from invariantnets.probes import DEFAULT, run_probes
from invariantnets.results.result import Result

SHARE = 0.97
ROUNDING = 1e-6  # two perfect readers differ by it
# R² on test that is right, and where it comes from. `exact`: the features determine the nuisance. `noise`: but for
# noise that was added, and this is what knowing the formula gives. Else the best of the references that
# `benchmarks/readers.py` tunes by hand on the same rows; docs/lab/readers.md has all of them, and the most that there
# is to find, where it is known.
RIGHT = {
    "norm": (1.0, "exact"),
    "log": (1.0, "exact"),
    "product": (1.0, "exact: 3,000 rows fix the 2,144 coefficients of a quadratic form"),
    "fine": (0.75, "boosted trees; exact would be 1"),
    "scaled": (0.974, "noise; the lasso on raw features has it"),
    "log_norm": (1.0, "exact"),
    "ratio": (0.999, "boosted trees"),
    "absolute": (0.996, "a large network; exact would be 1"),
    "exclusive_or": (0.741, "a large network"),
    "sine": (0.953, "boosted trees on whitened features"),
    "warped": (0.998, "lasso on ranks"),
    "spread": (0.917, "boosted trees and the length of the row"),
    "by_class": (0.842, "a large network on raw features"),
    "tiny": (0.961, "boosted trees on whitened features"),
    "shell": (0.984, "boosted trees and the length of the row"),
    "angle": (0.929, "a large network on rows of length one"),
    "sparse": (0.888, "noise; the lasso has it"),
    "largest": (0.984, "boosted trees; exact would be 1"),
    "halves": (0.597, "quadratic ridge on rows of length one"),
    "heavy": (0.974, "noise"),
}
# What is right of these is right of a thousand rows, too; the others are of all rows, and slow.
FAST, FEW = ("norm",), {"train": 500, "val": 250, "test": 250}
EVERY = [pytest.param(name, True, id=f"{name}, few rows") for name in FAST]
EVERY += [pytest.param(name, False, marks=pytest.mark.slow, id=name) for name in TABLES]


@lru_cache(len(EVERY))
def probed(name: str, few: bool) -> list[Result]:
    table = TABLES[name]()
    if few:
        first = [np.flatnonzero(table.split == split)[:rows] for split, rows in FEW.items()]
        table = table.rows(np.concatenate(first))
    return run_probes(table, "features", DEFAULT)


def readings(name: str, few: bool) -> tuple[Result, list[Result]]:
    """R² of `strongest`, and of every probe that is told nothing of the answer and did not fail."""
    r2 = [r for r in probed(name, few) if (r.metric, r.target) == ("r2", "nuisance") and not r.where]
    (strongest,) = (r for r in r2 if r.probe == "strongest")
    return strongest, [r for r in r2 if r is not strongest and not r.uses_answer and r.status == "ok"]


def test_every_table_has_a_value_that_is_right() -> None:
    assert set(RIGHT) == set(TABLES)


@pytest.mark.parametrize(("name", "few"), EVERY)
def test_what_is_hidden_is_found(name: str, few: bool) -> None:
    right, _ = RIGHT[name]
    strongest, _ = readings(name, few)
    assert strongest.value >= SHARE * right


@pytest.mark.parametrize(("name", "few"), EVERY)
def test_no_other_probe_reads_more(name: str, few: bool) -> None:
    """By more than the intervals of the two."""
    strongest, others = readings(name, few)
    for other in others:
        assert strongest.high is not None and other.low is not None
        assert other.low <= strongest.high + ROUNDING, other.probe


@pytest.mark.parametrize(("name", "few"), EVERY)
def test_nothing_is_found_where_the_nuisance_is_shuffled(name: str, few: bool) -> None:
    """The same search on a shuffled nuisance: what a reader finds there is what it makes up."""
    strongest, _ = readings(name, few)
    assert strongest.control is not None and strongest.control < 0.03
