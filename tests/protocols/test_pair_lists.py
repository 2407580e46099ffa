"""Lists of pairs: each dialect in its own format, each fault with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.inputs import matched
from invariantnets.protocols.pair_lists import read_pair_list

LFW = {("Ann_B/Ann_B_0001", "Ann_B/Ann_B_0004"): True, ("Ann_B/Ann_B_0001", "Cy/Cy_0002"): False}
LFW_2 = {**LFW, ("Di/Di_0002", "Di/Di_0003"): True, ("Di/Di_0002", "Eve/Eve_0001"): False}
FLAT = {("a/1.jpg", "a/2.jpg"): True, ("a/1.jpg", "b/1.jpg"): False}
CALFW = {("Ann_0001.jpg", "Ann_0002.jpg"): True, ("Ann_0001.jpg", "Cy_0001.jpg"): False}

# dialect: text, pairs, folds
DIALECTS = {
    "lfw view 2": (
        "2\t1\nAnn_B\t1\t4\nAnn_B\t1\tCy\t2\nDi\t2\t3\nDi\t2\tEve\t1\n",
        LFW_2,
        [0, 0, 1, 1],
    ),
    "lfw with spaces": ("2 1\nAnn_B 1 4\nAnn_B 1 Cy 2\nDi 2 3\nDi 2 Eve 1\n", LFW_2, [0, 0, 1, 1]),
    "lfw windows": (
        "\ufeff2\t1\r\nAnn_B\t1\t4\r\nAnn_B\t1\tCy\t2\r\nDi\t2\t3\r\nDi\t2\tEve\t1\r\n\r\n",
        LFW_2,
        [0, 0, 1, 1],
    ),
    "lfw view 1": ("1\nAnn_B\t1\t4\nAnn_B\t1\tCy\t2\n", LFW, None),
    "rfw": ("Ann_B\t1\t4\nAnn_B\t1\tCy\t2\n", LFW, None),
    "lfw kaggle": ("name,imagenum1,imagenum2,\nAnn_B,1,4,\nAnn_B,1,Cy,2\n", LFW, None),
    "cplfw": ("Ann_0001.jpg 1\nAnn_0002.jpg 1\nAnn_0001.jpg 0\nCy_0001.jpg 0\n", CALFW, None),
    "calfw": ("Ann_0001.jpg 7\nAnn_0002.jpg 7\nAnn_0001.jpg 0\nCy_0001.jpg 0\n", CALFW, None),
    "deepface": ("file_x,file_y,Decision\na/1.jpg,a/2.jpg,Yes\na/1.jpg,b/1.jpg,No\n", FLAT, None),
    "img label": ("img1,img2,label\na/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,0\n", FLAT, None),
    "is_same": ("file1;file2;is_same\na/1.jpg;a/2.jpg;True\na/1.jpg;b/1.jpg;False\n", FLAT, None),
    "index and fold": (
        "id,image_1,image_2,same,fold\n0,a/1.jpg,a/2.jpg,1,x\n1,a/1.jpg,b/1.jpg,0,y\n",
        FLAT,
        [0, 1],
    ),
    "quoted": ('"path_a","path_b","match"\n"a/1.jpg","a/2.jpg","1"\n"a/1.jpg","b/1.jpg","0"\n', FLAT, None),
    "flat": ("a/1.jpg a/2.jpg 1\na/1.jpg b/1.jpg 0\n", FLAT, None),
    "flat tabs": ("a/1.jpg\ta/2.jpg\t1\na/1.jpg\tb/1.jpg\t0\n", FLAT, None),
    "flat folds": ("a/1.jpg a/2.jpg 1 0\na/1.jpg b/1.jpg 0 1\n", FLAT, [0, 1]),
    "flat signs": ("a/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,-1\n", FLAT, None),
    "numbers for names": ("001 002 1\n001 003 0\n", {("001", "002"): True, ("001", "003"): False}, None),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(tmp_path: Path, name: str) -> None:
    text, pairs, folds = DIALECTS[name]
    (tmp_path / "pairs.txt").write_text(text, encoding="utf-8", newline="")
    found = read_pair_list(tmp_path / "pairs.txt")
    assert [((p.a, p.b), p.same) for p in found.pairs] == list(pairs.items())
    assert [p.fold for p in found.pairs] == (folds or [None] * len(pairs))


def test_a_list_in_utf_16_is_read(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(DIALECTS["deepface"][0], encoding="utf-16")
    assert [p.same for p in read_pair_list(tmp_path / "pairs.csv").pairs] == [True, False]


def write_cfp(folder: Path, same: str = "1,1\n", differ: str = "1,2\n") -> Path:
    (folder / "Pair_list_F.txt").write_text(
        "1 ../Data/Images/001/frontal/01.jpg\n2 ../Data/Images/002/frontal/01.jpg\n"
    )
    (folder / "Pair_list_P.txt").write_text(
        "1 ../Data/Images/001/profile/01.jpg\n2 ../Data/Images/002/profile/01.jpg\n"
    )
    for split in ("01", "02"):
        here = folder / "Split" / "FP" / split
        here.mkdir(parents=True)
        (here / "same.txt").write_text(same)
        (here / "diff.txt").write_text(differ)
    return folder / "Split" / "FP"


def test_cfp(tmp_path: Path) -> None:
    pairs = read_pair_list(write_cfp(tmp_path)).pairs
    assert [p.fold for p in pairs] == [0, 0, 1, 1] and [p.same for p in pairs] == [True, False] * 2
    assert pairs[1][:2] == ("../Data/Images/001/frontal/01.jpg", "../Data/Images/002/profile/01.jpg")
    assert pairs[1].line == "01/diff.txt, line 1"


WANTED = r"expected 'a.jpg b.jpg 1' \(two images, and 1 or 0\), or another dialect of docs/protocols.md, got "


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ": the list is empty; expected 'a.jpg b.jpg 1'.*"),
        (
            "2\t1\nAnn\t1\t4\nAnn\t1\tCy\t2\n",
            r", line 1: '2\\t1' stands for 2 × 2 × 1 pairs, but 2 lines follow; write the "
            "right numbers, or take that line out",
        ),
        ("1\nAnn\t1\tCy\t2\nAnn\t1\t4\n", r", line 2: expected person number number, got 'Ann\\t1\\tCy\\t2'"),
        ("1\nAnn\t1\t4\nAnn\t1\t3\n", r", line 3: expected person number other number, got 'Ann\\t1\\t3'"),
        ("1\nAnn\t1\tx\nAnn\t1\tCy\t2\n", r", line 2: expected person number number, got 'Ann\\t1\\tx'"),
        (
            "Ann\t1\t4\nAnn\t1\tCy\n",
            r", line 2: expected person number number or person number other number, got 'Ann\\t1\\tCy'",
        ),
        (
            "a.jpg 1\nb.jpg 1\nc.jpg\n",
            r", line 3: expected 'a.jpg 1', an image and 1 \(one person\) or 0 \(two\), two lines a pair, got 'c.jpg'",
        ),
        ("a.jpg 1\nb.jpg 1\nc.jpg 0\n", ", line 3: expected an even number of lines, two for each pair, got 'c.jpg 0'"),
        (
            "a.jpg 1\nb.jpg 0\n",
            ", line 2: expected 1 behind the second image, as on the line before, got 'b.jpg 0'",
        ),
        ("a.jpg b.jpg 1\na.jpg c.jpg\n", f", line 2: {WANTED}'a.jpg c.jpg'"),
        (
            "a.jpg b.jpg 1\na.jpg c.jpg 2.5\n",
            r", line 2: expected the answer 1 or 0 \(yes or no\) for one person or two, got 'a.jpg c.jpg 2.5'",
        ),
        (
            "file_x,file_y,Decision\na,b,Yes\na,c,perhaps\n",
            r", line 3: expected the answer 1 or 0 \(yes or no\) for one person or two, got 'a,c,perhaps'",
        ),
        (
            "file_x,file_y,Decision\na,b,Yes\na,,No\n",
            ", line 3: expected a value in each column that the first line names, got 'a,,No'",
        ),
        (
            "file_x,file_y,verdict\na,b,Yes\n",
            ", line 1: file_x, file_y, verdict: none is the answer; call the columns file_1, file_2, same .and fold.",
        ),
        (
            "img1,img2,label,same\na,b,1,1\n",
            ", line 1: img1, img2, label, same: label and same are the answer; call the columns file_1, .*",
        ),
        (
            "a.jpg b.jpg 1\nc.jpg d.jpg 1\n",
            ": the list has no pair of two people, so that no rate can be measured; add some",
        ),
        ("a.jpg b.jpg 0\n", ": the list has no pair of one person, so that no rate can be measured; add some"),
        ("just words\n", r", line 1: expected 'a.jpg 1', an image and 1 .*, got 'just words'"),
        ("word\n", f", line 1: {WANTED}'word'"),
    ],
)
def test_damaged_lists_are_refused_by_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InvariantNetsError, match=f"^{tmp_path}/list.txt{line}$"):
        read_pair_list(tmp_path / "list.txt")


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(InvariantNetsError, match="absent: cannot be read .No such file or directory.; give protocols"):
        read_pair_list(tmp_path / "absent")
    with pytest.raises(InvariantNetsError, match="no list of pairs; give the file itself, or of CFP the folder"):
        read_pair_list(tmp_path)
    (tmp_path / "lfw.bin").write_bytes(b"\x80\x04\x95\x00\x00")
    with pytest.raises(InvariantNetsError, match="no text. A .bin of insightface holds images and answers without"):
        read_pair_list(tmp_path / "lfw.bin")
    (tmp_path / "latin").write_bytes("M\xfcller_0001.jpg M\xfcller_0002.jpg 1".encode("latin-1"))
    with pytest.raises(InvariantNetsError, match="latin: not UTF-8 text; save it as UTF-8"):
        read_pair_list(tmp_path / "latin")


@pytest.mark.parametrize(
    ("differ", "line"),
    [("1,9\n", "diff.txt, line 1: expected numbers of Pair_list_F.txt and Pair_list_P.txt, 1 to 2, got '1,9'"),
     ("1 2 3\n", "diff.txt, line 1: expected two numbers, as in 1,2, got '1 2 3'")],
)  # fmt: skip
def test_damaged_cfp(tmp_path: Path, differ: str, line: str) -> None:
    with pytest.raises(InvariantNetsError, match=line):
        read_pair_list(write_cfp(tmp_path, differ=differ))


@pytest.mark.parametrize(
    ("have", "ask", "said"),
    [
        (["a/1", "a/2"], ["a/2", "a/1"], ""),
        (["a/1.jpg", "a/2.png"], ["a/2", "a/1"], "without the ending of the file"),
        (["a/1", "a/2"], ["a/2.jpg", "a/1.JPG"], "without the ending of the file"),
        (["subject01.glasses", "subject01.sad"], ["subject01.sad.png", "subject01.glasses.png"], "without the ending"),
        (["x/a/1.jpg", "x/b/1.jpg"], ["y/b/1.jpg", "y/a/1.jpg"], "by the last 2 parts of the path"),
        (["a\\1.jpg", "b\\2.jpg"], ["../im/b/2.jpg", "../im/a/1.jpg"], "by the last 2 parts"),
        (["aligned/A_1.jpg", "aligned/A_2.jpg"], ["A_2.jpg", "A_1.jpg"], "by the name of the file"),
        (["Ze\u0301/1", "b/2"], ["b/2", "Z\u00e9/1"], "without the ending"),
    ],
)
def test_names_match_by_the_strictest_reading(have: list[str], ask: list[str], said: str) -> None:
    rows, how = matched(np.array(have), np.array(ask))
    assert rows.tolist() == [1, 0] and how.startswith(said) and bool(how) == bool(said)


@pytest.mark.parametrize(
    ("have", "ask"), [(["01", "02"], ["a/01", "b/01"]), (["a/01", "b/01"], ["01", "02"]), (["x"], ["y"])]
)
def test_a_name_that_two_images_share_names_neither(have: list[str], ask: list[str]) -> None:
    assert matched(np.array(have), np.array(ask))[0].tolist() == [-1] * len(ask)
