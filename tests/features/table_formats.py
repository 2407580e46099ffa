"""One table, written in every format by the library that people write it with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import scipy.io
import torch

ROWS, WIDTH = 200, 8
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, WIDTH))
CODES = [f"{i:03d}" for i in RNG.integers(25, 35, ROWS)]  # '030' is not 30
MISSING = np.arange(ROWS) % 50 == 7
COLUMNS: dict[str, Any] = {
    "label": np.array(CODES, object),
    "split": np.array(["train", "val", "test", "train"] * (ROWS // 4), object),
    "yaw": np.where(MISSING, np.nan, RNG.uniform(-90, 90, ROWS)),
    "race": np.array([["a", "b", "ç d"][i] for i in RNG.integers(0, 3, ROWS)], object),
    "age": RNG.integers(18, 80, ROWS),
}
TEXT = ("label", "split", "race")
Beside = Callable[[Path], object]


def frame(features: str = "numbered") -> pd.DataFrame:
    columns = pd.DataFrame(COLUMNS)
    if features == "lists":
        return columns.assign(embedding=list(X))
    return pd.concat([pd.DataFrame(X, columns=[f"f{i}" for i in range(WIDTH)]), columns], axis=1)


def numbers() -> dict[str, np.ndarray]:
    return {"embedding": X, "yaw": COLUMNS["yaw"], "age": COLUMNS["age"]}


def beside(path: Path, **kwargs: Any) -> None:
    """The columns, for a file that holds nothing but features."""
    pd.DataFrame(COLUMNS).to_csv(path.with_suffix(".csv"), index=False)


def write_npz(path: Path) -> None:
    np.savez_compressed(path, embedding=X, **{k: v.astype(str) if k in TEXT else v for k, v in COLUMNS.items()})


def write_bytes(path: Path) -> None:
    texts = {k: np.char.encode(v.astype(str), "utf-8") if k in TEXT else v for k, v in COLUMNS.items()}
    np.savez(path, embedding=X, **texts)


def write_npy(path: Path) -> None:
    np.save(path, X)
    beside(path)


def write_safetensors(path: Path) -> None:
    safetensors.numpy.save_file({"embedding": X}, path)
    beside(path)


def write_torch(path: Path, zipped: bool = True) -> None:
    columns = {k: list(v) if k in TEXT else torch.from_numpy(np.array(v)) for k, v in COLUMNS.items()}
    torch.save({"embedding": torch.from_numpy(X), **columns}, path, _use_new_zipfile_serialization=zipped)


def write_records(path: Path) -> None:
    rows = [{"embedding": torch.from_numpy(x), **{k: plain(v[i]) for k, v in COLUMNS.items()}} for i, x in enumerate(X)]
    torch.save(rows, path)


def plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def write_h5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("embedding", data=X, chunks=True, compression="gzip")
        for name, values in COLUMNS.items():
            file[name] = values.astype(h5py.string_dtype()) if name in TEXT else values


def write_mat(path: Path) -> None:
    scipy.io.savemat(path, {"embedding": X, **COLUMNS}, do_compression=True)


def write_mat_struct(path: Path) -> None:
    scipy.io.savemat(path, {"embedding": X, **{k: v.astype(str) if k in TEXT else v for k, v in COLUMNS.items()}})


def write_matlab_7_3(path: Path) -> None:
    """As MATLAB lays it out: arrays transposed, cells of text as references to arrays of characters."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in {"embedding": X, **COLUMNS}.items():
            if name not in TEXT:
                file[name] = np.atleast_2d(values.T if values.ndim == 2 else values)
                continue
            cells = np.empty((1, ROWS), h5py.ref_dtype)
            for i, text in enumerate(values):
                file[f"#refs#/{name}{i}"] = np.array([[ord(c)] for c in text], np.uint16)
                cells[0, i] = file[f"#refs#/{name}{i}"].ref
            file.create_dataset(name, data=cells, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def with_classes(table: pd.DataFrame, people: list[str]) -> pa.Table:
    features = {"label": {"names": people, "_type": "ClassLabel"}, "yaw": {"dtype": "float64", "_type": "Value"}}
    written = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(written)


def write_shards(path: Path) -> None:
    """As data sets are shared: parquet files that are called by their split and number."""
    table = frame("lists").drop(columns="split")
    people = sorted(set(CODES))
    table["label"] = [people.index(code) for code in CODES]
    (path / "data").mkdir(parents=True)
    for split in ("train", "val", "test"):
        part = table[COLUMNS["split"] == split]
        for place, rows in enumerate((part[:20], part[20:])):
            pq.write_table(with_classes(rows, people), path / "data" / f"{split}-0000{place}-of-00002.parquet")


def write_dataset(path: Path) -> None:
    """As ``save_to_disk`` lays a DatasetDict out: a folder a split, an Arrow stream and what its columns are."""
    table = frame("lists").drop(columns="split")
    people = sorted(set(CODES))
    table["label"] = [people.index(code) for code in CODES]
    path.mkdir()
    (path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "val", "test"]}))
    for split in ("train", "val", "test"):
        part = with_classes(table[COLUMNS["split"] == split], people)
        folder = path / split
        folder.mkdir()
        with (
            pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, part.schema) as w,
        ):
            w.write_table(part)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
        (folder / "state.json").write_text(json.dumps(state))


def write_jsonl_gz(path: Path) -> None:
    frame("lists").to_json(path, orient="records", lines=True, double_precision=15, compression="gzip")


def to_csv(**options: Any) -> Beside:
    return lambda path: frame().to_csv(path, index=False, **options)


def lists_as(write: Callable[[np.ndarray], str]) -> Beside:
    return lambda path: frame("lists").assign(embedding=[write(x) for x in X]).to_csv(path, index=False)


def dictionary(path: Path) -> None:
    frame().astype({"race": "category", "label": "category"}).to_parquet(path)


FORMATS: dict[str, tuple[str, Beside]] = {
    "npz": ("t.npz", write_npz),
    "npz, text as bytes": ("t.npz", write_bytes),
    "npy and csv": ("t.npy", write_npy),
    "csv": ("t.csv", to_csv()),
    "csv.gz": ("t.csv.gz", to_csv()),
    "tsv": ("t.tsv", to_csv(sep="\t")),
    "txt with bars": ("t.txt", to_csv(sep="|")),
    "csv, semicolons and decimal commas": ("t.csv", to_csv(sep=";", decimal=",")),
    "tsv with decimal commas": ("t.tsv", to_csv(sep="\t", decimal=",")),
    "csv with a byte order mark": ("t.csv", to_csv(encoding="utf-8-sig")),
    "csv in utf-16": ("t.csv", to_csv(encoding="utf-16")),
    "csv in utf-16 without a mark": ("t.csv", to_csv(encoding="utf-16-be")),
    "csv in latin-1": ("t.csv", to_csv(encoding="latin-1")),
    "csv, all quoted": ("t.csv", to_csv(quoting=1)),
    "csv with crlf": ("t.csv", to_csv(lineterminator="\r\n")),
    "csv with an index": ("t.csv", lambda path: frame().to_csv(path)),
    "csv with an index read and written": ("t.csv", lambda path: frame().reset_index(names="Unnamed: 0").to_csv(path)),
    "spaces, row names as of R": ("t.txt", lambda path: frame().to_csv(path, sep=" ", index_label=False, na_rep="NA")),
    "csv of lists": ("t.csv", lists_as(lambda x: str(x.tolist()))),
    "csv of lists of numpy": ("t.csv", lists_as(lambda x: np.array2string(x, floatmode="unique"))),
    "csv of bare lists": ("t.csv", lists_as(lambda x: " ".join(map(repr, x.tolist())))),
    "csv of lists with semicolons": ("t.csv", lists_as(lambda x: ";".join(map(repr, x.tolist())))),
    "csv, ending unknown": ("subject01.glasses", to_csv()),
    "parquet": ("t.parquet", lambda path: frame().to_parquet(path)),
    "parquet of lists": ("t.parquet", lambda path: frame("lists").to_parquet(path)),
    "parquet with an index": (
        "t.parquet",
        lambda path: frame().sample(frac=1, random_state=0).sort_index().to_parquet(path),
    ),
    "parquet with categories": ("t.parquet", dictionary),
    "parquet without an ending": ("subject01", lambda path: frame("lists").to_parquet(path)),
    "feather": ("t.feather", lambda path: frame("lists").to_feather(path)),
    "jsonl": (
        "t.jsonl",
        lambda path: frame("lists").to_json(path, orient="records", lines=True, double_precision=15),
    ),
    "jsonl.gz": ("t.jsonl.gz", write_jsonl_gz),
    "data set of Hugging Face": ("t", write_dataset),
    "data set of Hugging Face, as shared": ("t", write_shards),
    "safetensors and csv": ("t.safetensors", write_safetensors),
    "pt": ("t.pt", write_torch),
    "pth as before torch 1.6": ("t.pth", lambda path: write_torch(path, zipped=False)),
    "pt, a dictionary a row": ("t.pt", write_records),
    "h5": ("t.h5", write_h5),
    "hdf5": ("t.hdf5", write_h5),
    "mat with cells": ("t.mat", write_mat),
    "mat with characters": ("t.mat", write_mat_struct),
    "mat of version 7.3": ("t.mat", write_matlab_7_3),
}
# How exactly the writer keeps a float64: jsonl with 15 digits.
DIGITS = {"jsonl": 1e-14, "jsonl.gz": 1e-14}
