from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.files import slug, write_atomically


@pytest.mark.parametrize(("content", "stored"), [("μ\n", "μ\n".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_writes_text_and_bytes_into_new_folders(tmp_path: Path, content: str | bytes, stored: bytes) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert write_atomically(str(path), content) == path
    assert path.read_bytes() == stored
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(InvariantNetsError, match="cannot be written"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_content_is_complete_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    replace, seen = os.replace, []

    def watched(source: str, target: Path) -> None:
        seen.append((Path(source).read_text(), path.read_text()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    write_atomically(path, "new" * 100_000)
    assert seen == [("new" * 100_000, "old")]


NAMES = ["a.b", "a_b", "a/b", "a b", "", "_", ".", "..", "../../x", "/etc/passwd", "x" * 60, "x" * 61, "x" * 999, "µ"]
NAMES += ["Ä", "\0", "\ud800", "?", "con\n", "a_b-2e7336dc", "-rf", "~", "a\\b", "ridge/per_label"]


def test_any_name_is_a_file_of_its_own(tmp_path: Path) -> None:
    assert slug("conv1") == "conv1" and slug("a.b") == "a_b-2e7336dc"
    for number, name in enumerate(NAMES):
        (tmp_path / f"prediction_{slug(name)}_{slug(name)}_{slug(name)}.svg").write_text(str(number))
    assert len(list(tmp_path.iterdir())) == len(NAMES), "none shares a file, none is another folder"
    assert all(re.fullmatch(r"\w[\w-]*", slug(name), re.ASCII) for name in NAMES)
