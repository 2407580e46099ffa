from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from invariantnets.data.lfw_lists import image_name, read_blufr, read_identification, read_pairs, read_people
from invariantnets.errors import InvariantNetsError

VIEW_1 = "2\nAnn_B\t1\t4\nCy\t2\t3\nAnn_B\t1\tCy\t2\nCy\t1\tDi\t12\n"
VIEW_2 = "2\t1\nAnn_B\t1\t4\nAnn_B\t1\tCy\t2\nDi\t2\t3\nDi\t2\tEve\t1\n"


def test_names() -> None:
    assert image_name("Aaron_Peirsol", 1) == "Aaron_Peirsol/Aaron_Peirsol_0001"


def test_pairs_of_view_1_are_one_fold(tmp_path: Path) -> None:
    (tmp_path / "pairs").write_text(VIEW_1)
    assert read_pairs(tmp_path / "pairs") == [
        [
            ("Ann_B/Ann_B_0001", "Ann_B/Ann_B_0004", True),
            ("Cy/Cy_0002", "Cy/Cy_0003", True),
            ("Ann_B/Ann_B_0001", "Cy/Cy_0002", False),
            ("Cy/Cy_0001", "Di/Di_0012", False),
        ]
    ]


@pytest.mark.parametrize("ending", ["", "\n\n", "\r\n"])
def test_pairs_of_view_2_are_several(tmp_path: Path, ending: str) -> None:
    (tmp_path / "pairs").write_text(VIEW_2 + ending)
    first, second = read_pairs(tmp_path / "pairs")
    assert first == [("Ann_B/Ann_B_0001", "Ann_B/Ann_B_0004", True), ("Ann_B/Ann_B_0001", "Cy/Cy_0002", False)]
    assert [pair.same for pair in second] == [True, False]


def test_people(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("2\nAnn_B\t4\nCy\t3\n")
    assert read_people(tmp_path / "one") == [{"Ann_B": 4, "Cy": 3}]
    (tmp_path / "folds").write_text("2\n1\nAnn_B\t4\n2\nCy\t3\nDi\t1\n")
    assert read_people(tmp_path / "folds") == [{"Ann_B": 4}, {"Cy": 3, "Di": 1}]


@pytest.fixture
def blufr(tmp_path: Path) -> Path:
    files = ["A_B_0001.jpg", "A_B_0002.jpg", "C_0001.jpg", "D_0001.jpg"]

    def rows(*indices: int) -> str:
        return f"{len(indices)}\n" + "".join(f"{i}, {files[i - 1]}\n" for i in indices)

    (tmp_path / "image_list.txt").write_text("\n".join(files))
    (tmp_path / "labels.txt").write_text("1\n1\n2\n3\n")
    for name in ("test_set", "gallery_set", "probe_set"):
        (tmp_path / f"{name}.txt").write_text("2\n" + rows(1, 3) + rows(2, 3, 4))
    return tmp_path


def test_blufr(blufr: Path) -> None:
    lists = read_blufr(blufr)
    assert lists.name.tolist() == ["A_B/A_B_0001", "A_B/A_B_0002", "C/C_0001", "D/D_0001"]
    assert lists.label.tolist() == [0, 0, 1, 2]
    for trials in (lists.test, lists.gallery, lists.probe):
        assert [trial.tolist() for trial in trials] == [[0, 2], [1, 2, 3]]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("gallery_set.txt", "2\n1\n2, A_B_0001.jpg\n", r"line 3: expected the index .* where 2 is A_B_0002.jpg, got"),
        ("gallery_set.txt", "1\n1\n9, A_B_0001.jpg\n", "line 3: .* where 9 is one of 1 to 4"),
        ("gallery_set.txt", "1\n2\n1, A_B_0001.jpg\n", "line 4: expected index, file name, got 'the end of the file'"),
        ("labels.txt", "1\n2\n", "2 lines, but image_list.txt has 4"),
        ("image_list.txt", "A_B.png\n", "line 1: expected a file name"),
    ],
)
def test_damaged_blufr_lists_are_refused(blufr: Path, file: str, text: str, message: str) -> None:
    (blufr / file).write_text(text)
    with pytest.raises(InvariantNetsError, match=message):
        read_blufr(blufr)


def test_identification(tmp_path: Path) -> None:
    (tmp_path / "test_ident_gallery.txt").write_text("A_B/A_B_0001.jpg 0 0\nC/C_0001.jpg 2 1\n")
    (tmp_path / "test_ident_probe.txt").write_text("A_B/A_B_0002.jpg 1 0\n")
    assert read_identification(tmp_path) == (["A_B/A_B_0001", "C/C_0001"], ["A_B/A_B_0002"])


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_pairs, "x\n", "line 1: expected the number of pairs, or of folds"),
        (read_pairs, "", "line 1: .* got 'the end of the file'"),
        (read_pairs, "1\nAnn\t1\t2\n", "line 3: expected person<tab>number<tab>other person<tab>number, got 'the end"),
        (read_pairs, "1\nAnn\t1\n", "line 2: expected person<tab>number<tab>number, got 'Ann.t1'"),
        (read_pairs, VIEW_1 + "Ann\t1\t2\n", "line 6: expected the end of the file"),
        (read_people, "3\nAnn\t1\nBob\t2\n", "line 2: expected the number of people of fold 1 of 3"),
        (read_people, "1\nAnn\tx\n", "line 2: expected person<tab>number of images"),
    ],
)
def test_damaged_lists_are_refused_by_line(tmp_path: Path, read: Callable, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InvariantNetsError, match=f"list.txt, {message}"):
        read(tmp_path / "list.txt")


@pytest.mark.parametrize("read", [read_pairs, read_people, read_blufr, read_identification])
def test_missing_lists_are_named(tmp_path: Path, read: Callable) -> None:
    with pytest.raises(InvariantNetsError, match="cannot be read .No such file or directory.; it comes with LFW"):
        read(tmp_path / "absent")


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvariantNetsError, match="not UTF-8 text"):
        read_pairs(tmp_path / "pairs.txt")


def test_the_real_lists() -> None:
    folder = Path(os.environ.get("INVARIANTNETS_DATA", "absent")) / "lfw"
    if not (folder / "pairs.txt").is_file():
        pytest.skip("INVARIANTNETS_DATA names no folder that holds lfw")
    folds = read_pairs(folder / "pairs.txt")
    assert len(folds) == 10 and all([p.same for p in fold] == [True] * 300 + [False] * 300 for fold in folds)
    for name, pairs, people in (("Train", 2200, 4038), ("Test", 1000, 1711)):
        (fold,) = read_pairs(folder / f"pairsDev{name}.txt")
        (listed,) = read_people(folder / f"peopleDev{name}.txt")
        assert len(fold) == pairs and len(listed) == people
        assert {image.partition("/")[0] for pair in fold for image in pair[:2]} <= set(listed)
    assert sum(sum(fold.values()) for fold in read_people(folder / "people.txt")) == 13233
    lists = read_blufr(folder / "blufr")
    assert len(lists.name) == 13233 and len(np.unique(lists.label)) == 5749
    for test, gallery, probe in zip(lists.test, lists.gallery, lists.probe, strict=True):
        assert len(gallery) == len(np.unique(lists.label[gallery])) == 1000
        assert sorted([*gallery.tolist(), *probe.tolist()]) == test.tolist()
    gallery_names, probe_names = read_identification(folder / "identification")
    assert set(gallery_names + probe_names) <= set(lists.name.tolist())
    assert not set(gallery_names) & set(probe_names)
