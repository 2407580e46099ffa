"""Tables as people have them: what is missing, spelt otherwise, copied or odd is said, left out or refused."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import run_suite
from invariantnets.features import FeatureTable
from invariantnets.features.matrix import check_far, copies, kept, ordered, zero_rows

ROWS = 240
RNG = np.random.default_rng(0)
LABEL = np.repeat(np.arange(8), 30)
YAW = RNG.uniform(-60, 60, ROWS)
X = RNG.normal(size=(8, 16))[LABEL] + RNG.normal(size=(ROWS, 16)) + np.outer(YAW / 30, RNG.normal(size=16))
SPLIT = np.tile(np.repeat(["train", "val", "test"], [18, 6, 6]), 8)


def table(**changes: Any) -> FeatureTable:
    given = {"features": X, "label": LABEL, "split": SPLIT, "yaw": YAW, **changes}
    return FeatureTable.from_arrays(given.pop("features"), **given)


def remarks(made: FeatureTable) -> str:
    return " | ".join(made.meta["remarks"])


def test_without_labels_nuisances_are_probed_and_nothing_is_said_of_classes():
    made = table(label=None)
    assert not made.labelled
    results = run_suite(made, ["mav", "ridge", "ridge/per_label", "knn"]).results
    (best,) = [r for r in results if r.probe == "strongest" and r.metric == "r2"]
    assert best.value > 0.5
    assert not [r for r in results if r.about in ("class", "identity") or "per_label" in r.probe]
    assert not [r for r in results if r.metric in ("ideal_rank", "variance_in_ideal_rank", "within_between")]


def test_one_class_is_no_label():
    made = table(label=np.full(ROWS, 7))
    assert not made.labelled and "every row is of class 7, so nothing is said of classes" in remarks(made)


@pytest.mark.parametrize("division", [None, "identity"])
def test_a_split_that_is_not_given_is_drawn_by_source_and_recorded(division):
    source = np.arange(ROWS) // 3
    made = table(split=None, source=source, division=division, seed=5)
    who = "person" if division else "image"
    assert f"drawn by {who}" in made.meta["division"] and "seed 5" in remarks(made)
    assert set(made.split) == {"train", "val", "test"}
    for number in np.unique(made.source):
        assert len(set(made.split[made.source == number])) == 1
    tested, trained = (set(made.label[made.split == s]) for s in ("test", "train"))
    assert not tested & trained if division else tested == trained
    again, other = (table(split=None, source=source, division=division, seed=s) for s in (5, 6))
    assert np.array_equal(made.nuisance["yaw"], again.nuisance["yaw"])
    assert not np.array_equal(made.nuisance["yaw"], other.nuisance["yaw"])


def test_validation_is_taken_from_train_where_there_is_none():
    made = table(split=np.where(SPLIT == "val", "train", SPLIT))
    assert "no row is of split val: a fifth of the train images were taken, seed 0" in remarks(made)
    assert np.count_nonzero(made.split == "val") == round(0.2 * 24) * 8
    assert np.count_nonzero(made.split == "test") == 48


@pytest.mark.parametrize(
    ("spelt", "said"),
    [
        (("Train", "valid", "TEST"), "the split 'TEST' as test, 'Train' as train, 'valid' as val was understood"),
        ((0, 1, 2), "the split '0' as train, '1' as val, '2' as test was understood"),
        ((0.0, 1.0, 2.0), "the split '0' as train, '1' as val, '2' as test was understood"),
        (("train", "val", "test"), ""),
    ],
)
def test_splits_that_are_spelt_otherwise(spelt, said):
    made = table(split=np.array([spelt[("train", "val", "test").index(s)] for s in SPLIT]))
    assert [np.count_nonzero(made.split == s) for s in ("train", "val", "test")] == [144, 48, 48]
    assert np.array_equal(made.nuisance["yaw"], table().nuisance["yaw"])
    assert remarks(made) == said


def test_ids_are_text_and_accents_have_one_form():
    names = np.array(["030", "30", "Jose\u0301", "José"] * 60)
    made = table(label=names)
    assert made.classes == ("030", "30", unicodedata.normalize("NFC", "José"))


@pytest.mark.parametrize("kind", ["exact", "half precision"])
def test_copies_across_splits_are_left_out_and_counted(kind):
    x, y, label = X.copy(), YAW.copy(), LABEL.copy()
    test, train = np.flatnonzero(SPLIT == "test")[:10], np.flatnonzero(SPLIT == "train")[:10]
    x[test], y[test], label[test] = x[train], y[train], label[train]
    if kind == "half precision":
        x[test] = x[test].astype(np.float16)
    made = table(features=x, yaw=y, label=label)
    assert len(made) == ROWS - 10
    assert "10 rows of val and test are copies of rows that the probes are fitted or chosen on" in remarks(made)
    other = table(features=x, yaw=YAW, label=label)
    assert len(other) == ROWS, "the same features of another pose are no copy"
    assert "10 of 240 rows equal others in their features, but not in class or nuisance (as row 25 and 1)" in remarks(
        other
    )
    own = table(features=x, yaw=y, label=label, source=np.arange(ROWS))
    assert len(own) == ROWS - 10
    assert "10 of 240 rows are copies of rows of another source (as row 25 and 1)" in remarks(own)


def test_copies_stay_together_where_a_split_is_drawn():
    x, y = np.concatenate([X, X]), np.concatenate([YAW, YAW])
    made = table(features=x, yaw=y, label=np.tile(LABEL, 2), split=None)
    assert len(made) == 2 * ROWS and len(np.unique(made.source)) == ROWS
    assert f"{ROWS} of {2 * ROWS} rows are copies of others, and count as one image with them" in remarks(made)


def test_features_of_few_values_are_no_copies():
    few = np.repeat(np.eye(8), 30, axis=0)
    assert np.array_equal(np.sort(table(features=few).source), np.arange(ROWS))


def test_rows_of_classes_that_nobody_was_fitted_to_are_left_out():
    label = LABEL.copy()
    label[np.flatnonzero(SPLIT == "test")[:2]] = 99
    made = table(label=label)
    assert "2 rows of val and test are of classes without a row in train, and were left out" in remarks(made)
    assert made.num_classes == 8 and len(made) == ROWS - 2


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (np.array([f"a/{i}.jpg" for i in range(ROWS)]), "240 different texts in 240 rows name the rows"),
        (np.arange(ROWS).astype("datetime64[D]"), "dates and times are no nuisance as they are"),
        (np.arange(ROWS) % 4, "holds 4 whole numbers (0 to 3), taken as an amount; if they stand for names: kinds="),
        (np.where(np.arange(ROWS) % 3, YAW, np.nan), "is unknown in 80 of 240 rows, which count for the others only"),
    ],
)
def test_what_is_assumed_of_a_column_is_said(column, said):
    assert said in remarks(table(other=column))


def test_all_zero_rows_are_counted():
    x = X.copy()
    x[:5] = 0
    assert "5 of 240 rows of 'features' are zero throughout" in remarks(table(features=x))
    assert zero_rows(x) == 5


@pytest.mark.parametrize(("column", "said"), [(1.7e9 + YAW, True), (YAW, False)])
def test_a_column_that_drowns_all_others_is_named(column, said):
    drowned = "column 16 of 'features' makes up all but the whole length of the rows"
    assert (drowned in remarks(table(features=np.c_[X, column]))) is said


def test_a_nuisance_that_never_varies_within_a_class_is_marked():
    made = table(gender=np.array(["f", "m"])[LABEL % 2], light=RNG.normal(size=ROWS))
    assert {n.name: n.fixed for n in made.nuisances} == {"yaw": False, "gender": True, "light": False}
    one = np.array(["f"] * (ROWS - 1) + ["m"])
    lonely = table(label=np.where(np.arange(ROWS) == ROWS - 1, 8, LABEL), split=None, gender=one)
    assert not any(n.fixed for n in lonely.nuisances), "of the one row of a class nobody knows whether it varies"
    unlabelled = table(label=None, gender=np.array(["f", "m"])[LABEL % 2])
    assert not any(n.fixed for n in unlabelled.nuisances)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": LABEL + 0.5}, "column 'label' holds 0.5 in row 1: classes, people and sources are whole numbers"),
        (
            {"label": np.where(LABEL == 3, np.nan, LABEL)},
            "'label' has missing values in 30 of 240 rows, the first is row 91",
        ),
        ({"split": np.where(SPLIT == "val", "holdout", SPLIT)}, "split 'holdout' is unknown; use train, val, test"),
        (
            {"prediction": np.array([f"n{i}" for i in LABEL])},
            "'prediction' speaks of other classes than 'label': 240 of 240",
        ),
        ({"prediction": LABEL + 500}, "as 500, are of none of 8 classes"),
        ({"kinds": {"jaw": "circular"}}, "kinds and units: there is no nuisance 'jaw'; it has yaw"),
        ({"yaw": YAW[:-1]}, "'yaw' has 239 rows, 'label' has 240"),
        ({"yaw": np.stack([YAW, YAW])}, "column 'yaw' has shape (2, 240); one value a row is needed"),
        ({"features": X.astype(str)}, "numbers (N, D) are needed"),
        ({"features": X[:, :0]}, "numbers (N, D) are needed"),
        (
            {"features": np.where(np.arange(16) == np.arange(ROWS)[:, None] - 4, 1e30, X)},
            "hold 1e+30 in row 5, column 0",
        ),
        ({"features": np.where(np.arange(ROWS)[:, None] % 20, X, -1e9)}, "hold -1e+09 in row 1, column 0"),
        ({"name": np.repeat("a", ROWS)}, "column 'name' has 'a' 240 times"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(changes, message):
    with pytest.raises(InvariantNetsError) as error:
        table(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("x", "dtype"),
    [
        (X, np.float32),
        (X.astype(np.float16), np.float32),
        (X * 1e20, np.float32),
        (X * 1e-24, np.float32),
        (X * 1e60, np.float64),
        (X * 1e-60, np.float64),
        (X + 1e6, np.float64),
        (np.c_[X, 1.7e9 + YAW], np.float64),
        (np.round(X * 100).astype(np.int64), np.float32),
        (np.round(X * 100).astype(np.int64) + 2**53 // 4, np.float64),
    ],
)
def test_double_precision_stays_where_single_would_lose_it(x, dtype):
    found = kept(x)
    assert found.dtype == dtype
    spread = np.abs(x - x.astype(np.float64).mean(0)).max(0)
    assert (np.abs(found.astype(np.float64) - x) <= 1e-5 * spread).all()


def test_copies_are_found_by_comparing_all_with_all():
    """The slow version: every pair of rows."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 24)).astype(np.float32)
    x[300:330], x[400:420] = x[:30], x[100:120].astype(np.float16)
    x[500:520] = x[:20] * (1 + 1e-2)  # near, but another picture
    apart = np.linalg.norm(x[:, None] - x, axis=2)
    near = apart <= 1e-3 * np.median(apart[np.triu_indices(600, 1)])
    assert np.array_equal(copies(x), near.argmax(1))


def test_rows_of_a_mapped_file_are_ordered_block_by_block(tmp_path):
    x = np.random.default_rng(0).normal(size=(9000, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    order = np.random.default_rng(1).permutation(9000)[:8500]
    for given in (np.load(tmp_path / "x.npy", mmap_mode="r"), x):
        assert np.array_equal(ordered(np.asarray(given), order), x[order])
        assert np.array_equal(given, x)
    written = np.load(tmp_path / "x.npy", mmap_mode="c")
    written[:] = 1
    assert (ordered(written, order) == 1).all() and (written == 1).all()


def test_a_heavy_tail_is_not_far():
    check_far(10 ** np.random.default_rng(0).uniform(-4, 4, (500, 8)), "x", "table")
    sparse = np.where(np.random.default_rng(0).random((500, 8)) < 0.01, 1e3, 1e-3)
    check_far(sparse + np.random.default_rng(0).normal(size=(500, 8)), "x", "table")


def test_what_one_calls_the_label_is_no_nuisance() -> None:
    x, who = np.zeros((4, 2)) + np.arange(4)[:, None], ["a", "a", "b", "b"]
    for name in ("labels", "who", "person", "target", "y"):
        with pytest.raises(InvariantNetsError, match=f"{name}= would be a nuisance.*label={name}"):
            FeatureTable.from_arrays(x, **{name: who})
    assert [n.name for n in FeatureTable.from_arrays(x, label=who, y=[0.5, 1, 2, 3]).nuisances] == ["y"]


def test_a_column_called_as_people_are_is_divided_by_them() -> None:
    frame = pd.DataFrame({"who": np.repeat(np.arange(20), 5), "kind": np.repeat(np.arange(20), 5)})
    x = np.random.default_rng(0).normal(size=(100, 3))
    people, kinds = (FeatureTable.from_arrays(x, label=frame[name]) for name in frame)
    assert not set(people.label[people.split == "test"]) & set(people.label[people.split != "test"])
    assert set(kinds.label[kinds.split == "test"]) & set(kinds.label[kinds.split != "test"])


def test_it_is_shown_in_a_line() -> None:
    shown = repr(
        FeatureTable.from_arrays(np.eye(6), label=list("abcabc"), split=["train", "val", "test"] * 2, yaw=range(6))
    )
    assert shown == (
        "FeatureTable: 6 rows (2 train, 2 val, 2 test); features features (6); 3 classes; nuisances yaw (continuous)"
    )


def test_what_is_no_table_is_told_how_to_become_one() -> None:
    frame = pd.DataFrame({"f0": [1.0], "f1": [2.0]})
    with pytest.raises(InvariantNetsError, match=r"DataFrame is no table of features: FeatureTable\.from_frame"):
        run_suite(frame)
    with pytest.raises(InvariantNetsError, match=r"there is no labels=.*did you mean label=\?"):
        FeatureTable.from_frame(frame, labels="who")
    with pytest.raises(InvariantNetsError, match=r"np\.stack"):
        FeatureTable.from_arrays(np.array([[1.0], [2.0, 3.0]], dtype=object))


def test_features_of_mirrored_faces_tell_how_far_and_not_to_which_side() -> None:
    """Their yaw is gone by its R², and all of it but the side is there."""
    rng = np.random.default_rng(3)
    far = np.outer(np.abs(YAW) / 30, rng.normal(size=16))
    made = table(features=rng.normal(size=(8, 16))[LABEL] + far + 0.1 * rng.normal(size=X.shape), light=YAW**2)
    found = run_suite(sized := made.with_magnitudes(["yaw"]), ["ridge"])
    assert [n.name for n in sized.nuisances] == ["yaw", "|yaw|", "light"]
    r2 = {r.target: r.value for r in found.results if (r.probe, r.metric) == ("ridge", "r2") and not r.where}
    assert r2["yaw"] < 0.05 and r2["|yaw|"] > 0.9
    unsaid = "features that tell how far"
    assert not any(unsaid in remark for remark in found.record["remarks"])
    assert any(r.startswith("yaw: " + unsaid) for r in run_suite(made, ["ridge"]).record["remarks"])
    plain = run_suite(table(), ["ridge"])  # of a yaw that is read nobody says that it is forgotten
    assert any(r.target == "yaw" and r.metric == "r2" and r.value > 0.5 for r in plain.results)
    assert not any(unsaid in remark for remark in plain.record["remarks"])
    with pytest.raises(InvariantNetsError, match=r"no nuisance 'Yaw' \(nuisances: yaw, light\)"):
        made.with_magnitudes(["Yaw"])
