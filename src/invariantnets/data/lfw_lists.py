"""The lists that come with Labeled Faces in the Wild: who is compared with whom.

Images are named ``Aaron_Peirsol/Aaron_Peirsol_0001``. View 1 (``pairsDevTrain.txt``,
``pairsDevTest.txt``, ``peopleDevTrain.txt``, ``peopleDevTest.txt``) is for choosing a model, View 2
(``pairs.txt``) for reporting: Huang et al., *Labeled Faces in the Wild* (2007). Pairs are read by
`invariantnets.protocols.pair_lists`. BLUFR is of Liao et al., *A benchmark study of large-scale
unconstrained face recognition* (2014).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from invariantnets.errors import InvariantNetsError


@dataclass(frozen=True)
class Blufr:
    """BLUFR's lists. Every index array points into ``name``; each list holds one array per trial.

    Attributes:
        name: ``(N,)`` names of all images.
        label: ``(N,)`` int64 numbers of the people on them, from 0.
        test: what it verifies, every image against every other.
        gallery, probe: what it identifies among; people of ``probe`` may be missing in ``gallery``.
    """

    name: np.ndarray
    label: np.ndarray
    test: list[np.ndarray]
    gallery: list[np.ndarray]
    probe: list[np.ndarray]


def read_people(path: str | Path) -> list[dict[str, int]]:
    """People and how many images of each, of View 1 (one fold) or ``people.txt`` (ten).

    Raises:
        InvariantNetsError: naming the file, the line and what was expected there.
    """
    lines = _Lines(path)
    head = int(lines.take(r"\d+", "the number of people, or of folds"))
    whole = lines.rest == head  # View 1: the number of people; else that of folds, each with its own number
    found = []
    for fold in range(1 if whole else head):
        size = head if whole else int(lines.take(r"\d+", f"the number of people of fold {fold + 1} of {head}"))
        rows = [lines.take(r"[^\t]+\t\d+", "person<tab>number of images").split("\t") for _ in range(size)]
        found.append({person: int(number) for person, number in rows})
    lines.end()
    return found


def read_blufr(folder: str | Path) -> Blufr:
    """BLUFR's lists of what is compared and searched for; those to train on and to choose a model with are not read.

    Raises:
        InvariantNetsError: naming the file, the line and what was expected there.
    """
    folder = Path(folder)
    pattern, wanted = r"(.+)_\d+\.jpg", "a file name as in Aaron_Peirsol_0001.jpg"
    files = _Lines(folder / "image_list.txt").all(pattern, wanted)
    label = _Lines(folder / "labels.txt").all(r"\d+", "the number of a person")
    if len(label) != len(files):
        raise InvariantNetsError(f"{folder / 'labels.txt'}: {len(label)} lines, but image_list.txt has {len(files)}")

    def trials(name: str) -> list[np.ndarray]:
        lines = _Lines(folder / name)
        count = int(lines.take(r"\d+", "the number of trials"))
        found = []
        for trial in range(count):
            size = int(lines.take(r"\d+", f"the number of images of trial {trial + 1} of {count}"))
            found.append(np.array([_index(lines, files) for _ in range(size)], np.int64))
        lines.end()
        return found

    return Blufr(
        name=np.array([f"{file.rpartition('_')[0]}/{file.removesuffix('.jpg')}" for file in files]),
        label=np.array(label, np.int64) - 1,
        test=trials("test_set.txt"),
        gallery=trials("gallery_set.txt"),
        probe=trials("probe_set.txt"),
    )


def _index(lines: _Lines, files: list[str]) -> int:
    """The row that a line ``index, file name`` stands for, from 0; both must say the same."""
    line = lines.take(r"\d+, ?.+", "index, file name")
    number, file = line.split(",")
    row = int(number) - 1
    if not 0 <= row < len(files) or files[row] != file.strip():
        there = files[row] if 0 <= row < len(files) else f"one of 1 to {len(files)}"
        lines.refuse(line, f"the index and file name of image_list.txt, where {number} is {there}")
    return row


def read_identification(folder: str | Path) -> tuple[list[str], list[str]]:
    """Names of the gallery's and the probes' images.

    They are for closed sets: one image of everybody, and the others of those who have more.

    Args:
        folder: with ``test_ident_gallery.txt`` and ``test_ident_probe.txt``.

    Raises:
        InvariantNetsError: naming the file, the line and what was expected there.
    """
    found = []
    for kind in ("gallery", "probe"):
        lines = _Lines(Path(folder) / f"test_ident_{kind}.txt")
        rows = lines.all(r"[^/ ]+/[^/ ]+\.jpg \d+ \d+", "person/file.jpg index person number")
        found.append([row.split(" ")[0].removesuffix(".jpg") for row in rows])
    return found[0], found[1]


class _Lines:
    """The lines of a list, taken one by one; a wrong one is refused by file, number and what was expected."""

    def __init__(self, path: str | Path):
        self.path, self.number = Path(path), 0
        try:
            self.lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise InvariantNetsError(f"{path}: cannot be read ({reason}); it comes with LFW") from None
        while self.lines and not self.lines[-1].strip():
            self.lines.pop()

    @property
    def rest(self) -> int:
        return len(self.lines) - self.number

    def take(self, pattern: str, wanted: str) -> str:
        line = self.lines[self.number].strip() if self.rest else "the end of the file"
        self.number += 1
        if self.number > len(self.lines) or not re.fullmatch(pattern, line):
            self.refuse(line, wanted)
        return line

    def all(self, pattern: str, wanted: str) -> list[str]:
        return [self.take(pattern, wanted) for _ in range(self.rest)]

    def end(self) -> None:
        if self.rest:
            self.number += 1
            self.refuse(self.lines[self.number - 1], "the end of the file")

    def refuse(self, line: str, wanted: str) -> None:
        raise InvariantNetsError(f"{self.path}, line {self.number}: expected {wanted}, got {line!r}")
