"""From a file to named arrays. Its first bytes say what it is: endings are names, and may be missing."""

from __future__ import annotations

import gzip
import pickle
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from invariantnets.errors import InvariantNetsError
from invariantnets.features.readers.arrays import read_npy, read_npz, read_safetensors, read_torch
from invariantnets.features.readers.arrow import read_arrow, read_lines, read_parquet
from invariantnets.features.readers.datasets import dataset_files, read_dataset
from invariantnets.features.readers.hdf import read_hdf, read_mat
from invariantnets.features.readers.limits import first_bytes
from invariantnets.features.readers.text import is_text, read_text

# What readers raise on a damaged file.
DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, IndexError, TypeError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, SafetensorError, pickle.UnpicklingError, tokenize.TokenError),
)
FORMATS = (
    ".npz, .npy, .csv or .parquet file, a .tsv, .txt, .feather, .arrow, .jsonl, .safetensors, .pt, .h5 or .mat, a data "
    "set of Hugging Face, or a folder that was saved here"
)
# Tables that may lie beside a file of nothing but matrices, the first that is there.
BESIDE = (".csv", ".parquet", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".feather", ".arrow", ".jsonl", ".jsonl.gz")
PICKLES = (".pkl", ".pickle", ".joblib", ".pkl.gz")
IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"P5\n", b"P6\n", b"II*\x00", b"MM\x00*")
HEAD_BYTES = 4096


@dataclass(frozen=True)
class Raw:
    """What a file holds.

    Attributes:
        arrays: name → array of any shape; text as ``str`` objects, a missing value as NaN, NaT or None.
        remarks: what was found out or left out on the way.
        files: what was read.
    """

    arrays: dict[str, np.ndarray]
    remarks: list[str] = field(default_factory=list)
    files: tuple[Path, ...] = ()


def read(path: str | Path, ids: Collection[str] = ()) -> Raw:
    """Read a file, or a data set of Hugging Face, into arrays. The only place where foreign tables are opened.

    Args:
        path: of any of the formats of docs/tables.md.
        ids: columns that name something, so that text tables keep their cells as they are.

    Raises:
        InvariantNetsError: what it is, where known the row and the column, and the fix.
    """
    path = Path(path)
    if not path.exists():
        raise InvariantNetsError(f"features={path}: no such file or folder")
    if not path.is_file() and not path.is_dir():
        raise InvariantNetsError(f"features={path}: is a device or a pipe, which may never end; give a file")
    try:
        return _read_with_table(path, ids)
    except InvariantNetsError as error:
        raise InvariantNetsError(f"features={path}: {error}") from None
    except DAMAGED as error:
        raise InvariantNetsError(
            f"features={path}: cannot be read ({' '.join(str(error).split())[:300] or type(error).__name__})"
        ) from None


def _read_with_table(path: Path, ids: Collection[str]) -> Raw:
    if path.is_dir():
        files = [file for part in dataset_files(path).values() for file in part]
        if not files:
            raise InvariantNetsError(f"is a folder of no kind that is read; give a {FORMATS}")
        return Raw(*read_dataset(path), tuple(files))
    arrays, remarks = _read_file(path, ids)
    # Only files of nothing but matrices have their columns elsewhere.
    if path.name.lower().endswith(BESIDE) or (len(arrays) > 1 and any(x.ndim == 1 for x in arrays.values())):
        return Raw(arrays, remarks, (path,))
    # What was not named is not looked for elsewhere.
    beside = [p for p in map(path.with_suffix, BESIDE) if p.is_file() and p.resolve().parent == path.resolve().parent]
    if not beside:
        if _is_npy(path):
            table = path.with_suffix(".csv")
            raise InvariantNetsError(f"a .npy needs its labels beside it, in {table} (or .parquet, .tsv, .jsonl, …)")
        return Raw(arrays, remarks, (path,))
    try:
        columns, more = _read_file(beside[0], ids)
    except InvariantNetsError as error:
        raise InvariantNetsError(f"{beside[0].name} beside it: {error}") from None
    rows, needed = len(next(iter(columns.values()))), len(next(iter(arrays.values())))
    if rows != needed:
        raise InvariantNetsError(f"has {needed} rows, but {beside[0].name} beside it has {rows}; a row each is needed")
    if doubled := sorted(set(columns) & set(arrays)):
        raise InvariantNetsError(f"{doubled[0]!r} is in it and in {beside[0].name} beside it; rename one")
    said = [f"the columns are those of {beside[0].name}, which lies beside it"]
    return Raw({**arrays, **columns}, remarks + said + more, (path, beside[0]))


def _is_npy(path: Path) -> bool:
    return first_bytes(path, 6) == b"\x93NUMPY"


def _read_file(path: Path, ids: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    if path.name.lower().endswith(PICKLES):
        raise InvariantNetsError(_pickle_line(path))
    head = first_bytes(path, HEAD_BYTES)
    if reader := _reader(path, head):
        return reader(path)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path) as unpacked:
            head = unpacked.read(HEAD_BYTES)
    if not head:
        raise OSError("the file is empty")
    if not head.startswith(IMAGES) and is_text(head):
        if head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{":
            return read_lines(path)
        if head.lstrip()[:1] == b"[":
            line = f"pandas.read_json('{path.name}').to_json('{path.stem}.jsonl', orient='records', lines=True)"
            raise InvariantNetsError(f"is one list of JSON; write a row a line: {line}")
        if b"\n" in head or len(head) == HEAD_BYTES or b"\n\x00" in head:
            return read_text(path, ids)
    raise InvariantNetsError(f"is no table ({_ending(path)}); give a {FORMATS}")


def _reader(path: Path, head: bytes) -> Callable[[Path], tuple[dict[str, np.ndarray], list[str]]] | None:
    """Who reads what begins so; None for text and for what nobody does."""
    if head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
            return read_torch
        if "[Content_Types].xml" in names:
            raise InvariantNetsError("is a workbook; save its sheet as .csv")
        return read_npz
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return read_arrow
    if head.startswith(b"\x89HDF\r\n\x1a\n") or head[512:520] == b"\x89HDF\r\n\x1a\n":
        return read_hdf
    if head.startswith(b"MATLAB 5.0"):
        return read_mat
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return read_safetensors
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        if b"l\xfc\x9cF\xf9 j\xa8P\x19." in head[:20]:  # how torch began its files before they were zips
            return read_torch
        raise InvariantNetsError(_pickle_line(path))
    by_magic = {b"\x93NUMPY": read_npy, b"PAR1": read_parquet}
    if reader := next((reader for magic, reader in by_magic.items() if head.startswith(magic)), None):
        return reader
    # Of what begins like nothing known, the ending says what it was meant to be: then it is damaged.
    meant = {".npz": read_npz, ".npy": read_npy, ".parquet": read_parquet, ".feather": read_arrow, ".arrow": read_arrow}
    meant |= {".safetensors": read_safetensors, ".pt": read_torch, ".pth": read_torch, ".h5": read_hdf}
    meant |= {".hdf5": read_hdf} | ({".mat": read_mat} if len(head) >= 20 else {})  # of version 4: without a mark
    return meant.get(path.suffix.lower())


def _ending(path: Path) -> str:
    return f"neither its ending {path.suffix} nor what it holds is known" if path.suffix else "it begins like none"


def _pickle_line(path: Path) -> str:
    load = "joblib.load" if path.name.lower().endswith(".joblib") else "pandas.read_pickle"
    modules = "joblib, numpy" if load == "joblib.load" else "numpy, pandas"
    stem = path.name.split(".")[0]
    return (
        "a pickle may run anything and is not opened; if you trust it, convert it: python -c "
        f"\"import {modules}; x = {load}('{path.name}'); "
        f"x.to_parquet('{stem}.parquet') if hasattr(x, 'to_parquet') else numpy.savez('{stem}.npz', **x)\""
    )
