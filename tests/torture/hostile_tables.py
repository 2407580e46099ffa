"""Tables that would run code, look outside, write elsewhere or fill the machine."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import torch
from hostile_checkpoints import Runs
from trial import Trial
from yard import SECRET, Yard, yard

from invariantnets.features.io import load_table, save_table
from invariantnets.features.table import FeatureTable
from programs import QUICK

__all__ = ["trials"]

HUGE = 10**12
ROWS = 60
Make = Callable[[Yard], object]  # makes files in a yard


def columns(**more: object) -> dict[str, object]:
    """A table that can be probed, and more."""
    rng = np.random.default_rng(0)
    x = {f"f{i}": rng.standard_normal(ROWS) for i in range(4)}
    return {**x, "label": np.arange(ROWS) % 3, "yaw": rng.standard_normal(ROWS), **more}


def csv(**more: object) -> str:
    return pd.DataFrame(columns(**more)).to_csv(index=False)


def npy(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    """A file of numpy whose header says so, and nothing behind it."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue() + bytes(64)


def write(name: str, data: bytes | str) -> Make:
    return lambda at: (at.work / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def zipped(**members: bytes) -> Make:
    def make(at: Yard) -> None:
        with zipfile.ZipFile(at.work / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name.replace("__", "/"), data)

    return make


def objects(at: Yard) -> None:
    np.save(at.work / "x.npy", np.array([Runs(os.mkdir, str(at.canary))], object), allow_pickle=True)


def object_member(at: Yard) -> None:
    np.savez(at.work / "x.npz", x=np.array([Runs(os.mkdir, str(at.canary))], object))


def bomb(at: Yard) -> None:
    with zipfile.ZipFile(at.work / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x.npy", "w", force_zip64=True) as part:
            part.write(npy((1 << 30,), "|u1")[:-64])
            for _ in range(1 << 10):
                part.write(bytes(1 << 20))


def torch_file(content: Callable[[Yard], object]) -> Make:
    return lambda at: torch.save(content(at), at.work / "x.pt")


def typed_by_pickle(at: Yard) -> None:
    """A column of a type that is described by a pickle, as Arrow once read it."""
    import pickle

    meta = {b"ARROW:extension:name": b"arrow.py_extension_type"}
    meta[b"ARROW:extension:metadata"] = pickle.dumps(Runs(os.mkdir, str(at.canary)))
    schema = pa.schema([pa.field("f0", pa.float64(), metadata=meta), pa.field("label", pa.int64())])
    rows = [pa.array([1.0] * ROWS), pa.array([0, 1, 2] * (ROWS // 3))]
    pq.write_table(pa.table(rows, schema), at.work / "x.parquet")


def described(text: bytes) -> Make:
    def make(at: Yard) -> None:
        table = pa.table({"f0": [1.0, 2.0], "label": [0, 1]}).replace_schema_metadata({b"huggingface": text})
        pq.write_table(table, at.work / "x.parquet")

    return make


def repeated(at: Yard) -> None:
    """A row group of a column that is one value, 5·10⁷ times."""
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5 * 10**7, np.int8)), pa.array([1.0]))
    pq.write_table(pa.table({"f0": values}), at.work / "x.parquet")


def other_rows(at: Yard) -> None:
    (at.work / "x").mkdir()
    (at.work / "x" / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../../home/rows.arrow"}]}))
    with pa.OSFile(str(at.home / "rows.arrow"), "wb") as file:
        table = pa.table({**columns(), "who": [SECRET] * ROWS})
        with pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)


def other_split(at: Yard) -> None:
    (at.work / "x").mkdir()
    (at.work / "x" / "dataset_dict.json").write_text('{"splits": ["../../home"]}')
    (at.home / "state.json").write_text('{"_data_files": [{"filename": "rows.arrow"}]}')


def outside(kind: str) -> Make:
    """Numbers of HDF5 that lie in another file: bytes of it, or a data set."""

    def make(at: Yard) -> None:
        with h5py.File(at.home / "other.h5", "w") as file:
            file["x"] = np.zeros((ROWS, 4))
        with h5py.File(at.work / "x.h5", "w") as file:
            file["label"] = np.arange(ROWS) % 3
            if kind == "bytes":
                external = [(str(at.home / "secret.txt"), 0, ROWS * 4)]
                file.create_dataset("x", (ROWS, 4), "u1", external=external)
            elif kind == "virtual":
                layout = h5py.VirtualLayout((ROWS, 4), "f8")
                layout[:] = h5py.VirtualSource(str(at.home / "other.h5"), "x", (ROWS, 4))
                file.create_virtual_dataset("x", layout)
            else:
                file["x"] = h5py.ExternalLink(str(at.home / "other.h5"), "x")

    return make


def vast(at: Yard) -> None:
    with h5py.File(at.work / "x.h5", "w") as file:
        file.create_dataset("x", (10**7, 10**6), "f8", chunks=(1000, 1000), compression="gzip")


def tensors(header: dict[str, object], length: int | None = None) -> Make:
    text = json.dumps(header).encode()
    return write("x.safetensors", struct.pack("<Q", len(text) if length is None else length) + text + bytes(64))


def saved(**changes: object) -> Make:
    """A folder of ours with a header that says something else."""

    def make(at: Yard) -> None:
        table = FeatureTable.from_arrays(np.random.default_rng(0).standard_normal((ROWS, 4)), label=np.arange(ROWS) % 3)
        save_table(table, at.work / "x")
        header = json.loads((at.work / "x" / "table.json").read_text())
        (at.work / "x" / "table.json").write_text(json.dumps({**header, **changes}))

    return make


def saved_link(name: str) -> Make:
    def make(at: Yard) -> None:
        saved()(at)
        (at.work / "x" / name).rename(at.home / name)
        (at.work / "x" / name).symlink_to(at.home / name)

    return make


def beside(at: Yard) -> None:
    np.save(at.work / "x.npy", np.zeros((18, 4)))
    (at.work / "x.csv").symlink_to(at.home / "secret.csv")


BIG = (1 << 28) + 1
TABLES: dict[str, tuple[str, Make]] = {
    "objects of numpy": ("x.npy", objects),
    "objects in an npz": ("x.npz", object_member),
    "a header of 10¹² numbers": ("x.npy", write("x.npy", npy((HUGE,)))),
    "a member of 10¹² numbers": ("x.npz", zipped(**{"x.npy": npy((HUGE,))})),
    "a member of -1 numbers": ("x.npz", zipped(**{"x.npy": npy((-1,))})),
    "a member outside": ("x.npz", zipped(**{"..__..__canary": b"x"})),
    "a member that is a program": ("x.npz", zipped(**{"x.py": b"import os"})),
    "a zip that unpacks to 1 GB": ("x.npz", bomb),
    "a gz that unpacks to 300 MB": (
        "x.csv.gz",
        write("x.csv.gz", gzip.compress(b"f0,label\n" + b"0,0\n" * (BIG // 4))),
    ),
    "lines of JSON that unpack to 300 MB": ("x.jsonl.gz", write("x.jsonl.gz", gzip.compress(b"{" + b" " * BIG))),
    "a pickle": ("x.pkl", write("x.pkl", b"cos\nmkdir\n(S'../canary'\ntR.")),
    "a pickle called a table": ("x.csv", write("x.csv", b"\x80\x04cos\nmkdir\n(S'../canary'\ntR.")),
    "a call of torch": ("x.pt", torch_file(lambda at: {"x": Runs(os.mkdir, str(at.canary))})),
    "10¹² numbers of torch": ("x.pt", torch_file(lambda at: {"x": torch.zeros(1).expand(10**6, 10**6)})),
    "sparse numbers of torch": (
        "x.pt",
        torch_file(
            lambda at: {"x": torch.sparse_coo_tensor(torch.empty(2, 0), [], (10**6, 10**6), check_invariants=False)}
        ),
    ),
    "numbers of torch that are nowhere": ("x.pt", torch_file(lambda at: {"x": torch.zeros(3, 3, device="meta")})),
    "lists of torch in themselves": ("x.pt", torch_file(lambda at: (a := [], a.append(a), {"x": a})[2])),
    "a value 5·10⁷ times": ("x.parquet", repeated),
    "a parquet without an end": (
        "x.parquet",
        write("x.parquet", b"PAR1" + bytes(200) + struct.pack("<i", 2**31 - 1) + b"PAR1"),
    ),
    "a deep description": ("x.parquet", described(b"[" * 100_000)),
    "an Arrow file without a table": ("x.arrow", write("x.arrow", b"ARROW1\0\0" + b"\xff" * 200 + b"ARROW1")),
    "an Arrow stream of 2 GB": ("x.arrow", write("x.arrow", b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(200))),
    "rows of another folder": ("x", other_rows),
    "a split of another folder": ("x", other_split),
    "bytes of another file": ("x.h5", outside("bytes")),
    "a virtual data set": ("x.h5", outside("virtual")),
    "a link of HDF5": ("x.h5", outside("link")),
    "10¹³ numbers of HDF5": ("x.h5", vast),
    "a tensor of 10¹² numbers": (
        "x.safetensors",
        tensors({"x": {"dtype": "F32", "shape": [HUGE, 1], "data_offsets": [0, 64]}}),
    ),
    "a tensor past the end": (
        "x.safetensors",
        tensors({"x": {"dtype": "F32", "shape": [16], "data_offsets": [0, 1 << 50]}}),
    ),
    "a header of 2⁶³ bytes": ("x.safetensors", tensors({}, 2**63)),
    "a MATLAB file of 10¹² numbers": (
        "x.mat",
        write("x.mat", struct.pack("<5i", 0, 10**6, 10**6, 0, 2) + b"x\0" + bytes(64)),
    ),
    "a list without a bottom": ("x.jsonl", write("x.jsonl", '{"f0": ' + "[" * 100_000 + "]" * 100_000 + "}\n")),
    "two columns of one name": ("x.csv", write("x.csv", "label,label\n1,2\n")),
    "a saved table of 10¹² classes": ("x", saved(num_classes=HUGE)),
    "a saved table of -1 classes": ("x", saved(num_classes=-1)),
    "a saved table of no kind of nuisance": ("x", saved(nuisances=[{"name": "yaw", "kind": "code", "categories": []}])),
    "a saved table of a nuisance elsewhere": ("x", saved(nuisances=[{"name": "../y", "categories": []}])),
    "a saved table whose remarks are none": ("x", saved(meta=[1])),
    "saved rows by a link": ("x", saved_link("rows.parquet")),
    "saved features by a link": ("x", saved_link("features.safetensors")),
    "columns beside it by a link": ("x.npy", beside),
    "a device": ("x.csv", lambda at: (at.work / "x.csv").symlink_to("/dev/zero")),
    "a pipe": ("x.csv", lambda at: os.mkfifo(at.work / "x.csv")),
}


def refused(name: str, make: Make, folder: Path, rng: random.Random) -> None:
    """It is refused where tables are read, in one line."""
    with yard(folder) as place:
        make(place)
        place.refusal(lambda: load_table(Path(name)))


def taken(folder: Path, rng: random.Random) -> None:
    """A type that is described by a pickle is passed over: its numbers are read."""
    with yard(folder) as place:
        typed_by_pickle(place)
        (x,) = load_table(place.work / "x.parquet").features.values()
        assert (x == 1).all()


NAMES = {
    "..": "../../../canary",
    "an absolute path": "/canary",
    "a page": "<script>document.title='canary'</script><img src=x onerror=alert(1)>",
    "markup": "[/red]y[link=file:///]",
    "a terminal's words": "\x1b]0;canary\x07\x1b[2J",
    "mathematics": "$\\frac{$ \\input{secret.txt}",
    "1,000 letters": "x" * 1000,
    "several lines": "a\nerror: canary\n",
    "a format": "{0.__class__}%s%n{{",
}


def named(name: str, folder: Path, rng: random.Random) -> None:
    """A layer, a nuisance and its values of such a name: probed, kept and reported, in the folder of the run."""
    with yard(folder) as place:
        given = columns()
        x = np.stack([given.pop(f"f{i}") for i in range(4)], 1)
        words = np.array([name, "b", "c"])[np.arange(ROWS) % 3 * np.arange(ROWS) % 3]
        np.savez(
            place.work / "x.npz",
            **{f"{name}x": x, f"{name}y": x + 1, "label": np.array([name, "b", "c"])[given["label"]]},
        )
        frame = pd.DataFrame(
            {"label": np.array([name, "b", "c"])[given["label"]], name: words, f"{name}2": given["yaw"]}
        )
        np.savez(place.work / "x.npz", **{f"{name}x": x})
        frame.to_parquet(place.work / "x.parquet")
        small = [*QUICK, "probe.mlp=null", "probe.trees=null", "probe.rbf=null"]
        words = ["save_features=true", "release=quantise", "layers=all", *small]
        place.program("evaluate", "features=x.npz", *words, ok=True)
        report = (place.work / "run" / "report.html").read_text()
        assert "<script" not in report and "<img src=x" not in report, "a name is run"


def trials() -> list[Trial]:
    """All of them, in a fixed order."""
    found = [Trial(name, "hostile table", partial(refused, *made)) for name, made in TABLES.items()]
    found.append(Trial("a type by a pickle", "hostile table", taken))
    found += [Trial(name, "hostile name", partial(named, text)) for name, text in NAMES.items()]
    return found
