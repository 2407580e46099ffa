from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from invariantnets.data.lfw_lists import read_blufr, read_identification, read_people
from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.pair_lists import read_pair_list


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
        (read_people, "3\nAnn\t1\nBob\t2\n", "line 2: expected the number of people of fold 1 of 3"),
        (read_people, "1\nAnn\tx\n", "line 2: expected person<tab>number of images"),
    ],
)
def test_damaged_lists_are_refused_by_line(tmp_path: Path, read: Callable, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InvariantNetsError, match=f"list.txt, {message}"):
        read(tmp_path / "list.txt")


@pytest.mark.parametrize("read", [read_people, read_blufr, read_identification])
def test_missing_lists_are_named(tmp_path: Path, read: Callable) -> None:
    with pytest.raises(InvariantNetsError, match="cannot be read .No such file or directory.; it comes with LFW"):
        read(tmp_path / "absent")


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvariantNetsError, match="not UTF-8 text"):
        read_people(tmp_path / "people.txt")


def test_the_real_lists() -> None:
    folder = Path(os.environ.get("INVARIANTNETS_DATA", "absent")) / "lfw"
    if not (folder / "pairs.txt").is_file():
        pytest.skip("INVARIANTNETS_DATA names no folder that holds lfw")
    pairs = read_pair_list(folder / "pairs.txt").pairs
    assert [p.same for p in pairs] == ([True] * 300 + [False] * 300) * 10
    assert [p.fold for p in pairs] == np.repeat(np.arange(10), 600).tolist()
    for name, count, people in (("Train", 2200, 4038), ("Test", 1000, 1711)):
        listed_pairs = read_pair_list(folder / f"pairsDev{name}.txt").pairs
        (listed,) = read_people(folder / f"peopleDev{name}.txt")
        assert len(listed_pairs) == count and len(listed) == people
        assert {image.partition("/")[0] for pair in listed_pairs for image in pair[:2]} <= set(listed)
    assert sum(sum(fold.values()) for fold in read_people(folder / "people.txt")) == 13233
    lists = read_blufr(folder / "blufr")
    assert len(lists.name) == 13233 and len(np.unique(lists.label)) == 5749
    for test, gallery, probe in zip(lists.test, lists.gallery, lists.probe, strict=True):
        assert len(gallery) == len(np.unique(lists.label[gallery])) == 1000
        assert sorted([*gallery.tolist(), *probe.tolist()]) == test.tolist()
    gallery_names, probe_names = read_identification(folder / "identification")
    assert set(gallery_names + probe_names) <= set(lists.name.tolist())
    assert not set(gallery_names) & set(probe_names)
