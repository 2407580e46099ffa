"""Lists of pairs that the program is given; every dialect's faults are in tests/protocols/test_pair_lists.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

LIST = "{tmp}/pairs.txt"
RIGHT = [
    line
    for p, q in ((0, 1), (1, 0), (2, 3), (3, 2))
    for line in (f"p{p}/1.jpg p{p}/2.jpg 1", f"p{p}/1.jpg p{q}/2.jpg 0")
]
EXTRACT = (
    "is on the list but not in the feature table, whose names are like 'p0/0'; extract all images, and name them as "
)
# what is put in the place of the list's last line → the line that is said
FAULTS = {
    "p3/1.jpg p9/2.jpg 0": f"image 'p9/2.jpg' (and 0 more of 9) {EXTRACT}the list does",
    "p3/1.jpg p2/2.jpg": f"{LIST}, line 8: expected 'a.jpg b.jpg 1' (two images, and 1 or 0), or another dialect of "
    "docs/protocols.md, got 'p3/1.jpg p2/2.jpg'",
    "p3/1.jpg p2/2.jpg maybe": f"{LIST}, line 8: expected the answer 1 or 0 (yes or no) for one person or two, got "
    "'p3/1.jpg p2/2.jpg maybe'",
    "p3/1.jpg p3/1.jpg 1": f"{LIST}, line 8: the pair p3/1.jpg and p3/1.jpg is an image with itself, which any network "
    "finds the same; take it out",
    "p3/1.jpg p3/0.jpg 0": f"{LIST}, line 8: the pair p3/1.jpg and p3/0.jpg is said to show two people, who by the "
    "labels of the table are one person; mend the list, or what names the person",
    "p3/1.jpg p1/0.jpg 1": f"{LIST}, line 8: the pair p3/1.jpg and p1/0.jpg is said to show one person, who by the "
    "labels of the table are two people; mend the list, or what names the person",
    "p2/2.jpg p2/1.jpg 0": f"{LIST}, line 8: the pair p2/2.jpg and p2/1.jpg has another answer than the same pair in "
    "line 5; take one of them out",
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four people of three images, by name, all of split test."""
    who, number = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    name = [f"p{p}/{i}" for p, i in zip(who, number, strict=True)]
    x = np.random.default_rng(0).normal(size=(12, 5))
    np.savez(tmp_path / "table.npz", features=x, label=who, name=name, split=["test"] * 12)
    return tmp_path / "table.npz"


def refused(said: Callable[..., str], table: Path, *words: str) -> str:
    return said("evaluate", f"features={table}", "protocols=pairs", "protocols.list={tmp}/pairs.txt", *words)


@pytest.mark.parametrize("line", FAULTS)
def test_a_pair_that_cannot_be_right(said: Callable[..., str], table: Path, line: str) -> None:
    table.with_name("pairs.txt").write_text("\n".join([*RIGHT[:-1], line]))
    assert refused(said, table) == FAULTS[line]


WHOLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (
        lambda path: None,
        f"{LIST}: cannot be read (No such file or directory); give protocols.list=<file of pairs>, or of LFW "
        "protocols.lists=<folder>",
    ),
    "a folder": (
        lambda path: path.mkdir(),
        f"{LIST}: no list of pairs; give the file itself, or of CFP the folder Protocol/Split/FP (or FF)",
    ),
    "empty": (
        lambda path: path.write_text(""),
        f"{LIST}: the list is empty; expected 'a.jpg b.jpg 1' (two images, and 1 or 0), or another dialect of "
        "docs/protocols.md",
    ),
    "bytes": (
        lambda path: path.write_bytes(b"\x80\x04\x00\x00"),
        f"{LIST}: no text. A .bin of insightface holds images and answers without names: extract their features in its "
        "order, name them, and write the list as lines 'a b 1'",
    ),
    "one fold": (
        lambda path: path.write_text("\n".join(f"{line} 1" for line in RIGHT)),
        f"{LIST}: all pairs are in one fold; thresholds come from others: give two",
    ),
    "one kind": (
        lambda path: path.write_text("\n".join(RIGHT[::2])),
        f"{LIST}: the list has no pair of two people, so that no rate can be measured; add some",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_list_that_is_none(said: Callable[..., str], table: Path, name: str) -> None:
    make, line = WHOLE[name]
    make(table.with_name("pairs.txt"))
    assert refused(said, table) == line


def test_a_table_without_names(said: Callable[..., str], table: Path) -> None:
    table.with_name("pairs.txt").write_text("\n".join(RIGHT))
    with np.load(table) as file:
        arrays = {key: file[key] for key in file.files if key != "name"}
    np.savez(table, **arrays)
    assert refused(said, table) == ("the feature table does not name its images: add a column 'name', as the lists do")


def test_lists_of_lfw_that_are_not_there(said: Callable[..., str], table: Path) -> None:
    assert said("evaluate", f"features={table}", "protocols=lfw") == (
        "{tmp}/data/lfw/pairs.txt: cannot be read (No such file or directory); give protocols.list=<file of pairs>, or "
        "of LFW protocols.lists=<folder>"
    )
