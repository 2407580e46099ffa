"""Tables of features on disk: our own folder, or a file that came from anywhere."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save

from invariantnets.division import Division
from invariantnets.errors import InvariantNetsError
from invariantnets.features.mapping import Mapped, map_columns
from invariantnets.features.readers import columns_of_frame
from invariantnets.features.reading import DAMAGED, Raw, read
from invariantnets.features.table import FeatureTable
from invariantnets.files import write_atomically
from invariantnets.nuisance import Kind, Nuisance

PARTS = ("features.safetensors", "rows.parquet", "table.json")
MORE_CLASSES = 100_000  # than rows: of people who are not among them
OPTIONAL = ("prediction", "entropy", "name")


def save_table(table: FeatureTable, folder: Path) -> Path:
    """Write ``features.safetensors``, ``rows.parquet`` and, last, ``table.json`` into ``folder``.

    Raises:
        InvariantNetsError: the folder cannot be written to, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.json").unlink(missing_ok=True)  # it vouches for the files beside it
    features = {name: np.ascontiguousarray(x) for name, x in table.features.items()}
    write_atomically(folder / "features.safetensors", save(features))
    columns = {"label": table.label, "split": table.split, "source": table.source, **table.nuisance}
    optional = {name: getattr(table, name) for name in OPTIONAL}
    columns |= {name: values for name, values in optional.items() if values is not None}
    write_atomically(folder / "rows.parquet", pd.DataFrame(columns).to_parquet())
    header = {
        "num_classes": table.num_classes,
        "classes": table.classes,
        "nuisances": [asdict(n) for n in table.nuisances],
        "meta": dict(table.meta),
    }
    header["checksum"] = _seal(header, folder)
    return write_atomically(folder / "table.json", json.dumps(header, indent=1))


def _seal(header: Mapping[str, Any], folder: Path) -> str:
    """SHA-256 of a saved table: the other two files, and what else the header says."""
    said = json.dumps(json.loads(json.dumps(header)), sort_keys=True)  # as it is read
    return hashlib.sha256((_checksum(folder / part for part in PARTS[:2]) + said).encode()).hexdigest()


def load_table(
    path: str | Path,
    *,
    label: str | None = None,
    split: str | None = None,
    source: str | None = None,
    name: str | None = None,
    layers: str | Sequence[str] | None = None,
    nuisances: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    units: Mapping[str, str] | None = None,
    division: Division | None = None,
    seed: int = 0,
) -> FeatureTable:
    """Read a table of features: a folder of :func:`save_table` (memory-mapped), or any file of docs/tables.md.

    ``split`` says train, val or test. ``source`` numbers what rows have in common (one person, one
    photograph): intervals resample it; without it every row stands alone. ``name`` names each image,
    for the lists of the protocols; ``prediction`` and ``entropy`` (nats) are those of a classifier.
    Nuisances of numbers are continuous, those of text or booleans categorical.

    Args:
        path: of the file or folder.
        label: the column of the class; None: one that is called so, or nearly so.
        split: the column of the split.
        source: that of what rows have in common.
        name: that of the images' names.
        layers: the matrices that are features, or ``all``; None: the only one, or the only one that is called so.
        nuisances: what is probed; None: every other column.
        ignore: columns or matrices that are not looked at.
        kinds: of nuisances, as of `FeatureTable.from_arrays`.
        units: of nuisances.
        division: of a split that is drawn; None: by ``identity`` where the class is called as people are (``person``,
            ``identity``, ``subject``), else by ``image``.
        seed: of the draw.

    Raises:
        InvariantNetsError: naming the file, the column and the fix.
    """
    path = Path(path)
    named = {"label": label, "split": split, "source": source, "name": name}
    if any((path / part).is_file() for part in PARTS):
        others = {"nuisances": nuisances, "ignore": ignore, "kinds": kinds, "units": units, "division": division}
        if given := [key for key, value in {**named, **others}.items() if value]:
            raise InvariantNetsError(
                f"{path}: {given[0]}= is for tables from elsewhere; this one was saved with its own"
            )
        return _load_folder(path)
    raw = read(path, ids=[column for column in named.values() if column is not None])
    mapped = map_columns(raw, layers=layers, nuisances=nuisances, ignore=ignore, owner=str(path), **named)
    meta = {"checksum": _checksum(raw.files), "remarks": mapped.remarks}
    return _table(mapped, str(path), meta, kinds, units, division, seed)


# What says which column is what.
_MAPPING = ("label", "split", "source", "name", "layers", "nuisances", "ignore")


def table_of_frame(
    frame: pd.DataFrame,
    *,
    kinds: Mapping[str, Kind] | None = None,
    units: Mapping[str, str] | None = None,
    division: Division | None = None,
    seed: int = 0,
    **mapping: Any,
) -> FeatureTable:
    """A table of a data frame: features in numbered columns or in one of lists, the rest as of a file.

    Args:
        frame: a row an image.
        kinds: of nuisances, as of `FeatureTable.from_arrays`.
        units: of nuisances.
        division: of a split that is drawn.
        seed: of the draw.
        **mapping: ``label``, ``split``, ``source``, ``name``, ``layers``, ``nuisances``, ``ignore`` of `load_table`.

    Raises:
        InvariantNetsError: what cannot be used, by its name.
    """
    if unknown := [key for key in mapping if key not in _MAPPING]:
        close = difflib.get_close_matches(unknown[0], _MAPPING, 1)
        meant = f"; did you mean {close[0]}=?" if close else ""
        raise InvariantNetsError(f"there is no {unknown[0]}=, but {', '.join(_MAPPING)}{meant}")
    mapped = map_columns(Raw(*columns_of_frame(frame)), **mapping)
    return _table(mapped, "table", {"remarks": mapped.remarks}, kinds, units, division, seed)


def _table(
    mapped: Mapped,
    owner: str,
    meta: Mapping[str, Any],
    kinds: Mapping[str, Kind] | None,
    units: Mapping[str, str] | None,
    division: Division | None,
    seed: int,
) -> FeatureTable:
    for name in (*(kinds or ()), *(units or ())):
        if left_out := next((said for said in mapped.remarks if said.startswith(f"column {name!r} was left out")), ""):
            raise InvariantNetsError(f"{owner}: kinds and units: {left_out}; nuisances=[…] with {name} in it keeps it")
    drawn = division or ("identity" if mapped.people else "image")
    try:
        return FeatureTable.from_columns(
            mapped.features, mapped.columns, owner=owner, meta=meta, kinds=kinds, units=units, division=drawn, seed=seed
        )
    except InvariantNetsError as error:  # which knows columns by what they are here, and not by their own names
        said = str(error)
        for role, column in mapped.called.items():
            said = said.replace(f"{role!r}", f"{column!r} ({role})") if role != column else said
        raise InvariantNetsError(said) from None


def _checksum(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _load_folder(folder: Path) -> FeatureTable:
    try:
        return _saved(folder)
    except DAMAGED as error:
        raise InvariantNetsError(f"features={folder}: cannot be read ({' '.join(str(error).split())})") from None


def _saved(folder: Path) -> FeatureTable:
    for part in PARTS:
        if (folder / part).resolve().parent != folder.resolve():
            raise InvariantNetsError(f"features={folder}: its {part} is a link to a file elsewhere; copy it here")
    header = json.loads((folder / "table.json").read_text())
    if header.pop("checksum", None) not in (None, _seal(header, folder)):  # none was kept by earlier versions
        raise ValueError("its files are not those that were written together: damaged, or of two tables; make it anew")
    rows = pd.read_parquet(folder / "rows.parquet")
    with safe_open(folder / "features.safetensors", "pt") as file:  # torch's tensors share the mapped file
        features = {name: file.get_tensor(name).numpy() for name in file.keys()}
    nuisances = tuple(Nuisance(**{**n, "categories": tuple(n["categories"])}) for n in header["nuisances"])
    for n in nuisances:
        coded = n.kind in ("categorical", "binary")
        if n.kind not in get_args(Kind) or (coded and not rows[n.name].dropna().isin(range(len(n.categories))).all()):
            raise ValueError(f"nuisance {n.name!r} is not of its kind, {n.kind!r}")
    if not 0 < header["num_classes"] <= len(rows) + MORE_CLASSES or not isinstance(header["meta"], dict):
        raise ValueError("its table.json is none that was saved here")
    return FeatureTable(
        features=features,
        label=rows["label"].to_numpy(),
        split=rows["split"].to_numpy().astype("U5"),
        source=rows["source"].to_numpy(),
        nuisance={n.name: rows[n.name].to_numpy() for n in nuisances},
        nuisances=nuisances,
        num_classes=header["num_classes"],
        prediction=rows["prediction"].to_numpy() if "prediction" in rows else None,
        entropy=rows["entropy"].to_numpy() if "entropy" in rows else None,
        name=rows["name"].to_numpy().astype(str) if "name" in rows else None,
        classes=tuple(header.get("classes", ())),
        meta=header["meta"],
    )
