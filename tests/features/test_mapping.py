"""What is named is taken, what is guessed is said, and what may be two things is asked about."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.features.io import table_of_frame
from invariantnets.features.mapping import Mapped, map_columns
from invariantnets.features.reading import Raw, read

N = 12
X = np.random.default_rng(0).normal(size=(N, 6))
WHO = np.array(["ann", "bob", "cy"] * 4)
SPLIT = np.array(["train", "val", "test"] * 4)
YAW = np.linspace(-90, 90, N)
BBOX, KPS = np.random.default_rng(1).normal(size=(2, N, 4))
KPS = np.random.default_rng(1).normal(size=(N, 10))
SHADOWS = np.where(np.random.default_rng(2).random((N, 3)) > 0.5, 1, -1)


def mapped(arrays: dict[str, Any], **mapping: Any) -> Mapped:
    return map_columns(Raw({name: np.asarray(values) for name, values in arrays.items()}), owner="t", **mapping)


def numbered(pattern: str, count: int = 6, start: int = 0) -> dict[str, np.ndarray]:
    """The columns of X in another order than that of their numbers."""
    return {pattern.format(i + start): X[:, i] for i in reversed(range(count))}


@pytest.mark.parametrize(
    ("pattern", "start", "said"),
    [
        ("f{}", 0, None),
        ("{}", 0, "0 … 5"),
        ("feat_{}", 0, "feat_0 … feat_5"),
        ("emb_{:03d}", 0, "emb_000 … emb_005"),
        ("embedding_{}", 0, "embedding_0 … embedding_5"),
        ("x{}", 0, "x0 … x5"),
        ("V{}", 1, "V1 … V6"),
        ("Feature {}", 0, "Feature 0 … Feature 5"),
        ("pca.{}", 1, "pca.1 … pca.6"),
    ],
)
def test_numbered_columns_are_features(pattern: str, start: int, said: str | None) -> None:
    found = mapped({**numbered(pattern, start=start), "label": WHO, "split": SPLIT, "yaw": YAW})
    assert list(found.features) == ["features"] and np.array_equal(found.features["features"], X)
    assert set(found.columns) == {"label", "split", "yaw"}
    wanted = f"the columns {said} were taken as the 6 numbers of a layer, 'features'; nuisances=[…] takes single ones"
    assert found.remarks == ([wanted] if said else [])


def test_many_columns_of_any_beginning_are_a_layer_and_few_are_columns() -> None:
    wide = np.random.default_rng(3).normal(size=(N, 9))
    ours = {f"vgg_{i}": wide[:, i] for i in range(9)}
    found = mapped({**ours, "label": WHO, "corner1": YAW, "corner2": YAW})
    assert list(found.features) == ["vgg"] and np.array_equal(found.features["vgg"], wide)
    assert set(found.columns) == {"label", "corner1", "corner2"}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        *(
            (name, "label")
            for name in ("y", "target", "class", "person", "identity", "id_name", "subject", "who", "labels")
        ),
        *((name, "label") for name in ("Label", "PERSON")),
        *((name, "split") for name in ("set", "subset", "Split")),
        *((name, "source") for name in ("photo", "video", "image_id")),
        *((name, "name") for name in ("img_path", "path", "file", "filename", "image", "paths")),
    ],
)
def test_guessed_names_are_said(name: str, role: str) -> None:
    usual = {
        "label": WHO,
        "split": SPLIT,
        "source": np.arange(N) // 2,
        "name": np.array([f"{i}.jpg" for i in range(N)]),
    }
    arrays = {"embedding": X, **{(name if key == role else key): values for key, values in usual.items()}}
    found = mapped(arrays)
    assert set(found.columns) == set(usual) and np.array_equal(found.columns[role], usual[role])
    (remark,) = found.remarks
    assert remark.startswith(f"{role}={name} was taken as ") and remark.endswith(f"; {role}=<column> takes another")
    again = mapped(arrays, **{role: name})
    assert not again.remarks and np.array_equal(again.columns[role], usual[role])


def test_a_path_that_comes_back_says_what_rows_have_in_common() -> None:
    found = mapped({"embedding": X, "label": WHO, "img_path": np.array([f"{i // 2}.jpg" for i in range(N)])})
    assert "source" in found.columns and "name" not in found.columns
    assert found.remarks == ["source=img_path was taken as what rows have in common; source=<column> takes another"]


def test_names_of_classes_are_no_classes() -> None:
    """As scikit-learn's data sets come."""
    found = mapped({"X": X, "y": np.arange(N) % 3, "target_names": np.array(["ann", "bob", "cy"])})
    assert list(found.features) == ["X"] and found.columns["label"].tolist() == [0, 1, 2] * 4
    assert found.remarks[0] == "target_names (3,) was left out: it has no value a row"


def test_numbers_to_be_predicted_are_no_classes() -> None:
    found = mapped({"X": X, "y": YAW})
    assert set(found.columns) == {"y"} and not found.remarks


def test_what_is_named_is_taken() -> None:
    arrays = {
        "embedding": X,
        "label": WHO[::-1],
        "person": WHO,
        "set": SPLIT,
        "yaw": YAW,
        "race": WHO,
        "roll": YAW[::-1],
    }
    found = mapped(arrays, label="person", source="person", nuisances=["roll", "race"])
    assert list(found.columns) == ["label", "split", "source", "roll", "race"]
    assert np.array_equal(found.columns["label"], WHO) and np.array_equal(found.columns["source"], WHO)
    assert "column 'label' was left out: label=person was given" in found.remarks
    found = mapped(arrays, ignore=["label", "roll"])
    assert set(found.columns) == {"label", "split", "yaw", "race"} and np.array_equal(found.columns["label"], WHO)


def test_one_matrix_is_the_features_and_boxes_are_not() -> None:
    beside = {"bbox": BBOX, "kps": KPS.reshape(N, 5, 2), "label": WHO, "yaw": YAW}
    for name in ("embedding", "face_features", "X", "fc7"):
        found = mapped({name: X, **beside})
        assert list(found.features) == [name] and set(found.columns) == {"label", "yaw"}
        assert found.remarks == [
            f"bbox (12, 4) and kps (12, 5, 2) were left out: {name} was taken as the features; layers=[…] takes "
            "others, nuisances=[…] their columns"
        ]
    found = mapped({"embedding": X, "thumbnail": KPS, "label": WHO})
    assert list(found.features) == ["embedding"] and "thumbnail (12, 10) was left out" in found.remarks[0]


def test_several_matrices_are_asked_about() -> None:
    arrays = {"conv1": X, "ip1": BBOX, "ip2": KPS, "label": WHO}
    line = (
        r"^t: which matrix holds the features\? There are conv1 \(12, 6\), ip1 \(12, 4\) and ip2 \(12, 10\); say "
        r"layers=conv1, or layers=all for each$"
    )
    with pytest.raises(InvariantNetsError, match=line):
        mapped(arrays)
    assert list(mapped(arrays, layers="all").features) == ["conv1", "ip1", "ip2"]
    assert list(mapped(arrays, layers="ip1").features) == ["ip1"]
    assert list(mapped(arrays, layers=["ip2", "conv1"]).features) == ["ip2", "conv1"]
    assert list(mapped({"embedding": X, "bbox": BBOX}, layers=["bbox"]).features) == ["bbox"]


def test_a_matrix_of_one_column_is_a_column() -> None:
    found = mapped({"embedding": X, "label": WHO[:, None], "yaw": YAW[:, None]})
    assert np.array_equal(found.columns["yaw"], YAW) and np.array_equal(found.columns["label"], WHO)
    assert "yaw (12, 1) was taken as a column; layers=yaw takes it as features" in found.remarks
    assert list(mapped({"features": YAW[:, None], "label": WHO}).features) == ["features"]
    assert list(mapped({"embedding": X, "yaw": YAW[:, None]}, layers=["yaw"]).features) == ["yaw"]


def test_a_matrix_of_attributes_comes_apart_where_it_is_named() -> None:
    arrays = {"embedding": X, "label": WHO, "attributes": SHADOWS, "yaw": YAW}
    found = mapped(arrays, nuisances=["attributes", "yaw"])
    assert list(found.columns) == ["label", "attributes_0", "attributes_1", "attributes_2", "yaw"]
    assert np.array_equal(found.columns["attributes_1"], SHADOWS[:, 1]) and list(found.features) == ["embedding"]
    named = {**arrays, "attr_names": np.array(["Bald", "Smiling", "Hat"])}
    assert list(mapped(named, nuisances=["attributes"]).columns) == ["label", "Bald", "Smiling", "Hat"]
    found = mapped(named)
    assert set(found.columns) == {"label", "yaw"}
    assert "attributes (12, 3) was left out" in found.remarks[0] and "attr_names (3,) was left out" in found.remarks[1]


PATHS = np.array([f"a/{i}" for i in range(N)], object)


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("thumb", PATHS, "it has 12 different texts in 12 rows, so it names them (an id, a path)"),
        ("taken", np.arange(N).astype("datetime64[D]"), "it holds dates"),
        ("taken", np.array(["2024-01-05", "2024-02-06"] * 6), "it holds dates"),
        ("taken", np.array(["5.1.2024 10:30", "06/02/24"] * 6), "it holds dates"),
        ("camera", np.array(["a"] * N), "it has one value only (a)"),
        ("light", np.ones(N), "it has one value only (1.0)"),
        ("light", np.full(N, np.nan), "it has no value"),
        ("note", np.array([None] * N, object), "it has no value"),
        ("idx", np.arange(N)[::-1], "it numbers the rows"),
        ("fold", np.arange(N) % 4, "it says which fold a row is in; split=fold takes it as the split"),
    ],
)
def test_what_cannot_be_predicted_is_left_out_and_said(name: str, values: np.ndarray, why: str) -> None:
    found = mapped({"embedding": X, "label": WHO, "yaw": YAW, name: values})
    assert set(found.columns) == {"label", "yaw"} and found.remarks == [f"column {name!r} was left out: {why}"]


def test_what_is_named_is_not_left_out() -> None:
    arrays = {"embedding": X, "thumb": PATHS, "idx": np.arange(N), "light": np.ones(N)}
    assert set(mapped(arrays, nuisances=["thumb", "idx", "light"]).columns) == {"thumb", "idx", "light"}


def test_a_prediction_is_text_where_the_label_is() -> None:
    label = np.array(["030", "7", "12"] * 4, object)
    found = mapped({"embedding": X, "label": label, "prediction": np.array([7, 7, 12] * 4)})
    assert found.columns["prediction"].tolist() == ["7", "7", "12"] * 4


@pytest.mark.parametrize(
    ("arrays", "mapping", "line"),
    [
        ({}, {"label": "persn"}, "label=persn: there is no such column; did you mean person?"),
        ({}, {"split": "zzz"}, "split=zzz: there is no such column; there are embedding, person, yaw"),
        ({}, {"ignore": ["age"]}, "ignore=age: there is no such column; there are embedding, person, yaw"),
        ({}, {"nuisances": ["yow"]}, "nuisances=yow: there is no such column; did you mean yaw?"),
        ({}, {"layers": "fc7"}, "layers=fc7: there is no such layer; choose from embedding, or all"),
        ({}, {"ignore": "yaw", "nuisances": "yaw"}, "'yaw' is both used and ignored; take it out of one of the two"),
        ({"class": WHO}, {}, "'class' and 'person' may both be the class; say label=class, or ignore one"),
        (
            {"photo": WHO, "video": WHO},
            {},
            "'photo' and 'video' may both be what rows have in common; say source=photo",
        ),
        ({"features": X}, {}, "which matrix holds the features? There are embedding (12, 6) and features (12, 6)"),
        ({"bbox": BBOX}, {"label": "bbox"}, "label=bbox has shape (12, 4); it must be one column"),
        (
            {"at": np.arange(N).astype("M8[D]")},
            {"nuisances": "at"},
            "nuisance 'at' holds dates; give a number (an hour",
        ),
        (
            {"kps": KPS, "kps_3": YAW},
            {"nuisances": ["kps", "kps_3"]},
            "two columns would be called 'kps_3'; rename one",
        ),
        (numbered("f{}") | {"f8": YAW}, {}, "column 'f6' is missing before 'f8': features are numbered from 0 or 1"),
        (numbered("emb_{:03d}", start=2), {}, "column 'emb_001' is missing before 'emb_002'"),
        (numbered("f{}") | {"f03": YAW}, {}, "have one number; rename one"),
    ],
)
def test_what_is_refused(arrays: dict[str, Any], mapping: dict[str, Any], line: str) -> None:
    with pytest.raises(InvariantNetsError) as caught:
        mapped({"embedding": X, "person": WHO, "yaw": YAW, **arrays}, **mapping)
    message = str(caught.value)
    assert message.startswith("t: ") and line in message and "\n" not in message


def test_too_many_texts_are_refused_though_they_are_named() -> None:
    texts = np.array([f"{i}" for i in range(1500)] * 2, object)
    with pytest.raises(
        InvariantNetsError, match="'thumb' has 1,500 different texts in 3,000 rows, more than the 1,000"
    ):
        mapped({"embedding": np.zeros((3000, 2)), "thumb": texts}, nuisances=["thumb"])


def test_a_kind_of_a_column_that_was_left_out_says_why() -> None:
    frame = pd.DataFrame({**numbered("f{}"), "label": WHO, "split": SPLIT, "yaw": YAW, "thumb": PATHS})
    line = r"kinds and units: column 'thumb' was left out: it has 12 different texts.*nuisances=\[…\] with thumb"
    with pytest.raises(InvariantNetsError, match=line):
        table_of_frame(frame, kinds={"thumb": "categorical"})
    table = table_of_frame(frame, kinds={"thumb": "categorical"}, nuisances=["thumb", "yaw"])
    assert [nuisance.name for nuisance in table.nuisances] == ["thumb", "yaw"]


def test_a_data_frame_with_a_name_twice_is_refused() -> None:
    frame = pd.DataFrame(np.ones((3, 3)), columns=["f0", "yaw", "yaw"])
    with pytest.raises(InvariantNetsError, match=r"column 'yaw' stands there twice \(columns 2 and 3\); rename one"):
        table_of_frame(frame)


CASES = Path(os.environ.get("INVARIANTNETS_DATA", "absent")).parent / "cases" / "tables.py"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables as public reports show them."""
    if not CASES.is_file():
        pytest.skip("INVARIANTNETS_DATA names no folder with cases/tables.py beside it")
    folder = tmp_path_factory.mktemp("cases")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tables.py", str(folder)])
        runpy.run_path(str(CASES))
    return folder


def test_cases_of_public_reports(cases: Path) -> None:
    alone = np.load(cases / "pipeline_embedding_only.npz")
    for name in ("pipeline", "pipeline_embedding_only", "pipeline_yaw_column"):
        found = map_columns(read(cases / f"{name}.npz"))
        assert list(found.features) == ["embedding"] and set(found.columns) == {"label", "split", "yaw"}
        assert np.array_equal(found.features["embedding"], alone["embedding"])
        assert np.array_equal(found.columns["yaw"], alone["yaw"])
    found = map_columns(read(cases / "path_column.csv"))
    assert found.features["features"].shape == (6000, 16) and found.columns["name"][5] == "a/5.jpg"
    assert set(found.columns) == {"label", "split", "name", "yaw"}
    found = map_columns(read(cases / "bare.npz"))
    assert list(found.features) == ["embeddings"] and list(found.columns) == ["yaw"]
