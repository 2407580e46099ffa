"""Tables of columns: parquet, feather and Arrow files, lines of JSON, data frames."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet as pq

from invariantnets.errors import InvariantNetsError
from invariantnets.features.readers.limits import check_size, check_unpacked, first_bytes

Columns = tuple[dict[str, np.ndarray], list[str]]
BLOCK_BYTES = 1 << 24
BLOCK_ROWS = 4096
DEEPEST = 100  # lists in lists of JSON
NUMBER = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|nan|inf)"
SEPARATOR = r"(?:\s*[,;]\s*|\s+)"
LIST = re.compile(rf"\s*[\[(]\s*{NUMBER}(?:{SEPARATOR}{NUMBER})*{SEPARATOR}?\s*[\])]\s*")
BARE = re.compile(rf"\s*{NUMBER}(?:{SEPARATOR}{NUMBER}){{3,}}\s*")
SHORTENED = re.compile(rf"\s*[\[(].*{NUMBER}\s*,?\s*\.\.\.\s*,?\s*{NUMBER}.*[\])]\s*", re.DOTALL)


def read_parquet(path: Path) -> Columns:
    """Columns of a parquet file."""
    check_parquet(path)
    with pq.ParquetFile(path) as file:
        check_doubled(file.schema_arrow.names)
        return columns_of(file.read())


def check_parquet(path: Path) -> None:
    """Refuse a parquet file that unpacks to more than it can honestly hold.

    Raises:
        InvariantNetsError: as of `check_size`.
    """
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        values = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
        check_size(f"its {values:,} values", values * 8, path.stat().st_size)


def read_arrow(path: Path) -> Columns:
    """Columns of a feather or Arrow file, or of an Arrow stream."""
    stream = first_bytes(path, 4) == b"\xff\xff\xff\xff"
    return columns_of(read_stream(path) if stream else pyarrow.feather.read_table(path, memory_map=True))


def read_stream(path: Path) -> pa.Table:
    """The table of an Arrow stream, memory-mapped."""
    with pa.memory_map(str(path)) as source:
        return pyarrow.ipc.open_stream(source).read_all()


def read_lines(path: Path) -> Columns:
    """Columns of lines of JSON, each an object with a value a column."""
    check_unpacked(path)
    options = pyarrow.json.ReadOptions(block_size=BLOCK_BYTES)
    compressed = first_bytes(path, 2) == b"\x1f\x8b"
    _check_depth(path, compressed)
    with pa.input_stream(str(path), compression="gzip" if compressed else None) as file:
        try:
            table = pyarrow.json.read_json(file, read_options=options)
        except pa.ArrowInvalid:
            _check_lines(path, compressed)
            raise
    return columns_of(table)


def _check_depth(path: Path, compressed: bool) -> None:
    """Refuse lists in lists without an end: Arrow reads them one within the other until the program dies."""
    with gzip.open(path) if compressed else path.open("rb") as file:
        for place, line in enumerate(file, 1):
            if line.count(b"[") + line.count(b"{") > DEEPEST:
                letters = np.frombuffer(line, np.uint8)
                opened, closed = (np.isin(letters, list(marks)) for marks in (b"[{", b"]}"))
                if (opened.astype(np.int8) - closed).cumsum(dtype=np.int64).max() > DEEPEST:
                    raise InvariantNetsError(f"line {place} has lists in lists, over {DEEPEST} deep; it is no table")


def _check_lines(path: Path, compressed: bool) -> None:
    """Name the first line that is no JSON, has a column twice, or another type of value than above."""
    types: dict[str, type] = {}
    with gzip.open(path) if compressed else path.open("rb") as file:
        for place, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                pairs = json.loads(line, object_pairs_hook=list)
            except ValueError as error:
                raise InvariantNetsError(f"line {place} is no JSON ({error}); mend or drop it") from None
            check_doubled([str(name) for name, _ in pairs])
            for name, value in pairs:
                kind = float if type(value) is int else type(value)
                if value is not None and types.setdefault(name, kind) is not kind:
                    raise InvariantNetsError(
                        f"column {name!r}, line {place}: {_shown(value)} is of another type than above; mend the cell"
                    )


def columns_of_frame(frame: pd.DataFrame) -> Columns:
    """Columns of a data frame; its index is none of them.

    Raises:
        InvariantNetsError: two columns of one name, or values of several types in a column.
    """
    named = frame.set_axis([str(name) for name in frame.columns], axis=1)
    check_doubled(list(named.columns))
    remarks = []
    if not isinstance(frame.index, pd.RangeIndex) and not pd.api.types.is_integer_dtype(frame.index):
        remarks = ["the index of the data frame was left out; frame.reset_index() makes it a column"]
    try:
        arrays, more = columns_of(pa.Table.from_pandas(named, preserve_index=False))
    except pa.ArrowException as error:
        raise InvariantNetsError(f"a column mixes types ({' '.join(str(error).split())})") from None
    return arrays, remarks + more


def check_doubled(names: Sequence[str]) -> None:
    """Refuse two columns of one name: which of them is meant, nobody can say.

    Raises:
        InvariantNetsError: naming the first such.
    """
    for place, name in enumerate(names):
        if name and name in names[:place]:
            raise InvariantNetsError(
                f"column {name!r} stands there twice (columns {names.index(name) + 1} and {place + 1}); rename one"
            )


def columns_of(table: pa.Table) -> Columns:
    """Arrays of the columns of a table, lists of numbers as matrices; what was left out is said.

    Raises:
        InvariantNetsError: two columns of one name, lists of several lengths, or no row.
    """
    check_doubled(table.column_names)
    if not len(table):
        raise InvariantNetsError("has no row")
    arrays, remarks, classes = {}, [], _class_names(table)
    for name in table.column_names:
        if re.fullmatch(r"__index_level_\d+__", name):
            remarks.append(f"the index of the data frame ({name}) was left out; frame.reset_index() makes it a column")
            continue
        column = table[name]
        while isinstance(column.type, pa.BaseExtensionType):
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if name in classes:
            known = pc.if_else(pc.less(column, 0), pa.scalar(None, column.type), column)  # -1: unknown
            column = pc.take(pa.chunked_array([classes[name]]), known)
        values = _array(name, column)
        if values is None:
            remarks.append(f"column {name!r} was left out: it holds {column.type}, no numbers or text")
        else:
            arrays[name] = values
    return arrays, remarks


def _class_names(table: pa.Table) -> dict[str, list[str]]:
    """What the library datasets says that the numbers of a column stand for."""
    written = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    for key in ("info", "features"):
        written = written.get(key) if isinstance(written, dict) else None
    found = written.items() if isinstance(written, dict) else ()
    return {name: f["names"] for name, f in found if isinstance(f, dict) and f.get("_type") == "ClassLabel"}


def _array(name: str, column: pa.ChunkedArray) -> np.ndarray | None:
    kind, missing = column.type, column.null_count
    if _is_list(kind):
        inner = kind.value_type
        while _is_list(inner):
            inner = inner.value_type
        plain = pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_boolean(inner)
        return _matrix(name, column) if plain or pa.types.is_null(inner) else None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        lists = lists_of(name, column)
        return column.to_numpy() if lists is None else lists
    if pa.types.is_temporal(kind):
        dated = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        return column.cast(pa.timestamp("us"), safe=False).to_numpy() if dated else None
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64()).to_numpy()
    if pa.types.is_integer(kind) and missing and pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() >= 2**53:
        return np.array(column.to_pylist(), object)  # as float64, such integers would run into each other
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column.to_numpy()
    return None


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _matrix(name: str, column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count == len(column):
        return np.full(len(column), None, object)
    lengths = pc.list_value_length(column).to_numpy()
    width = lengths[~np.isnan(lengths)][0]
    if not (lengths == width).all():
        row = int(np.flatnonzero(~(lengths == width))[0])
        found = "no list" if np.isnan(lengths[row]) else f"a list of {lengths[row]:g}"
        raise InvariantNetsError(
            f"column {name!r}: row {row + 1} has {found}, the first one has {width:g} numbers; mend or drop the row"
        )
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks])
    values = _matrix(name, flat) if _is_list(flat.type) else flat.to_numpy()
    return values.reshape(len(column), int(width), *values.shape[1:])


def lists_of(name: str, column: pa.ChunkedArray) -> np.ndarray | None:
    """The matrix of lists that are written as text, ``[0.1, 0.2]`` or ``0.1 0.2``; None where they are none.

    Raises:
        InvariantNetsError: numpy left numbers out when it wrote them, or the lists have several lengths.
    """
    first = next((text for text in column[:BLOCK_ROWS].to_pylist() if text and text.strip()), "")
    if SHORTENED.fullmatch(first):
        raise InvariantNetsError(
            f"column {name!r}: its lists were shortened with '...' when they were written, so the numbers are not in "
            "the file; save the table as .parquet, or the matrix as .npz"
        )
    if not (listed := LIST.fullmatch(first)) and not BARE.fullmatch(first):
        return None
    parts: list[np.ndarray] = []
    for start in range(0, len(column), BLOCK_ROWS):
        texts = pc.replace_substring_regex(column.slice(start, BLOCK_ROWS), r"^\s*[\[(]\s*|\s*[,;]?\s*[\])]\s*$", "")
        cells = pc.split_pattern_regex(pc.utf8_trim_whitespace(texts), SEPARATOR)
        lengths = np.nan_to_num(pc.list_value_length(cells).to_numpy())
        try:
            numbers = pc.list_flatten(cells).cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            numbers = None
        width = len(parts[0][0]) if parts else int(lengths[0])
        if numbers is None or (lengths != width).any():
            if not listed:
                return None
            row = start + _odd_one(cells.to_pylist(), width)
            raise InvariantNetsError(
                f"column {name!r}, row {row + 1}: {_shown(column[row].as_py())} is no list of {width} numbers as in "
                "row 1; mend or drop the row"
            )
        parts.append(numbers.reshape(len(lengths), width))
    return np.concatenate(parts)


def _odd_one(rows: list[list[str] | None], width: int) -> int:
    for place, row in enumerate(rows):
        if row is None or len(row) != width or not all(re.fullmatch(NUMBER, cell) for cell in row):
            return place
    return 0


def _shown(value: object) -> str:
    text = "an empty cell" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:36]}…{text[-1]}"
