"""One table, written in every format by the library that people write it with, is one table when it is read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_formats import COLUMNS, DIGITS, FORMATS, ROWS, TEXT, X, to_csv, write_npz

from invariantnets.errors import InvariantNetsError
from invariantnets.features.io import load_table, table_of_frame
from invariantnets.features.mapping import map_columns
from invariantnets.features.readers.arrow import columns_of
from invariantnets.features.reading import read
from invariantnets.nuisance import Nuisance


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_columns(tmp_path: Path, name: str) -> None:
    file, write = FORMATS[name]
    if "h5" in file or "hdf5" in file or "7.3" in name:
        pytest.importorskip("h5py")
    write(tmp_path / file)
    found = map_columns(read(tmp_path / file))
    order = np.empty(ROWS, int)  # data sets of Hugging Face come split by split, all else as it was
    for split in ("train", "val", "test"):
        order[found.columns["split"] == split] = np.flatnonzero(COLUMNS["split"] == split)
    ((_, x),) = found.features.items()
    assert x == pytest.approx(X[order], abs=DIGITS.get(name, 0)) and x.dtype == np.float64
    assert set(found.columns) == set(COLUMNS)
    for column, values in COLUMNS.items():
        if column in TEXT:
            assert [str(v) for v in found.columns[column]] == list(values[order]), column
        else:
            np.testing.assert_allclose(
                found.columns[column], values[order], rtol=0, atol=DIGITS.get(name, 0), err_msg=column
            )


def test_a_data_frame_is_read_as_its_file_is(tmp_path: Path) -> None:
    """The five lines of a notebook: 512 columns that are called by their numbers."""
    rng = np.random.default_rng(1)
    wide = pd.DataFrame(rng.normal(size=(60, 512)))
    wide["person"], wide["yaw"] = np.repeat(["ann", "bob", "cy"], 20), rng.normal(size=60)
    wide["split"] = ["train", "val", "test"] * 20
    table = table_of_frame(wide, kinds={"yaw": "circular"}, units={"yaw": "deg"})
    assert list(table.features) == ["features"] and table.nuisances == (Nuisance("yaw", "circular", "°"),)
    assert sorted(table.features["features"][:, 511]) == pytest.approx(sorted(wide[511]), rel=1e-6)
    assert table.classes == ("ann", "bob", "cy")
    assert any("label=person was taken as the class; label=<column> takes another" in r for r in table.meta["remarks"])
    wide.rename(columns=str).to_parquet(tmp_path / "t.parquet")
    again = load_table(tmp_path / "t.parquet", kinds={"yaw": "circular"}, units={"yaw": "deg"})
    assert again.nuisances == table.nuisances
    assert np.array_equal(again.features["features"], table.features["features"])
    assert np.array_equal(again.label, table.label)


def said(path: Path, **mapping: Any) -> list[str]:
    return map_columns(read(path), **mapping).remarks


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("csv, semicolons and decimal commas", "its columns are parted by semicolons, decimals by commas"),
        ("tsv", "its columns are parted by tabs"),
        ("csv in utf-16", "it is encoded as utf-16"),
        ("csv in latin-1", "its text is not UTF-8 and was read as latin-1; save it as UTF-8 if names look wrong"),
        ("csv with an index", "column 1 has no name of its own (an index?) and was left out; name it to keep it"),
        ("npy and csv", "the columns are those of t.csv, which lies beside it"),
    ],
)
def test_what_was_found_out_is_said(tmp_path: Path, name: str, remark: str) -> None:
    file, write = FORMATS[name]
    write(tmp_path / file)
    assert remark in said(tmp_path / file)


def test_nothing_is_said_of_what_is_named_as_it_should_be(tmp_path: Path) -> None:
    write_npz(tmp_path / "t.npz")
    to_csv()(tmp_path / "t.csv")
    assert not said(tmp_path / "t.npz") and not said(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["007", "12", "3"], ["007", "12", "3"]),
        (["1", "", "3"], [1.0, np.nan, 3.0]),
        (["1", "NA", "null"], [1.0, np.nan, np.nan]),
        (["+1.5e3", "-.5", "inf"], [1500.0, -0.5, np.inf]),
        (["True", "false", "TRUE"], [True, False, True]),
        (["yes", "NA", " no "], ["yes", None, "no"]),
        (["12345678901234567890", "1", "2"], ["12345678901234567890", "1", "2"]),
        (["0", "0.5", "-0"], [0.0, 0.5, 0.0]),
    ],
)
def test_cells_of_text_tables(tmp_path: Path, cells: list[str], values: list[Any]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("mood,n\n" + "".join(f"{cell},1\n" for cell in cells))
    found = read(path).arrays["mood"]
    for a, b in zip(found.tolist(), values, strict=True):
        assert a == b or (pd.isna(a) and pd.isna(b))


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["030", "30", "7"], ["030", "30", "7"]),
        (["10", "9", "7"], [10, 9, 7]),
        (["NA", "None", "null"], ["NA", "None", "null"]),
        (["1.0", "2.0", ""], [1.0, 2.0, np.nan]),
        (["1.50", "1.5", "2"], ["1.50", "1.5", "2"]),
        (["1e3", "1000", "2"], ["1e3", "1000", "2"]),
        (["9007199254740993", "", "2"], ["9007199254740993", None, "2"]),
    ],
)
@pytest.mark.parametrize("column", ["person", "image_id", "code"])
def test_names_stay_as_they_are(tmp_path: Path, cells: list[str], values: list[Any], column: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{column},n\n" + "".join(f"{cell},1\n" for cell in cells))
    for a, b in zip(read(path, ids=["code"]).arrays[column].tolist(), values, strict=True):
        assert (a == b and type(a) is type(b)) or (pd.isna(a) and pd.isna(b))


def test_large_integers_of_a_nullable_column_stay_apart() -> None:
    arrays, _ = columns_of(pa.table({"image_id": pa.array([2**60, 2**60 + 1, None])}))
    assert arrays["image_id"].tolist() == [2**60, 2**60 + 1, None]


def test_lists_of_lists_are_not_lost(tmp_path: Path) -> None:
    cube = np.arange(24.0).reshape(4, 3, 2)
    pq.write_table(
        pa.table({"embedding": pa.array(cube.tolist()), "thumb": pa.array(X[:4, :3].tolist())}), tmp_path / "t"
    )
    assert np.array_equal(read(tmp_path / "t").arrays["embedding"], cube)
    with pytest.raises(
        InvariantNetsError, match=r"column 'embedding' has shape \(4, 3, 2\); one value a row is needed"
    ):
        load_table(tmp_path / "t")


def test_gz_of_anything_else_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "t.npy.gz", "wb") as file:
        np.save(file, X)
    with pytest.raises(ValueError, match="is no table"):
        read(tmp_path / "t.npy.gz")
