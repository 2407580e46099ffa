"""Text tables, with whatever stands between their columns: found, and said."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from invariantnets.errors import InvariantNetsError
from invariantnets.features.naming import PREFIXES, is_id, numbered
from invariantnets.features.readers.arrow import BLOCK_BYTES, check_doubled, columns_of
from invariantnets.features.readers.limits import check_unpacked, first_bytes

HEAD_BYTES = 1 << 18
SAMPLE_ROWS = 20
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
MISSING = ["", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"]
NUMBER = r"^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI]nf(?:inity)?)$"
PADDED = r"^[+-]?0\d"
WHOLE = r"^[+-]?\d{1,18}$"
TOO_LONG = r"^[+-]?\d{19,}$"  # for an integer of the machine: it names something
# What comes back as it was when it is written as a number again: nothing is lost by reading it as one.
SAME = r"^(?:0|-?[1-9]\d{0,17}|-?(?:0|[1-9]\d{0,14})\.(?:0|\d{0,14}[1-9]))$"
LATIN = "its text is not UTF-8 and was read as latin-1; save it as UTF-8 if names look wrong"
COMMA, POINT = re.compile(r"\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*"), re.compile(r"\s*[+-]?\d+\.\d+(?:[eE][+-]?\d+)?\s*")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written."""

    encoding: str
    delimiter: str
    comma: bool
    names: list[str]
    skipped: int
    quoted: bool


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is text: in utf-16, or without control characters."""
    return _encoding(head).startswith("utf-16") or not re.search(rb"[\x00-\x08\x0e-\x1f]", head)


def _encoding(head: bytes) -> str:
    """Utf-16 by its mark, or as its letters leave every other byte empty; latin-1 where utf-8 is wrong."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    most = len(head) // 2 * 0.9
    little, big = (head[first::2].count(0) > most > 0 and head[1 - first :: 2].count(0) == 0 for first in (1, 0))
    if little or big:
        return "utf-16-le" if little else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last letter may be cut
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def read_text(path: Path, ids: Collection[str] = ()) -> tuple[dict[str, np.ndarray], list[str]]:
    """Columns of a text table.

    A column of nothing but numbers is read as numbers; one of names (``ids``, and what is called like one) only where
    no cell changes by that: '030' is not 30.

    Raises:
        InvariantNetsError: no line of names, a name that stands there twice, a row of another length, a feature that
            is no number, or no row.
    """
    check_unpacked(path)
    with _opened(path) as file:
        head = file.read(HEAD_BYTES)
    dialect, remarks = _dialect(head)
    groups = {prefix: names for prefix, names in numbered(dialect.names).items() if not any(n in ids for n in names)}
    features = {name for names in groups.values() for name in names}
    try:
        table = _parsed(path, dialect, features)
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error) and dialect.encoding == "utf-8":
            dialect = Dialect(**{**vars(dialect), "encoding": "latin-1"})
            remarks = [*remarks, LATIN]
        elif "conversion error" not in str(error):
            _check_rows(path, dialect)
            raise
        table = _parsed(path, dialect, set())
    columns = {}
    for place, name in enumerate(table.column_names):
        if not name or re.fullmatch(r"Unnamed: \d+", name):
            where = f"column {place + 1}" + (f" ({name})" if name else "")
            remarks.append(f"{where} has no name of its own (an index?) and was left out; name it to keep it")
            continue
        column = table.column(place)
        if pa.types.is_string(column.type):
            column = _identified(column) if name in ids or is_id(name) else _typed(column, dialect.comma)
            prefix = next((p for p, names in groups.items() if name in names), None)
            if prefix is not None and prefix.lower() in PREFIXES and pa.types.is_string(column.type):
                _refuse_text(name, column)
        columns[name] = column
    arrays, more = columns_of(pa.table(columns))
    return arrays, remarks + more


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    packed = first_bytes(path, 2) == b"\x1f\x8b"
    opened: IO[bytes] = cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")
    with opened:
        yield opened


def _dialect(head: bytes) -> tuple[Dialect, list[str]]:
    encoding = _encoding(head)
    remarks = [LATIN] if encoding == "latin-1" else [f"it is encoded as {encoding}"] if encoding != "utf-8" else []
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    lines = text.splitlines(keepends=True)[: 4 * SAMPLE_ROWS]
    if len(head) == HEAD_BYTES and len(lines) > 2:
        lines = lines[:-1]  # it may be cut
    skipped = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("sep=")), len(lines))
    lines = lines[skipped:]
    if not lines:
        raise InvariantNetsError("has no row: the file is empty")
    lines[0] = re.sub(r"^#\s*", "", lines[0])  # numpy's savetxt marks its header so
    sample = {mark: _sampled(lines, mark) for mark in DELIMITERS}
    widths = {mark: len(rows[0]) for mark, rows in sample.items()}
    # A list as text has commas or spaces of its own: what divides the line of names divides all lines alike.
    fits = [mark for mark, rows in sample.items() if widths[mark] > 1 and {*map(len, rows)} == {widths[mark]}]
    longer = [m for m, rows in sample.items() if widths[m] > 1 and {*map(len, rows[1:])} == {widths[m] + 1}]
    delimiter = max(fits or longer or sample, key=lambda mark: widths[mark])
    rows = sample[delimiter]
    names = [name.strip() for name in rows[0]]
    if longer and not fits:
        trailing = not any(row[-1].strip() for row in rows[1:])  # a delimiter at the end of each row
        names = [*names, ""] if trailing else ["", *names]
    cells = [cell for row in rows[1:] for cell in row]
    comma = delimiter != "," and any(map(COMMA.fullmatch, cells)) and not any(map(POINT.fullmatch, cells))
    if delimiter != ",":
        remarks.append(f"its columns are parted by {DELIMITERS[delimiter]}" + (", decimals by commas" if comma else ""))
    _check_names(names, rows)
    return Dialect(encoding, delimiter, comma, names, skipped + 1, '"' in text), remarks


def _sampled(lines: list[str], delimiter: str) -> list[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")
    rows = ([cell for cell in row if cell] if delimiter == " " else row for row in reader)
    return [row for row in rows if row][: SAMPLE_ROWS + 1]


def _check_names(names: list[str], rows: list[list[str]]) -> None:
    def is_number(cell: str) -> bool:
        return bool(re.match(NUMBER, cell.replace(",", ".")))

    if all(map(is_number, names)) and names not in ([str(i + k) for i in range(len(names))] for k in (0, 1)):
        raise InvariantNetsError(
            f"its first line holds numbers ({', '.join(names[:3])}, …), not the names of the columns; write one above, "
            "e.g. label,split,0,1,2,…"
        )
    check_doubled(names)


def _parsed(path: Path, dialect: Dialect, features: Collection[str]) -> pa.Table:
    """All columns as text but the features, which are numbers."""
    # Arrow wants a name for each.
    names = [name or f"\0{place}" for place, name in enumerate(dialect.names)]
    with _opened(path) as file:
        if dialect.delimiter == " ":
            table = _spaced(file, dialect, names)
        else:
            types = {name: pa.float64() if name in features else pa.string() for name in names}
            table = pyarrow.csv.read_csv(
                file,
                pyarrow.csv.ReadOptions(
                    block_size=BLOCK_BYTES, column_names=names, skip_rows=dialect.skipped, encoding=dialect.encoding
                ),
                pyarrow.csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=dialect.quoted),
                pyarrow.csv.ConvertOptions(
                    column_types=types, null_values=MISSING, decimal_point="," if dialect.comma else "."
                ),
            )
    if not len(table):
        raise InvariantNetsError("has no row")
    return table.rename_columns(dialect.names)


def _spaced(file: IO[bytes], dialect: Dialect, names: list[str]) -> pa.Table:
    try:
        frame = pd.read_csv(
            file,
            sep=r"\s+",
            header=None,
            skiprows=dialect.skipped,
            encoding=dialect.encoding,
            dtype=str,
            keep_default_na=False,
        )
    except UnicodeDecodeError:
        raise pa.ArrowInvalid("invalid UTF8 data") from None
    except pd.errors.EmptyDataError:
        raise InvariantNetsError("has no row") from None
    except pd.errors.ParserError as error:
        raise InvariantNetsError(f"a row is longer than the others ({' '.join(str(error).split())})") from None
    short = frame.isna().any(axis=1).to_numpy() | (frame.iloc[:, -1] == "").to_numpy()
    if short.any() or len(frame.columns) != len(names):
        raise InvariantNetsError(
            f"row {int(short.argmax()) + 1} has not the {len(names)} columns that the first line names; mend or drop it"
        )
    return pa.table({name: pa.array(frame[place], pa.string()) for place, name in enumerate(names)})


def _check_rows(path: Path, dialect: Dialect) -> None:
    """Name the first row of another length."""
    with _opened(path) as file:
        text = io.TextIOWrapper(file, dialect.encoding, errors="replace", newline="")
        for _ in range(dialect.skipped):
            next(text)
        for place, row in enumerate(filter(None, csv.reader(text, delimiter=dialect.delimiter))):
            if len(row) != len(dialect.names):
                raise InvariantNetsError(
                    f"row {place + 1} has {len(row)} columns, the first line names {len(dialect.names)}; mend or drop "
                    "it (text with a delimiter in it needs quotes)"
                )


def _matches(column: pa.ChunkedArray, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py()


def _some(column: pa.ChunkedArray, pattern: str) -> bool:
    return pc.any(pc.match_substring_regex(column, pattern), min_count=0).as_py()


def _identified(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    exact = _matches(text, SAME) and not (text.null_count and _some(text, r"^-?\d{16,}$"))
    return _number(text) if exact and text.null_count < len(text) else text


def _number(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return text.cast(pa.int64() if not text.null_count and _matches(text, WHOLE) else pa.float64())


def _typed(column: pa.ChunkedArray, comma: bool) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.is_in(text, pa.array(MISSING)), pa.scalar(None, pa.string()), text)
    if text.null_count == len(text):
        return text
    number = pc.replace_substring(text, ",", ".") if comma else text
    if _matches(number, NUMBER) and not _some(number, PADDED) and not _some(number, TOO_LONG):
        return _number(pc.replace_substring_regex(number, r"^\+", ""))
    if not text.null_count and _matches(text, "^(?:[Tt]rue|[Ff]alse|TRUE|FALSE)$"):
        return pc.equal(pc.utf8_lower(text), "true")
    return text


def _refuse_text(name: str, column: pa.ChunkedArray) -> None:
    texts = column.to_pylist()
    row = next((i for i, text in enumerate(texts) if text and not re.match(NUMBER, text)), 0)
    raise InvariantNetsError(
        f"column {name!r}, row {row + 1}: {texts[row]!r} is no number, and of features numbers (N, D) are needed; "
        "mend the cell, drop the row or rename the column"
    )
