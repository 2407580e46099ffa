"""Of what a run leaves for another no bit turns unnoticed: it is refused, made anew, or says the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from invariantnets.bootstrapping import Selection, load_selection
from invariantnets.bootstrapping.rows import write_rows
from invariantnets.data.bootstrap import Pictures, load_pictures
from invariantnets.errors import InvariantNetsError
from invariantnets.features import FeatureTable
from invariantnets.features.io import load_table, save_table
from invariantnets.interrupted import Journal
from invariantnets.release import Quantise, Release
from invariantnets.results import Result

STEPS = 40
RNG = np.random.default_rng(0)
TABLE = FeatureTable.from_arrays(
    {"ip1": RNG.normal(size=(30, 4)).astype(np.float32)},
    label=np.arange(30) % 3,
    split=np.repeat(["train", "val", "test"], 10),
    yaw=RNG.normal(size=30),
)
MATRIX = RNG.normal(size=(9, 5)).astype(np.float32)
RESULT = Result("r2", 0.5, "early", "yaw", "ridge", split="test", n=1, sources=1, seed=0)


def table(folder: Path) -> list[bytes]:
    if not (folder / "table.json").exists():
        save_table(TABLE, folder)
    found = load_table(folder)
    return [x.tobytes() for x in (found.features["ip1"], found.label, found.split, found.nuisance["yaw"])]


def release(folder: Path) -> list[str]:
    path = folder / "ip1.safetensors"
    found = Release.load(path) if path.exists() else Quantise(3).fit(TABLE, "ip1")
    found.save(folder.parent / "again")
    return [(folder.parent / "again").read_bytes().hex()] if path.exists() else [found.save(path).read_bytes().hex()]


def selection(folder: Path) -> list[object]:
    if not (folder / "selection.json").exists():
        Selection(np.array([3, 5]), np.array([[3, 4], [5, 1]]), np.eye(2, dtype=np.float32), 4, "c", "p").save(folder)
    found = load_selection(folder, checkpoint="c", pool="p", width=4)
    return [found.seed.tolist(), found.identity.tolist(), found.similarity.tolist()]


def pictures(folder: Path) -> list[object]:
    path = folder / "pictures.parquet"
    if not path.exists():
        Pictures(np.arange(6), np.array(["train", "val"] * 3), np.arange(6) // 2).save(path)
    return [x.tolist() for x in vars(load_pictures(path)).values()]


def rows(folder: Path) -> list[object]:
    return write_rows(folder / "a.npy", MATRIX.shape, "float32", {"of": 1}, lambda done: [MATRIX[done:]]).tolist()


def finished(folder: Path) -> list[Result]:
    journal = Journal(folder, {"seed": 0})
    if "early" in journal.take_up(["early", "late"], "late"):
        journal.begin("early")
        journal.keep([RESULT])
        journal.begin("late")
        return [RESULT]
    return journal.earlier


@pytest.mark.parametrize("kind", [table, release, selection, pictures, rows, finished])
def test_no_bit_turns_unnoticed(kind: Callable[[Path], list[object]], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    expected = kind(folder)
    assert kind(folder) == expected
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    noticed = 0
    for path, data in whole.items():
        for place in {*range(0, len(data), max(1, len(data) // STEPS)), len(data) - 1}:
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
            try:
                assert kind(folder) == expected, f"{path.name}, byte {place} of {len(data)}"
            except InvariantNetsError as error:
                noticed += 1
                assert "\n" not in str(error)
            for other, content in whole.items():
                other.parent.mkdir(exist_ok=True)
                other.write_bytes(content)
    assert noticed or kind is finished, "which is measured anew"
