"""Tables of features on disk: our own folder, or a file that came from anywhere."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.files import write_atomically
from invariantnets.nuisance import Nuisance

# What readers raise on a damaged file.
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, SafetensorError)
OPTIONAL = ("prediction", "entropy", "name")


def save_table(table: FeatureTable, folder: Path) -> Path:
    """Write ``features.safetensors``, ``rows.parquet`` and, last, ``table.json`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(x) for name, x in table.features.items()}, folder / "features.safetensors")
    columns = {"label": table.label, "split": table.split, "source": table.source, **table.nuisance}
    optional = {name: getattr(table, name) for name in OPTIONAL}
    columns |= {name: values for name, values in optional.items() if values is not None}
    pd.DataFrame(columns).to_parquet(folder / "rows.parquet")
    header = {
        "num_classes": table.num_classes,
        "classes": table.classes,
        "nuisances": [asdict(n) for n in table.nuisances],
        "meta": dict(table.meta),
    }
    return write_atomically(folder / "table.json", json.dumps(header, indent=1))


def load_table(path: str | Path) -> FeatureTable:
    """Read a table of features.

    - a folder written by :func:`save_table` (features are memory-mapped);
    - ``.npz``: ``label``, ``split``, one or more 2-D arrays (layers), other 1-D arrays are nuisances;
    - ``.parquet`` or ``.csv``: ``label``, ``split``, numbered columns ``f0 f1 …`` (or, in parquet,
      columns of lists) are features, all others nuisances;
    - ``.npy`` with 2-D features, beside a ``.csv`` or ``.parquet`` of the same name with the rest.

    ``split`` says train, val or test. ``source`` numbers what rows have in common (one person, one
    photograph): intervals resample it; without it every row stands alone. ``name`` names each image,
    for the lists of the protocols; ``prediction`` and ``entropy`` (nats) are those of a classifier.
    Nuisances of numbers are continuous, those of text or booleans categorical.

    Raises:
        InvariantNetsError: naming the file, the column and the fix.
    """
    path = Path(path)
    if not path.exists():
        raise InvariantNetsError(f"features={path}: no such file or folder")
    try:
        if path.is_dir():
            return _load_folder(path)
        features, columns = _read(path)
    except DAMAGED as error:
        if isinstance(error, InvariantNetsError):
            raise
        raise InvariantNetsError(f"features={path}: cannot be read ({' '.join(str(error).split())})") from None
    return FeatureTable.from_columns(features, columns, owner=str(path), meta={"checksum": _checksum(path)})


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _load_folder(folder: Path) -> FeatureTable:
    header = json.loads((folder / "table.json").read_text())
    rows = pd.read_parquet(folder / "rows.parquet")
    with safe_open(folder / "features.safetensors", "pt") as file:  # torch's tensors share the mapped file
        features = {name: file.get_tensor(name).numpy() for name in file.keys()}
    nuisances = tuple(Nuisance(**{**n, "categories": tuple(n["categories"])}) for n in header["nuisances"])
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


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Feature matrices and the other columns of a file."""
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return {k: v for k, v in arrays.items() if v.ndim == 2}, {k: v for k, v in arrays.items() if v.ndim != 2}
    if path.suffix == ".npy":
        beside = [p for p in (path.with_suffix(".csv"), path.with_suffix(".parquet")) if p.is_file()]
        if not beside:
            table = path.with_suffix(".csv")
            raise InvariantNetsError(f"features={path}: a .npy needs its labels beside it, in {table}")
        return {"features": np.load(path, mmap_mode="r", allow_pickle=False)}, _columns(_frame(beside[0]))
    frame = _frame(path)
    frame.columns = [str(name) for name in frame]
    names: list[str] = frame.columns.to_list()
    numbered = [c for c in names if c[:1] == "f" and c[1:].isdigit()]
    lists = [c for c in names if all(isinstance(v, list | np.ndarray) for v in frame[c].head(1))]
    features = {name: np.stack(frame[name].to_list()) for name in lists}
    if numbered:
        numbered.sort(key=lambda c: int(c[1:]))
        features["features"] = frame[numbered].to_numpy()
    return features, _columns(frame.drop(columns=[*numbered, *lists]))


def _frame(path: Path) -> pd.DataFrame:
    if path.suffix not in (".csv", ".parquet"):
        raise InvariantNetsError(
            f"features={path}: give a .npz, .npy, .csv or .parquet file, or a folder that was saved here"
        )
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    if frame.empty:
        raise InvariantNetsError(f"features={path}: {path.name} has no row")
    return frame


def _columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(name): frame[name].to_numpy() for name in frame}
