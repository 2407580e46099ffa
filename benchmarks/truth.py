"""How far the intervals of analyses can be trusted: those of many small groups of people, beside what they estimate.

    python evaluate.py ckpt_path=<run>/checkpoints/best.ckpt data=synthetic_faces data.test_identities=1000 \
        data.test_images=45 save_features=true            # a thousand strangers
    python -m benchmarks.truth <that run>/features/<layer>.npz

The people who are tested on are parted into groups. Each analysis measures each group as if there were no others; the
truth is what it gives of all of them, and an interval is right if it holds the mean of the other groups.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from invariantnets import FeatureTable, run_suite
from invariantnets.analysis import ANALYSES, Analysis, Bins, Discard
from invariantnets.features.io import load_table
from invariantnets.randomness import numpy_rng
from invariantnets.results import Result

PEOPLE = 100
# What has its parts chosen by the data, with parts that are the same in every group.
FIXED: Mapping[str, Analysis] = {"bins": Bins(nuisance="yaw", edges=(0, 15, 30, 45)), "discard": Discard("-blur")}
SLOW = ("tsne",)  # and its number is of the map
# Controls, and bands of groups that are drawn at random: intervals of another kind.
_NOT = ("shuffled", "sides shuffled", "at random")


class Key(NamedTuple):
    """Which number of an analysis."""

    analysis: str
    target: str
    probe: str
    metric: str
    where: str


def groups_of(table: FeatureTable, people: int, seed: int = 0) -> Iterator[FeatureTable]:
    """Tables with the same train and val, and in test so many of the people at a time, none twice."""
    test = table.split == "test"
    order = numpy_rng(seed).permutation(np.unique(table.label[test]))
    for some in np.split(order[: len(order) // people * people], len(order) // people):
        yield table.rows(np.flatnonzero(~test | np.isin(table.label, some)))


def numbers(table: FeatureTable, names: list[str]) -> dict[Key, Result]:
    """All that the analyses say of a table."""
    asked = [FIXED.get(name) or ANALYSES[name]() for name in names]
    found = run_suite(table, [], analyses=asked, protocols=None)
    return {
        Key(r.probe.split("/")[0], r.target, r.probe, r.metric, json.dumps(dict(r.where), default=str)): r
        for r in found.results
        if r.about == "analysis" and r.probe.split("/")[-1] not in _NOT
    }


def measure(table: FeatureTable, names: list[str], people: int = PEOPLE) -> list[dict[str, object]]:
    """Each number that every group has: one group's and its interval, that of all people, how many intervals are right.

    Args:
        table: of an open set, with as many people in test as make two groups or more.
        names: of analyses.
        people: in each group.
    """
    every = numbers(table, names)
    groups = [numbers(group, names) for group in groups_of(table, people)]
    rows: list[dict[str, object]] = []
    for key, whole in every.items():
        of = [group[key] for group in groups if key in group and group[key].low is not None]
        if len(of) < len(groups):
            continue
        values, low, high = (np.array([getattr(r, end) for r in of], float) for end in ("value", "low", "high"))
        others = (values.sum() - values) / (len(values) - 1)
        rows.append(
            {
                **key._asdict(),
                "first": [values[0], low[0], high[0]],
                "all": [whole.value, whole.low, whole.high],
                "mean": values.mean(),
                "width": (high - low).mean(),
                "scatter": values.std(ddof=1),
                "right": ((low <= others) & (others <= high)).mean(),
            }
        )
    return rows


def summary(rows: list[dict[str, object]]) -> dict[str, dict[str, float]]:
    """Of each analysis: how many numbers, and how many of their intervals are right, on average and at least."""
    table = {}
    for name in dict.fromkeys(row["analysis"] for row in rows):
        right = np.array([row["right"] for row in rows if row["analysis"] == name], float)
        table[str(name)] = {"numbers": len(right), "right %": 100 * right.mean(), "least %": 100 * right.min()}
    return table


def main() -> None:
    """Python -m benchmarks.truth <table> [people] [analyses …]; the numbers go to truth.json beside the table."""
    from benchmarks.__main__ import table as printed

    path, people, names = Path(sys.argv[1]), int((sys.argv[2:] or [PEOPLE])[0]), sys.argv[3:]
    rows = measure(load_table(path), names or [name for name in ANALYSES if name not in SLOW], people)
    (path.parent / "truth.json").write_text(json.dumps(rows, indent=1, default=float))
    print(printed("intervals of groups that hold the mean of the others", summary(rows)))


if __name__ == "__main__":
    main()
