"""Folders and files that are not what they should be: of sweeps, of runs, of data, of faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invariantnets.results import Result, to_jsonl
from invariantnets.results.runs import read_sweep

ABSENT = "no run below; give the folder of a multirun"


SWEEPS: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda folder: None, f"{{tmp}}/sweep: {ABSENT}"),
    "empty": (lambda folder: (folder / "sweep").mkdir(), f"{{tmp}}/sweep: {ABSENT}"),
    "a file": (lambda folder: (folder / "sweep").write_text("x"), f"{{tmp}}/sweep: {ABSENT}"),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps(said: Callable[..., str], tmp_path: Path, name: str) -> None:
    make, line = SWEEPS[name]
    make(tmp_path)
    assert said("evaluate", "sweep={tmp}/sweep") == line


ONE = to_jsonl([Result("r2", 0.5, "ip1", "angle", "ridge", "test", 3, 3, 0, about="nuisance")]).encode()
NOT_ONE = "results.jsonl, line 1: not a result ("
RESULTS = {
    "no json": (b"{not json\n", "{}", NOT_ONE),
    "half a line": (b'{"metric": "r2", "val', "{}", NOT_ONE),
    "a list": (b"[1, 2]\n", "{}", NOT_ONE),
    "another key": (b'{"about": "class", "metric": "r2", "nope": 3}\n', "{}", NOT_ONE),
    "bytes": (b"\x93\xff\x00\x01", "{}", "results.jsonl: is damaged (no UTF-8 text); run evaluate.py again"),
    "nothing": (b"", "{}", "results.jsonl: holds no probe's result; run evaluate.py again"),
    "provenance that is no json": (ONE, "{", "provenance.json: cannot be read ("),
    "provenance that is a list": (ONE, "[]", "provenance.json: holds no dict; run evaluate.py again"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_run_that_cannot_be_read_is_named_in_the_report_of_its_sweep(tmp_path: Path, name: str) -> None:
    results, provenance, line = RESULTS[name]
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "results.jsonl").write_bytes(results)
    (tmp_path / "0" / "provenance.json").write_text(provenance)
    assert read_sweep(tmp_path).missing["0"].startswith(f"{tmp_path}/0/{line}")


@pytest.mark.parametrize("program", ["train", "evaluate"])
@pytest.mark.parametrize("below", ["", "/below", "/far/below"])
def test_a_file_where_a_folder_should_be_written(
    said: Callable[..., str], tmp_path: Path, program: str, below: str
) -> None:
    (tmp_path / "file").write_text("x")
    line = said(program, f"hydra.run.dir={{tmp}}/file{below}")
    assert line == f"cannot write {{tmp}}/file{below}: a file is in the way; write elsewhere with hydra.run.dir=…" or (
        below == "/far/below" and line.startswith("cannot write {tmp}/file")
    )


FACES = ("data=faces_table", "model=deepface_mini", "data.num_classes=2", "data.cache_dir={tmp}/cache")


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Two people, six pictures each, and their table."""
    (tmp_path / "faces").mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,person,yaw"]
    for who in ("Ann", "Bob", "Cy"):
        for i in range(6):
            pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "faces" / f"{who}_{i}.png")
            rows.append(f"{who}_{i}.png,{who},{i}")
    (tmp_path / "faces.csv").write_text("\n".join(rows))
    return tmp_path


def spoilt(file: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(content)


def table(old: str, new: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        text = (folder / "faces.csv").read_text()
        (folder / "faces.csv").write_text(text.replace(old, new))

    return make


NO_PICTURE = "; name the folder that holds them, with data.root=…"
OF_FACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no table": (lambda folder: (folder / "faces.csv").unlink(), "data.table={tmp}/faces.csv: there is no such file"),
    "an empty table": (spoilt("faces.csv", b""), "data.table={tmp}/faces.csv: "),
    "a table of bytes": (spoilt("faces.csv", b"\x93\xff\x00\x01" * 50), "data.table={tmp}/faces.csv: "),
    "no column of paths": (table("path,", "file,"), "{tmp}/faces.csv: has no column 'path'; it has file, person, yaw"),
    "no column of people": (
        table(",person", ",who"),
        "{tmp}/faces.csv: has no column 'person'; it has path, who, yaw",
    ),
    "a person missing": (
        table("Ann_3.png,Ann", "Ann_3.png,"),
        "{tmp}/faces.csv: column 'person' is empty in 1 of 18 rows, first in row 4; fill it, or drop those rows",
    ),
    "a picture missing": (
        lambda folder: (folder / "faces" / "Ann_2.png").unlink(),
        f"1 of 18 images are missing below {{tmp}}/faces, e.g. Ann_2.png{NO_PICTURE}",
    ),
    "an empty picture": (
        spoilt("faces/Ann_2.png", b""),
        "facestable: 1 of 18 images cannot be read, e.g. Ann_2.png (cannot identify image file "
        "'{tmp}/faces/Ann_2.png'); mend or remove them",
    ),
    "a picture of text": (
        spoilt("faces/Bob_1.png", b"hello"),
        "facestable: 1 of 18 images cannot be read, e.g. Bob_1.png (cannot identify image file "
        "'{tmp}/faces/Bob_1.png'); mend or remove them",
    ),
    "no folder": (
        table("Ann_0.png", "nowhere/Ann_0.png"),
        f"1 of 18 images are missing below {{tmp}}/faces, e.g. nowhere/Ann_0.png{NO_PICTURE}",
    ),
    "a picture elsewhere": (
        table("Ann_0.png", "../Ann_0.png"),
        "image '../Ann_0.png' is not below {tmp}/faces: only what lies there is read; name the folder that holds all, "
        "with data.root=…",
    ),
}


@pytest.mark.parametrize("name", OF_FACES)
def test_faces(said: Callable[..., str], faces: Path, name: str) -> None:
    make, line = OF_FACES[name]
    make(faces)
    found = said("train", *FACES, "data.table={tmp}/faces.csv", "data.root={tmp}/faces", "data.test_fraction=0.34")
    assert found == line or (line.endswith(" ") and found.startswith(line) and len(found) > len(line) + 10), found


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("data.num_classes=7", "data.num_classes=7"),
        ("data.test_fraction=2", "data.test_fraction=2: give a number from 0 to 1"),
        ("data.val_fraction=1", "data.val_fraction=1: give a number of at least 0 and below 1"),
        ("data.val_fraction=-0.1", "data.val_fraction=-0.1: give a number of at least 0 and below 1"),
        ("data.division=colour", "data.division=colour: give identity (open set) or image (closed set)"),
        ("data.nuisances=[nope]", "{tmp}/faces.csv: has no column 'nope'; it has path, person, yaw"),
        ("data.split_column=nope", "{tmp}/faces.csv: has no column 'nope'; it has path, person, yaw"),
        ("data.label_column=nope", "{tmp}/faces.csv: has no column 'nope'; it has path, person, yaw"),
        ("data.center_crop=0", "data.center_crop=0: give a whole number from 1 to 1,000,000,000, or null"),
    ],
)
def test_knobs_of_faces(said: Callable[..., str], faces: Path, words: str, line: str) -> None:
    given = words.partition("=")[0]
    own = [word for word in FACES if not word.startswith(given)]
    found = said("train", *own, "data.table={tmp}/faces.csv", "data.root={tmp}/faces", words)
    assert found.startswith(line) and len(found) > len(line) - 1, found


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "data=lfw data.num_classes=5",
            "{tmp}/data/lfw/lfw-deepfunneled-crop160: no images <person>/<person>_0001.jpg. ",
        ),
        ("data=cmu_faces", "data.table={tmp}/data/cmu_faces/labels.csv: there is no such file"),
        ("data=celeba", "CelebA: no usable files in {tmp}/data/celeba ("),
    ],
)
def test_data_that_are_not_there(said: Callable[..., str], words: str, line: str) -> None:
    assert said("train", *words.split()).startswith(line)
