"""Pictures of a table's rows, by their names in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from invariantnets import FeatureTable, run_suite
from invariantnets.errors import InvariantNetsError
from invariantnets.features.shown import SIDE, pictures_in
from invariantnets.randomness import numpy_rng


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three grey faces, each of its own brightness, the third of another size."""
    (tmp_path / "ann").mkdir()
    for i, name in enumerate(("ann/1.png", "ann/2.png", "bob.png")):
        Image.new("L", (20 + 20 * (i == 2), 30), 50 * (i + 1)).save(tmp_path / name)
    return tmp_path


def test_rows_are_found_with_and_without_a_suffix_in_the_size_of_the_first(folder: Path) -> None:
    shown = pictures_in(folder, np.array(["ann/1", "ann/2.png", "bob"]))
    found = shown(np.array([2, 0, 1, 2]))
    assert found.shape == (4, 30, 20, 3) and found.dtype == np.uint8
    assert found[:, 0, 0, 0].tolist() == [150, 50, 100, 150]


def test_large_pictures_are_made_small(tmp_path: Path) -> None:
    Image.new("RGB", (800, 400), (9, 99, 199)).save(tmp_path / "a.jpg")
    assert pictures_in(tmp_path, ["a"])(np.array([0])).shape == (1, SIDE // 2, SIDE, 3)


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(InvariantNetsError, match="give name=<its column of files>"):
        pictures_in(folder, None)
    with pytest.raises(InvariantNetsError, match="there is no such folder"):
        pictures_in(folder / "nowhere", ["bob"])
    with pytest.raises(InvariantNetsError, match="no picture is called 'eve'"):
        pictures_in(folder, ["eve"])
    (folder / "broken.png").write_bytes((folder / "bob.png").read_bytes()[:40])
    with pytest.raises(InvariantNetsError, match=r"broken\.png cannot be read"):
        pictures_in(folder, ["bob", "broken"])(np.array([1]))


def test_a_table_with_pictures_has_its_sheet(tmp_path: Path) -> None:
    rng = numpy_rng(1)
    who, x = np.repeat(np.arange(30), 4), rng.normal(size=(120, 5)).astype(np.float32)
    names = np.array([f"{person}/{i}" for i, person in enumerate(who)])
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), i).save(tmp_path / f"{name}.png")
    table = FeatureTable.from_arrays(x, label=who, name=names, division="identity", blur=rng.random(120))
    found = run_suite(table, [], analyses=["quality"], protocols=None, images=tmp_path).arrays["quality"]
    at = {name: i for i, name in enumerate(names)}
    shown = [[at[str(table.name[row])] for row in line] for line in found["row"]]
    assert np.array_equal(found["pictures"][..., 0, 0, 0], shown)
