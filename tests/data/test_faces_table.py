from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from invariantnets.data import FacesTable
from invariantnets.errors import InvariantNetsError

PEOPLE, EACH = 8, 6


@pytest.fixture
def frame(tmp_path: Path) -> pd.DataFrame:
    """Eight people of six images, on files of one grey value each that says which row it is."""
    rows = []
    for number in np.random.default_rng(0).permutation(PEOPLE * EACH).tolist():
        path = f"{number % PEOPLE:03d}/{number}.png"
        (tmp_path / "faces" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (10, 12), 5 * number).save(tmp_path / "faces" / path)
        rows.append(
            {"path": path, "person": f"{number % PEOPLE:03d}", "yaw": 0.5 * number, "mood": "abc"[number % 3]}
            | {"hat": number % 2 == 0, "ex": 3.0, "ey": 4.0, "mx": 6.0, "my": 9.0}
        )
    return pd.DataFrame(rows)


def make(frame: pd.DataFrame, folder: Path, suffix: str = ".csv", **changes: Any) -> FacesTable:
    table = folder / f"table{suffix}"
    _ = frame.to_csv(table, index=False) if suffix == ".csv" else frame.to_parquet(table)
    known = {"num_classes": 6, "image_shape": [1, 12, 10], "test_fraction": 0.25, "val_fraction": 0.3}
    known |= {"nuisances": ["yaw", "mood", "hat"], "cache_dir": str(folder / "cache")}
    return FacesTable(str(table), **{"root": str(folder / "faces"), **known, **changes})


def listed(data: FacesTable, split: str) -> pd.DataFrame:
    """What a split's bank holds, row by row."""
    bank = data.bank(split)
    columns = {name: values[:, 0].numpy() for name, values in bank.nuisance.items()}
    return pd.DataFrame(
        {"number": bank.image[:, 0, 0, 0, 0].numpy() // 5, "label": bank.label.numpy(), **columns},
        index=data.names(split),
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_the_table_are_rows_of_the_banks(frame: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    data = make(frame, tmp_path, suffix)
    assert [(n.name, n.kind, n.categories) for n in data.spec.nuisances] == [
        ("yaw", "continuous", ()),
        ("mood", "categorical", ("a", "b", "c")),
        ("hat", "binary", ("False", "True")),
    ]
    found = pd.concat([listed(data, split) for split in ("train", "val", "test")])
    assert len(found) == len(frame) and sorted(found.number) == list(range(PEOPLE * EACH))
    expected = frame.assign(name=frame.path.str.removesuffix(".png")).set_index("name").loc[found.index]
    assert (found.yaw == expected.yaw).all() and (found.yaw == 0.5 * found.number).all()
    assert [("abc")[int(code)] for code in found.mood] == expected.mood.tolist()
    assert (found.hat == expected.hat).all()
    assert found.groupby("label").size().tolist() == [EACH] * PEOPLE
    assert expected.person.groupby(found.label.to_numpy()).nunique().tolist() == [1] * PEOPLE
    assert [data.class_names()[label] for label in found.label] == expected.person.tolist()


def test_the_open_set_numbers_its_people_past_the_classes(frame: pd.DataFrame, tmp_path: Path) -> None:
    data = make(frame, tmp_path)
    labels = {split: set(data.bank(split).label.tolist()) for split in ("train", "val", "test")}
    assert labels == {"train": set(range(6)), "val": set(range(6)), "test": {6, 7}}
    assert len(data.bank("val")) == 6 * 2
    train, test = data.identities("train"), data.identities("test")
    assert train is not None and test is not None and len(train) == 6 and not set(train) & set(test)


def test_the_closed_set_tests_on_the_same_people(frame: pd.DataFrame, tmp_path: Path) -> None:
    data = make(frame, tmp_path, division="image", num_classes=PEOPLE)
    assert all(set(data.bank(split).label.tolist()) == set(range(PEOPLE)) for split in ("train", "val", "test"))
    assert data.identities("train") is None


def test_everything_can_be_test(frame: pd.DataFrame, tmp_path: Path) -> None:
    data = make(frame, tmp_path, test_fraction=1, num_classes=0)
    assert [len(data.bank(split)) for split in ("train", "val", "test")] == [0, 0, len(frame)]
    with pytest.raises(InvariantNetsError, match="no train images"):
        data.train_dataloader()


@pytest.mark.parametrize("with_val", [True, False])
def test_a_given_split_is_kept(frame: pd.DataFrame, tmp_path: Path, with_val: bool) -> None:
    frame["part"] = np.where(frame.person < "003", "test", "train")
    if with_val:
        frame.loc[frame.groupby("person").cumcount().eq(0) & frame.part.eq("train"), "part"] = "val"
    data = make(frame, tmp_path, split_column="part", num_classes=5, nuisances=None)
    data.setup()
    assert [n.name for n in data.spec.nuisances] == ["yaw", "mood", "hat", "ex", "ey", "mx", "my"]
    assert data.identities("test") == ("000", "001", "002")
    assert [len(data.bank(split)) for split in ("train", "val", "test")] == ([25, 5, 18] if with_val else [20, 10, 18])


def test_sources_are_unique_over_splits(frame: pd.DataFrame, tmp_path: Path) -> None:
    data = make(frame, tmp_path)
    source = [b.source.flatten() for split in ("train", "val", "test") for b in data.loader(split, 7)]
    assert torch.cat(source).tolist() == list(range(len(frame)))


def test_decoded_once_for_all_processes_and_runs(frame: pd.DataFrame, tmp_path: Path) -> None:
    first = make(frame, tmp_path)
    first.prepare_data()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.u8")}
    second = make(frame, tmp_path, views=2, pairs="same_class", seed=5)
    second.setup()
    assert second.checksum == first.checksum and len(before) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.u8")} == before
    Image.new("L", (10, 12), 255).save(tmp_path / "faces" / frame.path[0])
    os.utime(tmp_path / "faces" / frame.path[0], ns=(1, 1))  # a clock too coarse to see the change
    third = make(frame, tmp_path)
    third.setup()
    assert third.checksum != first.checksum and len(list((tmp_path / "cache").glob("*.u8"))) == 2


@pytest.mark.parametrize(
    "changes", [{"split_seed": 1}, {"nuisances": ["yaw"]}, {"division": "image", "num_classes": 8}]
)
def test_the_checksum_sees_division_and_nuisances(frame: pd.DataFrame, tmp_path: Path, changes: dict) -> None:
    data, other = make(frame, tmp_path), make(frame, tmp_path, **changes)
    data.setup()
    other.setup()
    assert data.checksum != other.checksum


def test_landmarks_align(frame: pd.DataFrame, tmp_path: Path) -> None:
    where = {"landmarks": [["ex", "ey"], ["mx", "my"]], "template": [[0.3, 4 / 12], [0.6, 9 / 12]]}
    plain, aligned = make(frame, tmp_path), make(frame, tmp_path, **where)
    assert torch.equal(plain.bank("test").image, aligned.bank("test").image)  # the template is where they are
    moved = make(frame, tmp_path, **where | {"template": [[0.8, 0.9], [0.9, 0.95]]})
    assert not torch.equal(plain.bank("test").image, moved.bank("test").image)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_array_of_images_will_do(tmp_path: Path, suffix: str, channels: int) -> None:
    shape = (12, 7, 5) if channels == 1 else (12, 7, 5, 3)
    stack = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / f"stack{suffix}"
    _ = np.save(path, stack) if suffix == ".npy" else np.savez(path, images=stack, names=np.arange(12))
    frame = pd.DataFrame({"row": np.arange(12)[::-1], "person": np.arange(12) // 4})
    options = {"root": str(path), "path_column": "row", "nuisances": None, "num_classes": 2}
    data = make(frame, tmp_path, image_shape=[channels, 7, 5], **options)
    for split in ("train", "val", "test"):
        for image, name in zip(data.bank(split).image[:, 0], data.names(split), strict=True):
            assert np.array_equal(image.numpy(), stack[int(name)].reshape(7, 5, channels).transpose(2, 0, 1))
    with pytest.raises(InvariantNetsError, match="'12' is no row of .* which holds 12 images"):
        make(frame.assign(row=frame.row + 1), tmp_path, image_shape=[1, 7, 5], **options).setup()


def drop(frame: pd.DataFrame, folder: Path) -> None:
    (folder / "faces" / frame.path[3]).unlink()


def spoil(frame: pd.DataFrame, folder: Path) -> None:
    for row in (3, 4):
        (folder / "faces" / frame.path[row]).write_bytes(b"\x89PNG\r\n\x1a\nno image")


def test_files_that_cannot_be_read_are_counted(frame: pd.DataFrame, tmp_path: Path) -> None:
    spoil(frame, tmp_path)
    with pytest.raises(InvariantNetsError, match=r"2 of 48 images cannot be read, e.g. \d+/\d+.png") as error:
        make(frame, tmp_path).setup()
    assert min(frame.path[3], frame.path[4]) in str(error.value)
    assert not list((tmp_path / "cache").glob("*.u8"))
    drop(frame, tmp_path)
    with pytest.raises(InvariantNetsError, match=f"1 of 48 images are missing below .*{frame.path[3]}"):
        make(frame, tmp_path).setup()


def emptied(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].astype(object).mask(frame.index.isin([4, 9]), None)})


def shared(frame: pd.DataFrame) -> pd.DataFrame:
    part = np.where(frame.person < "003", "test", "train")
    part[np.flatnonzero(frame.person == "001")[0]] = "train"
    return frame.assign(part=part)


BAD = {
    "no table": (lambda f: f, {"table": "absent.csv"}, "data.table=absent.csv: there is no such file"),
    "no column": (lambda f: f.drop(columns="yaw"), {}, "has no column 'yaw'; it has path, person, mood"),
    "no label": (lambda f: f, {"label_column": "who"}, "has no column 'who'"),
    "no landmark": (
        lambda f: f,
        {"landmarks": [["ex", "ey"], ["nx", "ny"]], "template": [[0, 0], [1, 1]]},
        "has no column 'nx'",
    ),
    "empty landmark": (
        lambda f: emptied(f, "mx"),
        {"landmarks": [["ex", "ey"], ["mx", "my"]], "template": [[0, 0], [1, 1]]},
        "column 'mx' is empty in 2 of 48 rows, first in row 5",
    ),
    "landmarks of text": (
        lambda f: f,
        {"landmarks": [["ex", "mood"], ["mx", "my"]], "template": [[0, 0], [1, 1]]},
        "'mood' is a landmark and must hold numbers",
    ),
    "no template": (lambda f: f, {"landmarks": [["ex", "ey"], ["mx", "my"]]}, "give both"),
    "empty label": (lambda f: emptied(f, "person"), {}, "column 'person' is empty in 2 of 48 rows, first in row 5"),
    "empty path": (lambda f: emptied(f, "path"), {}, "column 'path' is empty in 2"),
    "empty nuisance": (lambda f: f.assign(mood=""), {}, "column 'mood' is empty in 48 of 48 rows"),
    "no row": (lambda f: f[:0], {}, "has no row"),
    "classes": (lambda f: f, {"num_classes": 8}, "data.num_classes=8, but train has 6 people: set data.num_classes=6"),
    "twice": (lambda f: pd.concat([f, f[:2]]), {}, "2 images are listed more than once"),
    "no folder": (lambda f: f, {"root": "absent"}, "data.root=absent: there is no such folder"),
    "channels": (lambda f: f, {"image_shape": [4, 8, 8]}, "choose 1 channel"),
    "crop": (lambda f: f, {"center_crop": 11}, "48 of 48 images cannot be read, .* smaller than center_crop=11"),
    "split": (lambda f: f.assign(part="holdout"), {"split_column": "part"}, "'holdout' is unknown; use train"),
    "overlap": (shared, {"split_column": "part"}, r"1 people are in both train and test \(001\)"),
    "lone val": (
        lambda f: f.assign(part=np.where(f.person == "001", "val", "train")),
        {"split_column": "part", "num_classes": 7},
        "1 people of val are not in train, e.g. 001",
    ),
    "one image": (
        lambda f: f[(f.person != "001") | (f.index == f.index[f.person == "001"][0])],
        {"views": 2, "pairs": "same_class", "test_fraction": 0, "num_classes": 8},
        "1 people have one, e.g. 001",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(frame: pd.DataFrame, tmp_path: Path, case: str) -> None:
    change, options, message = BAD[case]
    with pytest.raises(InvariantNetsError, match=message) as error:
        if "num_classes" not in options and case == "overlap":
            options = {**options, "num_classes": 6}
        if "table" in options:
            FacesTable(options["table"], "faces", 6, [1, 8, 8], "cache")
        make(change(frame), tmp_path, **options).setup()
    assert "\n" not in str(error.value)


def test_names_that_look_like_something_else_are_kept(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["person"] = frame.person.replace({"000": "NA", "001": "nan", "002": "1e3", "003": "True"})
    data = make(frame, tmp_path)
    data.setup()
    people = [*(data.identities("train") or ()), *(data.identities("test") or ())]
    assert sorted(people) == sorted(["NA", "nan", "1e3", "True", "004", "005", "006", "007"])


def test_kinds_and_units_are_as_they_are_said_to_be(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame = frame.assign(
        code=[4 - 2 * (row % 3) for row in range(len(frame))], bald=[row % 2 for row in range(len(frame))]
    )
    kinds = {"yaw": "circular", "code": "categorical", "bald": "binary"}
    options = {"nuisances": ["yaw", "code", "bald", "mood"], "kinds": kinds, "units": {"yaw": "deg"}}
    data = make(frame, tmp_path, **options)
    assert [(n.name, n.kind, n.unit, n.categories) for n in data.spec.nuisances] == [
        ("yaw", "circular", "°", ()),
        ("code", "categorical", "", ("0", "2", "4")),
        ("bald", "binary", "", ("0", "1")),
        ("mood", "categorical", "", ("a", "b", "c")),
    ]
    data.setup()
    rows = {name: row for row, name in enumerate(frame.path.str.removesuffix(".png"))}
    for name, code in zip(data.names("train"), data.bank("train").nuisance["code"][:, 0].tolist(), strict=True):
        assert 2 * code == frame.code[rows[name]]


def test_kinds_and_units_are_said_on_the_command_line() -> None:
    with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        said = ["data.kinds={yaw: circular}", "data.units={yaw: deg}", "data.table=t", "data.root=r"]
        data = compose("train", overrides=["data=faces_table", *said]).data
    assert (data.kinds, data.units) == ({"yaw": "circular"}, {"yaw": "deg"})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"kinds": {"pose": "binary"}}, "data.kinds: pose is no nuisance of .*; it has yaw, mood, hat"),
        ({"units": {"pose": "deg"}}, "data.units: pose is no nuisance"),
        ({"kinds": {"yaw": "angle"}}, "'yaw' is said to be 'angle'; choose from continuous, circular"),
        ({"kinds": {"mood": "circular"}}, "'mood' is said to be circular, but holds '.': numbers are needed"),
        ({"kinds": {"mood": "binary"}}, r"'mood' is said to be binary, but has 3 values \(a, b, c\); say categorical"),
    ],
)
def test_what_a_nuisance_cannot_be(frame: pd.DataFrame, tmp_path: Path, said: dict, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message) as error:
        make(frame, tmp_path, **said)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_people_are_text_and_their_letters_composed_or_not(frame: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    """30 is not 030; of José, half the rows have the accent as a sign of its own."""
    names = {"000": "030", "001": "30", "002": "Jos\u00e9", "003": "Jose\u0301"}
    frame["person"] = frame.person.replace(names)
    data = make(frame, tmp_path, suffix, test_fraction=0, num_classes=7)
    data.setup()
    assert data.identities("train") == ("004", "005", "006", "007", "030", "30", "Jos\u00e9")
    assert np.bincount(data.bank("train").label).tolist() == [4] * 6 + [8]


def test_a_person_with_one_picture_is_trained_on_and_what_that_means_is_said(
    frame: pd.DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    few = frame[(frame.person > "001") | ~frame.person.duplicated()].reset_index(drop=True)  # two people with one
    data = make(few, tmp_path, test_fraction=0, num_classes=8)
    assert {len(data.listed(split)) for split in ("train", "val", "test")} == {2 + 6 * 4, 6 * 2, 0}
    assert (
        "26 pictures of 8 people to train on, 12 pictures of 6 people to validate on, 0 pictures of 0 people to test "
        "on, 2 of those trained on have none to validate on" in caplog.text
    )
    assert set(data.bank("train").label.tolist()) == set(range(8))
    assert data.identities("train") and not (tmp_path / "absent").exists()


def test_the_cmu_faces(tmp_path: Path) -> None:
    root = Path(os.environ.get("INVARIANTNETS_DATA", "absent"))
    if not (root / "cmu_faces").is_dir():
        pytest.skip("INVARIANTNETS_DATA names no folder that holds cmu_faces")
    with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        paths = [f"paths.data_dir={root}", f"paths.cache_dir={tmp_path}"]
        data = instantiate(compose("train", overrides=["data=cmu_faces", *paths]).data, _convert_="all")
    assert [len(data.bank(split)) for split in ("train", "val", "test")] == [395, 42, 187]
    assert data.bank("test").image.shape[1:] == (1, 3, 64, 64) and set(data.bank("test").label.tolist()) == {
        *range(14, 20)
    }
    assert [(n.name, len(n.categories)) for n in data.spec.nuisances] == [("pose", 4), ("expression", 4), ("eyes", 2)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_nuisance_may_be_unknown_in_some_rows(frame: pd.DataFrame, tmp_path: Path, suffix: str) -> None:
    frame.loc[frame.index[4:6], "yaw"] = np.nan
    data = make(emptied(frame, "mood"), tmp_path, suffix, test_fraction=0, num_classes=8)
    data.setup()
    for name in ("yaw", "mood"):
        values = torch.cat([data.bank(split).nuisance[name].flatten() for split in ("train", "val")])
        assert int(torch.isnan(values).sum()) == 2 and len(values) == 48
