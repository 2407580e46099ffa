"""Data sets of Hugging Face: folders of ``save_to_disk``, or of parquet files as they are shared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from invariantnets.errors import InvariantNetsError
from invariantnets.features.readers.arrow import Columns, check_parquet, columns_of, read_stream

SHARD = re.compile(r"(.*)-\d+-of-\d+\.parquet")  # train-00000-of-00002.parquet


def dataset_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each split of a data set; of one that is not split, those of ``""``; of another folder, none.

    Raises:
        InvariantNetsError: an index, beside the files, chooses some of their rows.
    """
    listed = folder / "dataset_dict.json"
    files: dict[str, list[Path]] = {}
    if not listed.is_file() and not (folder / "state.json").is_file():
        for path in sorted(folder.rglob("*.parquet")):
            if found := SHARD.fullmatch(path.name):
                files.setdefault(found[1], []).append(path)
        return files
    for split in json.loads(listed.read_text())["splits"] if listed.is_file() else [""]:
        state = json.loads(_below(folder, split, "state.json").read_text())
        if state.get("_indices_files"):
            raise InvariantNetsError("its rows are chosen by an index; save it with .flatten_indices() before")
        files[split] = [_below(folder, split, file["filename"]) for file in state["_data_files"]]
    return files


def _below(folder: Path, split: str, name: str) -> Path:
    """A file that a data set names, which lies in its own folder."""
    if ".." in Path(split, name).parts or Path(split).is_absolute() or Path(name).is_absolute():
        raise InvariantNetsError(f"names {str(Path(split, name))!r}, which is outside of it; nothing there is read")
    return folder / split / name


def read_dataset(folder: Path) -> Columns:
    """Columns of a data set; one that is split has a column ``split``."""
    tables = []
    for split, files in dataset_files(folder).items():
        table = pa.concat_tables([_read(file) for file in files])
        if split and "split" not in table.column_names:
            table = table.append_column("split", pa.array([split] * len(table), pa.string()))
        tables.append(table)
    return columns_of(pa.concat_tables(tables))


def _read(path: Path) -> pa.Table:
    if path.suffix != ".parquet":
        return read_stream(path)
    check_parquet(path)
    return pq.read_table(path, partitioning=None)
