from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.features import FeatureTable
from invariantnets.features.io import load_table, save_table
from invariantnets.nuisance import Nuisance

ROWS, WIDTH = 12, 11
FEATURES = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)
# In mixed order on purpose; every row can be recognised by its id.
COLUMNS: dict[str, Any] = {
    "label": np.array([7, 3, 3, 7, 9, 3, 9, 7, 9, 3, 7, 9]),
    "split": np.array(["test", "train", "val"] * 4),
    "source": np.array([10, 11, 12, 10, 11, 12, 10, 11, 12, 20, 21, 22]),
    "angle": np.arange(ROWS) * 1.5,
    "person": np.array(["bob", "ann", "cy", "ann"] * 3),
    "glasses": np.array([True, False] * 6),
    "id": np.arange(ROWS),
    "prediction": np.array([7, 3, 9, 7, 9, 3, 5, 7, 9, 3, 7, 1]),
    "entropy": np.linspace(0, 2, ROWS),
    "name": np.array([f"person/image_{i:04d}" for i in range(ROWS)]),
}


# A column of row numbers is probed only where it is named.
NUISANCES = ["angle", "person", "glasses", "id"]


def write(path: Path, kind: str, features: np.ndarray = FEATURES, columns: dict[str, Any] = COLUMNS) -> Path:
    """The same table in each format that is read; returns what to load."""
    frame = pd.DataFrame({k: v for k, v in columns.items() if len(v) == len(columns.get("label", v))})
    numbered = pd.DataFrame({f"f{i}": features[:, i] for i in reversed(range(features.shape[1]))})
    target = path / f"table.{kind.split()[0]}"
    if kind == "npz":
        np.savez(target, ip1=features, **columns)
    elif kind == "parquet lists":
        frame.assign(ip1=list(features)).to_parquet(target)
    elif kind == "parquet":
        pd.concat([numbered, frame], axis=1).to_parquet(target)
    elif kind == "csv":
        pd.concat([numbered, frame], axis=1).to_csv(target, index=False)
    else:
        np.save(target, features)
        beside = target.with_suffix(f".{kind.split()[-1]}")
        _ = frame.to_csv(beside, index=False) if beside.suffix == ".csv" else frame.to_parquet(beside)
    return target


KINDS = ["npz", "parquet", "parquet lists", "csv", "npy and csv", "npy and parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_table(tmp_path: Path, kind: str) -> None:
    table = load_table(write(tmp_path, kind), nuisances=NUISANCES)
    order = table.nuisance["id"].astype(int)
    assert sorted(order) == list(range(ROWS))
    assert table.split.tolist() == ["train"] * 4 + ["val"] * 4 + ["test"] * 4, "each split together"
    (layer,) = table.features
    assert layer == ("ip1" if kind in ("npz", "parquet lists") else "features")
    assert table.features[layer].dtype == np.float32
    assert table.features[layer] == pytest.approx(FEATURES[order], rel=1e-6)  # csv: numeric order, f10 after f9
    assert np.array_equal(table.split, COLUMNS["split"][order])
    assert table.label.tolist() == [{3: 0, 7: 1, 9: 2}[y] for y in COLUMNS["label"][order]]
    assert table.num_classes == 3
    assert np.array_equal(np.unique(COLUMNS["source"])[table.source], COLUMNS["source"][order])
    assert np.array_equal(table.nuisance["angle"], COLUMNS["angle"][order])
    assert table.prediction.tolist() == [{3: 0, 7: 1, 9: 2}.get(y, 3) for y in COLUMNS["prediction"][order]]
    assert table.entropy.dtype == np.float32 and table.entropy == pytest.approx(COLUMNS["entropy"][order])
    assert table.name.tolist() == COLUMNS["name"][order].tolist()
    kinds = {n.name: n for n in table.nuisances}
    assert list(kinds) == NUISANCES
    assert kinds["angle"] == Nuisance("angle", "continuous")
    assert kinds["person"] == Nuisance("person", "categorical", categories=("ann", "bob", "cy"))
    assert kinds["glasses"] == Nuisance("glasses", "binary", categories=("False", "True"))
    names = np.array(kinds["person"].categories)[table.nuisance["person"].astype(int)]
    assert np.array_equal(names, COLUMNS["person"][order])
    assert len(table.meta["checksum"]) == 64


@pytest.mark.parametrize("kind", KINDS)
def test_labels_may_be_text_and_what_is_optional_absent(tmp_path: Path, kind: str) -> None:
    columns = {"label": np.array(["cat", "dog", "cat"] * 4), "split": np.sort(COLUMNS["split"])[::-1]}
    table = load_table(write(tmp_path, kind, columns=columns))
    assert table.num_classes == 2 and sorted(table.label.tolist()) == [0] * 8 + [1] * 4
    assert sorted(table.source.tolist()) == list(range(ROWS))
    assert table.prediction is None and table.entropy is None and table.name is None and table.nuisances == ()


def test_several_layers(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", a=FEATURES, b=FEATURES[:, :2].astype(np.float64), **COLUMNS)
    table = load_table(str(tmp_path / "t.npz"), layers="all")
    assert {k: x.shape for k, x in table.features.items()} == {"a": (ROWS, WIDTH), "b": (ROWS, 2)}
    assert all(x.dtype == np.float32 for x in table.features.values())


def test_splits_that_lie_together_are_not_copied(tmp_path: Path) -> None:
    columns = {**COLUMNS, "split": np.repeat(["train", "val", "test"], 4)}
    table = load_table(write(tmp_path, "npy and csv", columns=columns), nuisances=NUISANCES)
    assert isinstance(table.features["features"].base, np.memmap) or isinstance(table.features["features"], np.memmap)
    assert table.nuisance["id"].tolist() == list(range(ROWS))
    assert np.shares_memory(table.part("val").features["features"], table.features["features"])


def make_table() -> FeatureTable:
    rng = np.random.default_rng(1)
    return FeatureTable(
        features={"conv1": rng.normal(size=(9, 4)).astype(np.float32), "ip1": FEATURES[:9]},
        label=np.arange(9) % 3,
        split=np.repeat(["train", "val", "test"], 3),
        source=np.arange(9),
        nuisance={"angle": rng.normal(size=9), "person": np.array([0.0, 1, 2] * 3)},
        nuisances=(Nuisance("angle", "circular", "°"), Nuisance("person", "categorical", "", ("a", "b", "ç"))),
        num_classes=4,
        prediction=np.arange(9)[::-1] % 3,
        entropy=rng.random(9).astype(np.float32),
        name=np.array([f"b/ç_{i}" for i in range(9)]),
        meta={"projected": {"conv1": 11520}, "note": "μ"},
    )


@pytest.mark.parametrize("optional", [True, False])
def test_our_own_folders_come_back(tmp_path: Path, optional: bool) -> None:
    nothing = dict.fromkeys(("prediction", "entropy", "name"))
    table = make_table() if optional else FeatureTable(**{**vars(make_table()), **nothing})
    save_table(table, tmp_path / "features" / "ip1")
    loaded = load_table(tmp_path / "features" / "ip1")
    for name in vars(table):
        ours, theirs = getattr(table, name), getattr(loaded, name)
        if isinstance(ours, dict) and name != "meta":
            assert set(ours) == set(theirs) and all(np.array_equal(ours[k], theirs[k]) for k in ours)
        else:
            assert np.array_equal(ours, theirs)
    assert loaded.features["ip1"].dtype == np.float32 and loaded.label.dtype == np.int64


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc to see the memory maps in")
def test_our_own_folders_are_memory_mapped(tmp_path: Path) -> None:
    save_table(make_table(), tmp_path)
    loaded = load_table(tmp_path)
    assert str(tmp_path / "features.safetensors") in Path("/proc/self/maps").read_text()
    assert len(loaded) == 9


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def refused(path: Path) -> str:
    with pytest.raises(InvariantNetsError) as caught:
        load_table(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize("part", ["features.safetensors", "rows.parquet", "table.json"])
@pytest.mark.parametrize("damage", [cut, Path.unlink, lambda path: path.write_bytes(b"")], ids=["cut", "gone", "empty"])
def test_damaged_folders(tmp_path: Path, part: str, damage: Callable[[Path], None]) -> None:
    save_table(make_table(), tmp_path)
    damage(tmp_path / part)
    assert "cannot be read (" in refused(tmp_path)


@pytest.mark.parametrize("kind", ["npz", "parquet", "npy and csv"])
@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b"")], ids=["cut", "empty"])
def test_damaged_files(tmp_path: Path, kind: str, damage: Callable[[Path], None]) -> None:
    path = write(tmp_path, kind)
    damage(path)
    assert "cannot be read (" in refused(path)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, x=FEATURES, **{**COLUMNS, "person": np.array([{}] * ROWS, dtype=object)}, allow_pickle=True)
    assert "cannot be read (Object arrays cannot be loaded when allow_pickle=False)" in refused(path)


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    assert "no such file or folder" in refused(tmp_path / "nowhere.npz")
    (tmp_path / "t.mat").write_bytes(b"x")
    assert "give a .npz, .npy, .csv or .parquet file" in refused(tmp_path / "t.mat")
    np.save(tmp_path / "t.npy", FEATURES)
    assert f"a .npy needs its labels beside it, in {tmp_path / 't.csv'}" in refused(tmp_path / "t.npy")


def with_gap(name: str) -> dict[str, Any]:
    values = COLUMNS[name].astype(float)
    values[3] = np.nan
    return {**COLUMNS, name: values}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {**COLUMNS, "split": np.array(["train", "holdout", "test"] * 4)},
            "split 'holdout' is unknown; use train",
        ),
        (with_gap("label"), "column 'label' has missing values"),
        (with_gap("source"), "column 'source' has missing values"),
        ({**COLUMNS, "name": COLUMNS["person"]}, "column 'name' has 'ann' 6 times; it must name each image once"),
        ({**COLUMNS, "entropy": COLUMNS["person"]}, "column 'entropy' holds"),
    ],
    ids=[
        "unknown split",
        "NaN label",
        "NaN source",
        "name given twice",
        "entropy of text",
    ],
)
def test_bad_columns(tmp_path: Path, kind: str, columns: dict[str, Any], message: str) -> None:
    assert message in refused(write(tmp_path, kind, columns=columns))


@pytest.mark.parametrize("kind", KINDS)
def test_no_features(tmp_path: Path, kind: str) -> None:
    if kind == "npz":
        np.savez(tmp_path / "table.npz", **COLUMNS)
        path = tmp_path / "table.npz"
    elif kind.startswith("npy"):
        path = write(tmp_path, kind)
        np.save(path, FEATURES[:, 0])
    else:
        path = write(tmp_path, kind.removesuffix(" lists"), features=FEATURES[:, :0])
    assert "no features" in (message := refused(path)) or "numbers (N, D) are needed" in message


@pytest.mark.parametrize("name", ["label", "split", "angle", "ip1"])
def test_arrays_of_other_lengths(tmp_path: Path, name: str) -> None:
    arrays = {**COLUMNS, "ip1": FEATURES}
    np.savez(tmp_path / "t.npz", **{**arrays, name: arrays[name][:-1]})
    message = refused(tmp_path / "t.npz")
    assert f"{name!r} has 11 rows, 'label' has 12" in message or "rows, 'label' has 11" in message


@pytest.mark.parametrize("value", [np.float64(3), np.zeros((ROWS, 2, 2))], ids=["number", "cube"])
def test_arrays_that_are_no_column(tmp_path: Path, value: np.ndarray) -> None:
    np.savez(tmp_path / "t.npz", ip1=FEATURES, odd=value, **COLUMNS)
    message = f"column 'odd' has shape {value.shape}; one value a row is needed"
    assert message in refused(tmp_path / "t.npz")


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_features_of_text(tmp_path: Path, kind: str) -> None:
    assert "numbers (N, D) are needed" in refused(
        write(tmp_path, kind, features=FEATURES.astype(str).astype("U9") + "x")
    )


def test_lists_of_different_lengths(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({**COLUMNS, "ip1": [list(range(i % 3 + 1)) for i in range(ROWS)]}).to_parquet(path)
    assert "column 'ip1': row 2 has a list of 2, the first one has 1 numbers; mend or drop the row" in refused(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_without_rows(tmp_path: Path, suffix: str) -> None:
    frame, path = pd.DataFrame({"label": [], "split": [], "f0": []}), tmp_path / f"t.{suffix}"
    _ = frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    assert "has no row" in refused(path)


def test_one_part(tmp_path: Path) -> None:
    table = load_table(write(tmp_path, "npz"), nuisances=NUISANCES)
    part = table.part("val")
    assert len(part) == 4 and (part.split == "val").all() and len(part.features["ip1"]) == 4
    with pytest.raises(InvariantNetsError, match="no row with split='test'"):
        table.rows(slice(0, 8)).part("test")
    mixed = table.rows(np.array([0, 5, 1]))
    assert mixed.part("train").nuisance["id"].tolist() == table.nuisance["id"][[0, 1]].tolist()
