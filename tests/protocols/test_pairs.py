"""Lists of pairs on a table: what is measured, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from invariantnets.analysis import Material
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import measure
from invariantnets.features.table import FeatureTable
from invariantnets.protocols import run_pairs, run_protocols, unfit
from invariantnets.protocols.listed import deal, resolve
from invariantnets.protocols.pair_lists import read_pair_list

REAL = Path(os.environ.get("INVARIANTNETS_DATA", "none"))


Faces = Callable[..., FeatureTable]


@pytest.fixture
def table(make_faces: Faces) -> FeatureTable:
    return make_faces(people=24, images=4, train=0)


def lines_of(people: range, answer: Callable[[bool], str] = lambda same: str(int(same))) -> list[str]:
    """For each of an even number of people a pair of one and a pair of two; no person is in two folds of two."""
    made = []
    for p, q in zip(people[::2], people[1::2], strict=True):
        for i, j in ((p, q), (q, p)):
            made.append(f"p{i:03d}/p{i:03d}_0001.jpg p{i:03d}/p{i:03d}_0002.jpg {answer(True)}")
            made.append(f"p{i:03d}/p{i:03d}_0003.jpg p{j:03d}/p{j:03d}_0004.jpg {answer(False)}")
    return made


def write(tmp_path: Path, lines: list[str]) -> Path:
    (tmp_path / "mine.txt").write_text("\n".join(lines))
    return tmp_path / "mine.txt"


def test_a_list_on_a_table(table: FeatureTable, tmp_path: Path) -> None:
    path = write(tmp_path, lines_of(range(24)))
    results = run_pairs(table, "F7", list=path, folds=4, bootstrap=20)
    by_metric = {r.metric: r for r in results if not r.where}
    pairs, person, note = resolve(table, read_pair_list(path), 4, 0)
    x = table.features["F7"] / np.linalg.norm(table.features["F7"], axis=1, keepdims=True)
    expected = roc_auc_score(pairs.same, (x[pairs.left] * x[pairs.right]).sum(1))
    assert by_metric["auc"].value == pytest.approx(expected) and by_metric["auc"].n == 48
    assert "without the ending of the file" in note and "the list has no folds: 4 were drawn, seed 0" in note
    assert "two folds" not in note and by_metric["accuracy"].note.endswith(note)
    for fold in range(4):
        here = pairs.fold == fold
        inside, outside = (set(person[np.r_[pairs.left[m], pairs.right[m]]]) for m in (here, ~here))
        assert here.sum() == 12 and not inside & outside


def test_chance_of_a_list_that_is_not_balanced_is_the_more_frequent_answer(table: FeatureTable, tmp_path: Path) -> None:
    lines = [line for i, line in enumerate(lines_of(range(24))) if i % 8 == 0 or line.endswith("0")]
    results = run_pairs(table, "F7", list=write(tmp_path, lines), folds=3, bootstrap=5)
    assert next(r for r in results if r.metric == "accuracy").chance == pytest.approx(24 / 30)


def test_people_are_found_without_labels(table: FeatureTable, tmp_path: Path) -> None:
    listed = read_pair_list(write(tmp_path, lines_of(range(24))))
    bare = replace(table, label=np.zeros(len(table), int), num_classes=1)
    expected = resolve(table, listed, 4, 0)[1]
    for rename, by in (
        (lambda name: name, "the folder in the names"),
        (lambda name: name.partition("/")[2], "the names without their last number"),
        (lambda name: str(hash(name)), "the pairs themselves"),
    ):
        pairs = [
            p._replace(a=rename(p.a.removesuffix(".jpg")), b=rename(p.b.removesuffix(".jpg"))) for p in listed.pairs
        ]
        named = replace(bare, name=np.array([rename(name) for name in table.name]))
        found, person, note = resolve(named, replace(listed, pairs=pairs), 4, 0)
        assert by in note
        assert np.array_equal(person[found.left] == person[found.right], found.same)
        if "pairs" not in by:
            assert np.array_equal(expected[found.left] == expected[found.right], found.same)


def test_labels_that_are_no_people_are_not_taken_for_them(table: FeatureTable, tmp_path: Path) -> None:
    race = replace(table, label=table.label // 2 % 3, num_classes=3)
    assert "by the folder" in resolve(race, read_pair_list(write(tmp_path, lines_of(range(24)))), 4, 0)[2]


def test_people_in_two_folds_are_said_and_the_same_pair_counts_once(table: FeatureTable, tmp_path: Path) -> None:
    lines = [f"{line} {i % 2}" for i, line in enumerate(lines_of(range(24)))]
    a, b, *rest = lines[1].split()
    pairs, _, note = resolve(table, read_pair_list(write(tmp_path, [*lines, " ".join([b, a, *rest])])), 10, 0)
    assert len(pairs) == len(lines) and "1 pairs that are listed twice count once" in note
    assert "24 of 24 people are in two folds or more: thresholds were chosen with pictures of people" in note


def test_a_list_that_links_everybody_is_dealt_by_person() -> None:
    ring = np.stack([np.arange(50), (np.arange(50) + 1) % 50], 1)
    fold = deal(ring, 5, 0)
    assert np.bincount(fold).tolist() == [10] * 5 and not np.array_equal(fold, deal(ring, 5, 1))


FAULTS = {
    "itself": (
        ["p000/p000_0001.jpg p000/p000_0001.jpg 1"],
        "line 49: the pair p000/p000_0001.jpg and p000/p000_0001.jpg is an image with itself, which any network finds "
        "the same; take it out",
    ),
    "different of one": (
        ["p000/p000_0001.jpg p000/p000_0003.jpg 0"],
        "line 49: the pair p000/p000_0001.jpg and p000/p000_0003.jpg is said to show two people, who by the labels of "
        "the table are one person; mend the list, or what names the person",
    ),
    "same of two": (
        ["p000/p000_0001.jpg p001/p001_0003.jpg 1", "p000/p000_0002.jpg p001/p001_0003.jpg 1"],
        "line 49: the pair p000/p000_0001.jpg and p001/p001_0003.jpg .and 1 more pairs. is said to show one person, "
        "who by the labels of the table are two people; mend the list, or what names the person",
    ),
    "two answers": (
        ["p000/p000_0002.jpg p000/p000_0001.jpg 0"],
        "line 49: the pair p000/p000_0002.jpg and p000/p000_0001.jpg has another answer than the same pair in line 1; "
        "take one of them out",
    ),
    "missing": (
        ["nobody.jpg p000/p000_0001.jpg 0", "no.jpg p000/p000_0001.jpg 0"],
        r"image 'no.jpg' \(and 1 more of 98\) is on the list but not in the feature table, whose names are like "
        "'p000/p000_0001'; extract all images, and name them as the list does",
    ),
}


@pytest.mark.parametrize(("lines", "message"), FAULTS.values(), ids=FAULTS)
def test_faults(table: FeatureTable, tmp_path: Path, lines: list[str], message: str) -> None:
    path = write(tmp_path, lines_of(range(24)) + lines)
    with pytest.raises(InvariantNetsError, match=message):
        run_pairs(table, "F7", list=path)
    with pytest.raises(InvariantNetsError, match=message):
        unfit_pairs(table, path)


def unfit_pairs(table: FeatureTable, path: Path) -> str | None:
    return unfit(partial(run_pairs, list=path), table, "F7", 0)


def test_training_images_are_refused_unless_the_split_was_drawn_here(table: FeatureTable, tmp_path: Path) -> None:
    path = write(tmp_path, lines_of(range(24)))
    trained = replace(table, split=np.where(np.arange(len(table)) % 2, "train", "test"))
    message = r"image 'p000/p000_0002' \(and 47 more\) is of split 'train'; protocols are measured on split 'test' only"
    with pytest.raises(InvariantNetsError, match=message):
        run_pairs(trained, "F7", list=path)
    assert (unfit_pairs(trained, path) or "").startswith("recognition is not measured: image 'p000/p000_0002'")
    drawn = replace(trained, meta={"division": "drawn"})
    assert unfit_pairs(drawn, path) is None
    assert run_pairs(drawn, "F7", list=path, bootstrap=5) == run_pairs(table, "F7", list=path, bootstrap=5)


def test_a_list_is_measured_on_a_closed_set_and_without_classes_too(table: FeatureTable, tmp_path: Path) -> None:
    protocol = partial(run_pairs, list=write(tmp_path, lines_of(range(24))), bootstrap=5)
    bare = replace(table, label=np.zeros(len(table), int), num_classes=1)
    closed = replace(table, split=np.resize(["train", "train", "val", "test"], len(table)), meta={"division": "drawn"})
    for each in (bare, closed):
        found = [r for _, step in measure(Material(each, "F7"), [], protocol) for r in step()]
        assert "verification/cosine" in {r.probe for r in found} and "norm" not in {r.target for r in found}


def test_what_is_made_of_the_split_does_not_stop_the_rest(table: FeatureTable) -> None:
    few = table.rows(table.label < 5)
    assert (unfit(run_protocols, few, "F7", 0) or "").startswith(
        "recognition is not measured: verification in 10 folds needs"
    )


@pytest.mark.skipif(not (REAL / "real_faces").is_dir(), reason="no real_faces in INVARIANTNETS_DATA")
def test_view_2_of_a_real_network_is_what_is_known_of_it() -> None:
    with np.load(REAL / "real_faces" / "lfw_dlib_128.npz") as file:
        name, x = file["name"].astype(str), file["embedding"]
    table = FeatureTable.from_arrays(x, label=[n.partition("/")[0] for n in name], name=name, division="identity")
    (found,) = (
        r for r in run_pairs(table, "features", list=REAL / "lfw" / "pairs.txt", bootstrap=2) if r.metric == "accuracy"
    )
    assert found.value == pytest.approx(0.988, abs=5e-4) and "± 0.0015" in found.note
