"""What is wrong with a table of features, or with what is said of it, and the line that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROWS = 60
X = np.random.default_rng(0).normal(size=(ROWS, 4))
GOOD = {
    "features": X,
    "person": np.repeat([f"p{i}" for i in range(6)], 10),
    "part": np.tile(np.repeat(["train", "val", "test"], [6, 2, 2]), 6),
    "yaw": np.random.default_rng(1).normal(size=ROWS),
}


def with_(**changes: np.ndarray) -> dict[str, np.ndarray]:
    return {**GOOD, **changes}


NAMED = ("label=person", "split=part")
# what is in the file, what is said of it → the line
CASES = {
    "a kind that there is not": (
        GOOD,
        "kinds={yaw:circle}",
        "kinds: 'yaw' is said to be 'circle'; choose from continuous, circular, categorical, binary",
    ),
    "one kind for all": (
        GOOD,
        "kinds=circular",
        "kinds=circular: give one for each nuisance, as in '{yaw: circular}' or '{yaw: deg}'",
    ),
    "a unit of nothing": (
        GOOD,
        "units={jaw:deg}",
        "{tmp}/t.npz: kinds and units: there is no nuisance 'jaw'; it has yaw",
    ),
    "degrees or radians": (
        GOOD,
        "kinds={yaw:circular}",
        f"the angle 'yaw' reaches {np.abs(GOOD['yaw']).max():.3g}: degrees or radians? Say units={{yaw: deg}} or rad",
    ),
    "a way to divide that there is not": (
        GOOD,
        "division=person",
        "division=person: give identity (open set) or image (closed set)",
    ),
    "two columns as one": (GOOD, "label=[person,part]", "label=[person,part]: give the name of a column"),
    "a column that there is not": (
        GOOD,
        "nuisances=[jaw]",
        "{tmp}/t.npz: nuisances=jaw: there is no such column; did you mean yaw?",
    ),
    "a layer that there is not": (
        GOOD,
        "layers=[fc7]",
        "{tmp}/t.npz: layers=fc7: there is no such layer; choose from features, or all",
    ),
    "a number as the split": (
        GOOD,
        "split=yaw",
        f"{{tmp}}/t.npz: column 'yaw' (split) holds {GOOD['yaw'][0]:g} in row 1: classes, people and sources are whole "
        "numbers or text; if it is a nuisance, call it otherwise",
    ),
    "an unknown split": (
        with_(part=np.where(GOOD["part"] == "val", "gallery", GOOD["part"])),
        "",
        "{tmp}/t.npz: split 'gallery' is unknown; use train, val, test",
    ),
    "a class that is missing": (
        with_(person=np.where(np.arange(ROWS) == 7, "", GOOD["person"])),
        "",
        "{tmp}/t.npz: column 'person' (label) has missing values in 1 of 60 rows, the first is row 8; fill it, or drop "
        "those rows",
    ),
    "a sentinel among the features": (
        with_(features=np.where(np.arange(ROWS)[:, None] * 4 + np.arange(4) == 9, 1e30, X)),
        "",
        "{tmp}/t.npz: features 'features' hold 1e+30 in row 3, column 1, where 9 of 10 values of the column lie ",
    ),
    "NaN among the features": (
        with_(features=np.where(np.arange(ROWS)[:, None] * 4 + np.arange(4) == 9, np.nan, X)),
        "",
        "features of layer 'features': 1 values are NaN or infinite in 1 of 4 columns, the first is column 1",
    ),
    "predictions in other words": (
        with_(prediction=np.arange(ROWS)),
        "",
        "{tmp}/t.npz: column 'prediction' speaks of other classes than 'person' (label): 60 of 60 predictions, as ",
    ),
    "a photograph in two splits": (
        with_(photo=np.arange(ROWS) % 7),
        "source=photo",
        "source image 0 (and 6 more) is in split 'train' and in 'val'",
    ),
    "people in train and test, and others in test alone": (
        with_(part=np.where(np.isin(GOOD["person"], ["p4", "p5"]), "test", GOOD["part"])),
        "",
        "class 4 (and 1 more) is in split 'test' but not in 'train', while other classes are in both: divide by image",
    ),
    "two columns that may be the class": (
        with_(subject=GOOD["person"]),
        "label=null",
        "{tmp}/t.npz: 'person' and 'subject' may both be the class; say label=person, or ignore one",
    ),
    "two matrices that may be features": (
        {**{k: v for k, v in GOOD.items() if k != "features"}, "fc6": X, "fc7": X},
        "",
        "{tmp}/t.npz: ",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_tables_are_refused_by_their_own_names(said: Callable[..., str], tmp_path: Path, case: str) -> None:
    columns, word, line = CASES[case]
    np.savez(tmp_path / "t.npz", **columns)
    own = word.partition("=")[0]
    named = [other for other in NAMED if other.partition("=")[0] != own]
    words = [*named, *([word] if word else [])]
    found = said("evaluate", "features={tmp}/t.npz", "probe.mlp=null", "probe.knn=null", *words)
    assert found.startswith(line), found
