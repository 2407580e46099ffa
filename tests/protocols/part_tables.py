"""Tables of parts of people, and what is found in them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from invariantnets.features.table import FeatureTable
from invariantnets.protocols import run_piper
from invariantnets.results.result import Result

PEOPLE, PICTURES, PARTS, WIDTH = 24, 8, 4, 10


def frame(rate: float = 0.5, seed: int = 0, album: float = 0.0, people: int = PEOPLE) -> pd.DataFrame:
    """A row a picture and part: points of a person, perhaps of an album, with noise; half of the people are test."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), PICTURES)
    day = person * 4 + np.tile(np.arange(PICTURES) % 4, people)
    rows = []
    for part in ("global", *(f"p{k}" for k in range(PARTS))):
        of, on = rng.normal(size=(people, WIDTH)), album * rng.normal(size=(people * 4, WIDTH))
        x = of[person] + on[day] + rng.normal(size=(len(person), WIDTH))
        shown = np.flatnonzero((part == "global") | (rng.random(len(person)) < rate))
        known = {"picture": shown, "part": part, "person": [f"n{p:03d}" for p in person[shown]], "album": day[shown]}
        split = np.where(person[shown] < people // 2, "val", "test")
        rows.append(pd.concat([pd.DataFrame({**known, "split": split}), pd.DataFrame(x[shown])], axis=1))
    return pd.concat(rows, ignore_index=True)


def table_of(rows: pd.DataFrame, **mapping) -> FeatureTable:
    return FeatureTable.from_frame(rows, label="person", source="picture", **mapping)


def found(rows: pd.DataFrame | FeatureTable, **knobs) -> list[Result]:
    table = rows if isinstance(rows, FeatureTable) else table_of(rows)
    return run_piper(table, "features" if "features" in table.features else [*table.features][0], **knobs)


def value(results: list[Result], probe: str, metric: str = "accuracy", **where) -> Result:
    return next(r for r in results if r.probe == f"piper/{probe}" and r.metric == metric and dict(r.where) == where)
