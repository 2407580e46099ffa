"""Tables of parts that are damaged, or cannot be used: one line, and the rest goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from part_tables import PICTURES, found, frame, table_of, value

from invariantnets import run_suite
from invariantnets.errors import InvariantNetsError
from invariantnets.protocols import run_piper
from invariantnets.protocols.parts import read_instances

BAD = {
    "a part that never fires in test": (
        lambda r: r[~((r["part"] == "p1") & (r["split"] == "test"))],
        "part 'p1' never fires in test: it is left out",
    ),
    "somebody on one picture": (
        lambda r: r[(r["person"] != "n020") | (r["picture"] == 20 * PICTURES)],
        "1 people of test have one",
    ),
    "an album in two splits": (
        lambda r: r.assign(album=r["album"].where(r["album"] != r["album"].max(), 0)),
        "1 albums are in val and in test: their 2 pictures in val are left out",
    ),
    "a part twice": (
        lambda r: pd.concat([r, r[(r["picture"] == 3) & (r["part"] == "global")] + 0], ignore_index=True),
        "1 rows show a part of a picture that is there before (the first is 'global' in row",
    ),
    "a picture without the global part": (
        lambda r: r[~((r["picture"] == 2) & (r["part"] == "global"))],
        "have no row of the global part 'global': P₀ is uniform there",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_one_line_and_the_rest_goes_on(case: str, caplog: pytest.LogCaptureFixture) -> None:
    spoil, said = BAD[case]
    rows = frame(rate=0.7)
    if case == "a part twice":
        extra = rows[(rows["picture"] == 3) & (rows["part"] == "global")].copy()
        extra[0] += 1.0
        rows = pd.concat([rows, extra], ignore_index=True)
    else:
        rows = spoil(rows)
    results = found(rows, halves=["image"] if "album" not in case else ["image", "album"])
    result = value(results, "image/filled")
    assert said in result.note and sum(said in line for line in caplog.messages) == 1
    assert result.value > 0.4


def test_rows_of_nan_are_parts_that_did_not_fire() -> None:
    rows = frame(rate=0.7)
    spoilt = rows.copy()
    which = rows.index[rows["part"] == "p2"][:5]
    spoilt.loc[which, 0] = np.nan
    by_nan, by_absence = (found(r, halves=["image"]) for r in (spoilt, rows.drop(which)))
    np.testing.assert_allclose([r.value for r in by_nan], [r.value for r in by_absence], atol=1e-6)
    assert "5 rows of NaN or infinity count as parts that did not fire" in value(by_nan, "image/filled").note
    from functools import partial

    suite = run_suite(table_of(spoilt), protocols=partial(run_piper, halves=["image"], shots=()))
    assert "5 rows of NaN or infinity count as parts that did not fire" in suite.record["remarks"]
    assert not suite.failed and value(suite.results, "image/filled").value == value(by_nan, "image/filled").value
    assert not [r for r in suite.results if r.about == "norm"]  # a row is no picture by itself


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: r.drop(columns="part"), "needs a column 'part'"),
        (lambda r: r[r["split"] == "test"], "none is of 'val'"),
        (lambda r: r.assign(picture=np.arange(len(r))), "no picture has two parts"),
        (lambda r: r[r["part"].isin(["global", "p1"]) & ((r["part"] == "p1") != (r["picture"] % 2))], "no picture has"),
        (lambda r: r[r["picture"] % PICTURES == 0], "two people of two pictures"),
    ],
)
def test_tables_that_cannot_be_used(spoil, said: str) -> None:
    with pytest.raises(InvariantNetsError, match=said):
        found(spoil(frame()))


def test_a_split_that_was_drawn_here_lends_all_but_test_to_the_weights() -> None:
    table = table_of(frame(people=40).drop(columns="split"))
    read = read_instances(table, "features", "global")
    assert set(read.split) == {"val", "test"} and len(read) == 40 * PICTURES
    assert not set(read.person[read.split == "val"]) & set(read.person[read.split == "test"])
    own = read_instances(replace(table, meta={}), "features", "global")
    assert (own.split == "val").sum() < (read.split == "val").sum()


def test_an_unknown_way() -> None:
    with pytest.raises(InvariantNetsError, match="halves=day: choose of image, album"):
        found(frame(), halves=["day"])
