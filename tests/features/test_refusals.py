"""Files that are no tables, or damaged, or traps: one line each, that names the place and a fix that works."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
import torch

from invariantnets.errors import InvariantNetsError
from invariantnets.features.io import load_table
from invariantnets.features.mapping import map_columns
from invariantnets.features.reading import read

X = np.random.default_rng(0).normal(size=(6, 3))
WHO = ["ann", "bob", "cy"] * 2


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def raw(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def header(shape: tuple[int, ...]) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return written.getvalue()


def zipped(**members: bytes) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name.replace("_npy", ".npy"), content)

    return write


def doubled(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("x.npy", header((0,)))
        archive.writestr("x.npy", header((0,)))


def numpy_and(other: str, content: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        np.save(path, X)
        path.with_suffix(other).write_text(content)

    return write


def zip_bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, True, 1) as archive,
        archive.open("features.npy", "w") as file,
    ):
        file.write(header((300, 1 << 17)))
        for _ in range(300):
            file.write(bytes(1 << 20))


def gz_bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(b"label,f0\n") + gzip.compress(b"0,0\n" * (1 << 20), 1) * 90)


def parquet_bomb(path: Path) -> None:
    column = pa.array(np.zeros(1 << 20))
    pq.write_table(pa.table({"f0": pa.chunked_array([column] * 40)}), path)


def h5_bomb(path: Path) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        file.create_dataset("features", shape=(10**8, 10**6), chunks=(100, 100), dtype="f4")


def pandas_h5(path: Path) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        file.create_group("faces").attrs["pandas_type"] = "frame"


def lists(cells: list[str]) -> Callable[[Path], object]:
    return lambda path: pd.DataFrame({"label": WHO[: len(cells)], "embedding": cells}).to_csv(path, index=False)


ZEROS = b"\x00" * 48
REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a picture whose ending is none": (
        "subject01.glasses",
        raw(b"GIF89a" + ZEROS),
        "is no table (neither its ending .glasses nor what it holds is known); give a .npz, .npy, .csv or .parquet",
    ),
    "a picture without an ending": ("subject01", raw(b"\x89PNG\r\n" + ZEROS), "is no table (it begins like none)"),
    "a workbook": ("t.xlsx", zipped(**{"[Content_Types].xml": b""}), "is a workbook; save its sheet as .csv"),
    "a list of JSON": ("t.json", text('[{"f0": 1}]'), "is one list of JSON; write a row a line: pandas.read_json("),
    "a folder of nothing": ("t", Path.mkdir, "is a folder of no kind that is read; give a .npz"),
    "an empty file": ("t.csv", raw(b""), "cannot be read (the file is empty)"),
    "blank lines": ("t.csv", text("\n\n"), "has no row: the file is empty"),
    "no row": ("t.csv", text("label,f0\n"), "has no row"),
    "no row, by spaces": ("t.txt", text("label f0\n"), "has no row"),
    "no line of names": (
        "t.csv",
        text("0.1,0.2\n0.3,0.4\n"),
        "its first line holds numbers (0.1, 0.2, …), not the names",
    ),
    "a name twice": (
        "t.csv",
        text("yaw,f0,yaw\n1,2,3\n"),
        "column 'yaw' stands there twice (columns 1 and 3); rename one",
    ),
    "a row too long": (
        "t.csv",
        text("label,f0\na,1\nb,2\nb,1,2\n"),
        "row 3 has 3 columns, the first line names 2; mend",
    ),
    "a row too short": (
        "t.csv",
        text("label,f0\na,1\nb\n"),
        "row 2 has 1 columns, the first line names 2; mend or drop",
    ),
    "a row too short, by spaces": ("t.txt", text("a b c\n1 2 3\n1 2\n"), "row 2 has not the 3 columns that the first"),
    "a row too long, by spaces": ("t.txt", text("a b c\n1 2 3\n1 2 3 4\n"), "a row is longer than the others"),
    "a word among the features": (
        "t.csv",
        text("label,f0,f1\na,1,2\nb,1,2x\n"),
        "column 'f1', row 2: '2x' is no number, and of features numbers (N, D) are needed; mend the cell",
    ),
    "lists cut short by numpy": ("t.csv", lists(["[0.1 0.2 ... 0.9]"]), "its lists were shortened with '...'"),
    "lists of several lengths": ("t.csv", lists(["[1, 2]", "[1, 2, 3]"]), "row 2: '[1, 2, 3]' is no list of 2 numbers"),
    "a word in a list": ("t.csv", lists(["[1, 2]", "[1, x]"]), "row 2: '[1, x]' is no list of 2 numbers as in row 1"),
    "no list in a row": (
        "t.csv",
        lists(["[1, 2]", ""]),
        "row 2: an empty cell is no list of 2 numbers as in row 1; mend or drop",
    ),
    "a line cut off": (
        "t.jsonl",
        text('{"f0": 1}\n{"f0": 1, "la'),
        "line 2 is no JSON (Unterminated string starting at",
    ),
    "a type that changes": ("t.jsonl", text('{"f0": 1}\n{"f0": "x"}\n'), "column 'f0', line 2: 'x' is of another type"),
    "a name twice in a line": (
        "t.jsonl",
        text('{"f0": 1, "f0": 2}\n'),
        "column 'f0' stands there twice (columns 1 and 2)",
    ),
    "a .npy alone": ("t.npy", lambda path: np.save(path, X), "a .npy needs its labels beside it, in "),
    "a .npy of other rows": (
        "t.npy",
        numpy_and(".csv", "label\na\nb\n"),
        "has 6 rows, but t.csv beside it has 2; a row each is needed",
    ),
    "a fault in what lies beside": (
        "t.npy",
        numpy_and(".tsv", "a\ta\n1\t2\n"),
        "t.tsv beside it: column 'a' stands there",
    ),
    "a header that promises 186 TiB": (
        "t.npz",
        zipped(features_npy=header((10**8, 255_808)) + ZEROS),
        "cannot be read (array 'features' of shape (100000000, 255808) needs 205 TB, the file has 176 B)",
    ),
    "the same in a .npy": ("t.npy", raw(header((10**8, 255_808)) + ZEROS), "needs 205 TB, the file has 176 B)"),
    "an array twice": ("t.npz", doubled, "holds 'x.npy' twice; keep one"),
    "no array in the zip": ("t.zip", zipped(readme=b"hello"), "holds 'readme', which is no array of numpy"),
    "objects": (
        "t.npz",
        lambda path: np.savez(path, x=np.array([{}], object), allow_pickle=True),
        "array 'x' holds Python objects; save text as np.array(x, str) and numbers as np.array(x, float)",
    ),
    "a zip bomb": ("t.npz", zip_bomb, " MB to 315 MB, over 100 times as much; if that is right, save it uncompressed"),
    "a gz bomb": ("t.csv.gz", gz_bomb, "unpack to over 273 MB; if that is right, unpack it with gunzip"),
    "a parquet bomb": ("t.parquet", parquet_bomb, "its 41,943,040 values would unpack from "),
    "an HDF5 bomb": ("t.h5", h5_bomb, "data set 'features' of shape (100000000, 1000000) would take 400 TB of memory"),
    "a MATLAB bomb": (
        "t.mat",
        lambda path: scipy.io.savemat(path, {"x": np.zeros((300, 1 << 20), np.int8)}, do_compression=True),
        "variable 'x' of shape (300, 1048576) would unpack from 306 kB to 315 MB, over 100 times",
    ),
    "a tensor that is one number": (
        "t.pt",
        lambda path: torch.save({"x": torch.zeros(1, 1).expand(10**8, 10**6)}, path),
        "a tensor of shape (100000000, 1000000) would take 400 TB of memory",
    ),
    "the weights of a network": (
        "t.pt",
        lambda path: torch.save(torch.nn.Linear(2, 2).state_dict(), path),
        "it holds the weights of a network, no table; see backbone=",
    ),
    "tensors without names": (
        "t.pt",
        lambda path: torch.save((torch.zeros(2, 2), [1]), path),
        "it holds a tuple without names; save a dictionary: torch.save({'features': x, 'label': y}, …)",
    ),
    "a table of pandas in HDF5": ("t.h5", pandas_h5, "pandas.read_hdf('t.h5', 'faces').to_parquet('t.parquet')"),
    "a damaged .mat": ("t.mat", raw(b"MATLAB 5.0 MAT-file" + ZEROS * 9), "cannot be read ("),
    "a damaged .h5": ("t.h5", raw(b"\x89HDF\r\n\x1a\n" + ZEROS), "cannot be read ("),
    "a damaged .safetensors": ("t.safetensors", raw(b"garbage"), "cannot be read ("),
    "a damaged .pt": ("t.pt", raw(b"garbage, not a zip"), "cannot be read ("),
    "a damaged .feather": ("t.feather", raw(b"ARROW1\x00\x00" + ZEROS), "cannot be read ("),
    "a damaged .csv.gz": ("t.csv.gz", raw(gzip.compress(b"label,f0\na,1\n" * 99)[:40]), "cannot be read ("),
}


SLOW = ("a MATLAB bomb", "arrays.pt")  # 300 MB to write; torch in a process of its own


def rows(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in names]


@pytest.mark.parametrize("name", rows(REFUSED))
def test_one_line_says_why(tmp_path: Path, name: str) -> None:
    file, write, line = REFUSED[name]
    path = tmp_path / file
    write(path)
    tracemalloc.start()
    with pytest.raises(InvariantNetsError) as caught:
        read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"features={path}: ") and line in message and "\n" not in message
    assert most < 4e8  # of numpy and Python: at most the start of what there is is unpacked to find out


PICKLES: dict[str, Callable[[Path], object]] = {
    "frame.pkl": lambda path: pd.DataFrame({"label": WHO, **{f"f{i}": X[:, i] for i in range(3)}}).to_pickle(path),
    "arrays.pickle": lambda path: path.write_bytes(pickle.dumps({"embedding": X, "label": np.array(WHO)})),
    "arrays.joblib": lambda path: joblib.dump({"embedding": X, "label": np.array(WHO)}, path),
    "unnamed": lambda path: path.write_bytes(pickle.dumps({"embedding": X, "label": np.array(WHO)})),
    "arrays.pt": lambda path: torch.save({"embedding": X, "label": np.array(WHO)}, path),
}


@pytest.mark.parametrize("file", rows(PICKLES))
def test_a_pickle_is_refused_with_the_line_that_converts_it(tmp_path: Path, file: str) -> None:
    PICKLES[file](tmp_path / file)
    with pytest.raises(InvariantNetsError, match="not opened; if you trust it") as caught:
        read(tmp_path / file)
    code = str(caught.value).partition('python -c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    (made,) = {*tmp_path.glob("*.npz"), *tmp_path.glob("*.parquet")}
    found = map_columns(read(made))
    ((_, x),) = found.features.items()
    assert np.array_equal(x, X) and found.columns["label"].tolist() == WHO


def test_a_data_set_of_hugging_face_with_chosen_rows(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [], "_indices_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(InvariantNetsError, match=r"chosen by an index; save it with .flatten_indices\(\) before"):
        read(tmp_path)


@pytest.mark.parametrize("key", ["label", "split", "source", "name", "nuisances", "ignore"])
def test_our_own_folders_have_their_columns(tmp_path: Path, key: str) -> None:
    (tmp_path / "table.json").touch()
    mapping: dict[str, Any] = {key: "x"}
    with pytest.raises(
        InvariantNetsError, match=f"{key}= is for tables from elsewhere; this one was saved with its own"
    ):
        load_table(tmp_path, **mapping)
