"""Lists of pairs of images, in the dialects in use: which two are compared, and whether they show one person.

- LFW: ``10 300``, then ``person 1 4`` and ``person 1 other 2``, fold by fold (XQLFW too; without a first line: RFW);
- CALFW, CPLFW: two lines a pair, ``a.jpg 1`` and ``b.jpg 1``, where 0 is of two people;
- CFP: the folder ``Protocol/Split/FP`` or ``FF``, whose numbers point into ``Pair_list_F.txt`` and ``Pair_list_P.txt``;
- a table with a first line of names: ``file_x,file_y,Decision``, ``img1,img2,label``, perhaps ``fold``;
- ``a.jpg b.jpg 1`` on every line, perhaps with the number of a fold behind it;
- YouTube Faces, pairs of videos: a first line of names, then ``split, number, Ann/0, Bob/3, …, 1``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from invariantnets.errors import InvariantNetsError

SAME = {"1", "1.0", "yes", "y", "true", "same", "match", "matched", "genuine", "positive"}
DIFFERENT = {
    "0",
    "0.0",
    "-1",
    "no",
    "n",
    "false",
    "different",
    "diff",
    "mismatch",
    "mismatched",
    "impostor",
    "negative",
}
# Names of columns, in small letters and without _, - and spaces.
_IMAGE = r"(?:file|filename|filepath|img|image|imagepath|path|photo|name|face|pair)"
COLUMNS = {
    "the first image": re.compile(rf"{_IMAGE}(?:1|x|a)|left"),
    "the second image": re.compile(rf"{_IMAGE}(?:2|y|b)|right"),
    "the answer": re.compile(r"decision|label|issame|same|sameperson|target|match|genuine|answer|actual"),
    "the fold": re.compile(r"fold|split|set"),
}
_WANTED = "'a.jpg b.jpg 1' (two images, and 1 or 0), or another dialect of docs/protocols.md"


class ListedPair(NamedTuple):
    """Two images by name, whether they show one person, the fold (None: the list has none), and the line."""

    a: str
    b: str
    same: bool
    fold: int | None
    line: str


@dataclass(frozen=True)
class PairList:
    """What a list says.

    Attributes:
        path: of the file or folder.
        dialect: how it was read.
        pairs: all of them; either all have a fold, or none has.
    """

    path: Path
    dialect: str
    pairs: list[ListedPair]

    @property
    def has_folds(self) -> bool:
        """Whether the list says what is tested together."""
        return self.pairs[0].fold is not None


class _Line(NamedTuple):
    number: int
    text: str
    fields: list[str]


def image_name(person: str, number: str) -> str:
    """``Aaron_Peirsol``, ``1`` → ``Aaron_Peirsol/Aaron_Peirsol_0001``."""
    return f"{person}/{person}_{int(number):04d}"


def read_pair_list(path: str | Path) -> PairList:
    """Read a list of pairs; its dialect is recognised.

    Raises:
        InvariantNetsError: naming the file, the line and what was expected there.
    """
    path = Path(path)
    if path.is_dir():
        return PairList(path, "CFP: numbers of Pair_list_F.txt and Pair_list_P.txt", _checked(path, _cfp(path)))
    lines = _lines(path)
    if not lines:
        raise InvariantNetsError(f"{path}: the list is empty; expected {_WANTED}")
    dialect, read = _dialect(path, lines)
    return PairList(path, dialect, _checked(path, read()))


def _checked(path: Path, found: Iterator[ListedPair]) -> list[ListedPair]:
    pairs = list(found)
    for same, who in ((True, "one person"), (False, "two people")):
        if not any(pair.same == same for pair in pairs):
            raise InvariantNetsError(
                f"{path}: the list has no pair of {who}, so that no rate can be measured; add some"
            )
    return pairs


def _lines(path: Path) -> list[_Line]:
    """The lines that hold something, in fields by the separator that the first one has."""
    try:
        raw = path.read_bytes()
        if b"\0" in raw[:4000] and raw[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            raise InvariantNetsError(
                f"{path}: no text. A .bin of insightface holds images and answers without names: extract their "
                "features in its order, name them, and write the list as lines 'a b 1'"
            )
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise InvariantNetsError(
            f"{path}: cannot be read ({error.strerror}); give protocols.list=<file of pairs>, or of LFW "
            "protocols.lists=<folder>"
        ) from None
    except UnicodeDecodeError:
        raise InvariantNetsError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    kept = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    separator = next((s for s in "\t,;" if kept and s in kept[0][1]), None)
    # A list of LFW written with tabs may start with one number alone.
    separator = separator or next((s for s in "\t,;" if len(kept) > 1 and s in kept[1][1]), None)
    return [_Line(i, line, [field.strip(" \"'") for field in line.split(separator)]) for i, line in kept]


def _dialect(path: Path, lines: Sequence[_Line]) -> tuple[str, Callable[[], Iterator[ListedPair]]]:
    """Its name, and what reads it."""
    first = lines[0].fields
    if re.fullmatch(r"\d+(\s+\d+)?", lines[0].text):
        return "LFW", lambda: _lfw(path, lines)
    if re.match(r"name.imagenum", lines[0].text.lower()):  # as on Kaggle
        return "LFW without folds", lambda: (_of_people(path, line) for line in lines[1:])
    if any(_videos(line) for line in lines[:2]):
        return "YouTube Faces: pairs of videos", lambda: _ytf(path, lines[0 if _videos(lines[0]) else 1 :])
    if columns := _columns(path, first):
        return f"a table of {', '.join(first)}", lambda: _table(path, lines[1:], columns)
    if len(first) == 2:
        return "CALFW/CPLFW: two lines a pair", lambda: _two_lines(path, lines)
    rows = [line.fields for line in lines]
    numbered = [row for row in rows if len(row) in (3, 4) and row[1].isdigit() and row[-1].isdigit()]
    if 2 * len(numbered) >= len(rows) and any(len(row) == 4 or row[2] not in "01" for row in numbered):
        return "LFW without folds", lambda: (_of_people(path, line) for line in lines)
    return "two images and the answer on a line", lambda: _flat(path, lines)


def _refused(path: Path, line: _Line, wanted: str) -> InvariantNetsError:
    return InvariantNetsError(f"{path}, line {line.number}: expected {wanted}, got {line.text!r}")


def _answer(path: Path, line: _Line, text: str) -> bool:
    if text.lower() in SAME | DIFFERENT:
        return text.lower() in SAME
    raise _refused(path, line, "the answer 1 or 0 (yes or no) for one person or two")


def _of_people(path: Path, line: _Line, fold: int | None = None, wanted: bool | None = None) -> ListedPair:
    """``person 1 4``, or ``person 1 other 2``."""
    fields = line.fields[:-1] if line.fields[-1] == "" else line.fields
    same = len(fields) == 3
    wrong = len(fields) not in (3, 4) or not all(n.isdigit() for n in (fields[1:] if same else fields[1::2]))
    if wrong or wanted not in (None, same):
        kinds = {True: "person number number", False: "person number other number"}
        raise _refused(path, line, " or ".join(kinds.values()) if wanted is None else kinds[wanted])
    a, b = (fields[0], fields[1]), (fields[0], fields[2]) if same else (fields[2], fields[3])
    return ListedPair(image_name(*a), image_name(*b), same, fold, f"line {line.number}")


def _lfw(path: Path, lines: Sequence[_Line]) -> Iterator[ListedPair]:
    """Folds of as many pairs of one person and then of two, as the first line says."""
    numbers = [int(word) for word in lines[0].text.split()]
    folds, pairs = numbers if len(numbers) == 2 else (1, numbers[0])
    if len(lines) - 1 != 2 * folds * pairs:
        raise InvariantNetsError(
            f"{path}, line 1: {lines[0].text!r} stands for {folds} × 2 × {pairs} pairs, but {len(lines) - 1} lines "
            "follow; write the right numbers, or take that line out"
        )
    for i, line in enumerate(lines[1:]):
        fold = i // (2 * pairs) if len(numbers) == 2 else None
        yield _of_people(path, line, fold, i // pairs % 2 == 0)


def _videos(line: _Line) -> list[str]:
    """The two videos of a line of YouTube Faces; none if it is no such line."""
    named = [field for field in line.fields[1:-1] if "/" in field]
    split = line.fields[0].isdigit() and line.fields[-1] in ("0", "1")
    return named if split and len(named) == 2 and len(line.fields) >= 5 else []


def _ytf(path: Path, lines: Sequence[_Line]) -> Iterator[ListedPair]:
    """The number of the split, two videos ``person/number``, and last whether they show one person."""
    for line in lines:
        if not (named := _videos(line)):
            raise _refused(path, line, "split, number, person/video, person/video, … and last 1 or 0")
        one, other = named
        yield ListedPair(one, other, line.fields[-1] == "1", int(line.fields[0]), f"line {line.number}")


def _two_lines(path: Path, lines: Sequence[_Line]) -> Iterator[ListedPair]:
    """``a.jpg 1`` and ``b.jpg 1``. CALFW's numbers above 1 are folds, which its pairs of two people lack."""
    for line in lines:
        if len(line.fields) != 2 or not line.fields[1].isdigit():
            raise _refused(path, line, "'a.jpg 1', an image and 1 (one person) or 0 (two), two lines a pair")
    if len(lines) % 2:
        raise _refused(path, lines[-1], "an even number of lines, two for each pair")
    for one, two in zip(lines[::2], lines[1::2], strict=True):
        if one.fields[1] != two.fields[1]:
            raise _refused(path, two, f"{one.fields[1]} behind the second image, as on the line before")
        same, where = one.fields[1] != "0", f"lines {one.number} and {two.number}"
        yield ListedPair(one.fields[0], two.fields[0], same, None, where)


def _flat(path: Path, lines: Sequence[_Line]) -> Iterator[ListedPair]:
    """``a b 1``, or ``a b 1 fold`` on all lines."""
    width = len(lines[0].fields)
    for line in lines:
        if len(line.fields) != width or width not in (3, 4) or (width == 4 and not line.fields[3].isdigit()):
            raise _refused(path, line, _WANTED)
        fold = int(line.fields[3]) if width == 4 else None
        answer = _answer(path, line, line.fields[2])
        yield ListedPair(line.fields[0], line.fields[1], answer, fold, f"line {line.number}")


def _columns(path: Path, names: Sequence[str]) -> dict[str, int] | None:
    """What each column of a table of pairs holds; None if the first line names no columns."""
    plain = [re.sub(r"[\s_-]", "", name.lower()) for name in names]
    found = {what: [i for i, name in enumerate(plain) if form.fullmatch(name)] for what, form in COLUMNS.items()}
    needed = list(COLUMNS)[:3]
    if not any(found[what] for what in needed) or len(names) < 3 or {"0", "1", "yes", "no", "true"} & set(plain):
        return None  # img1 img2 1: no names of columns, but the first pair
    for what in needed:
        if len(found[what]) != 1:
            have = "none is" if not found[what] else f"{' and '.join(names[i] for i in found[what])} are"
            raise InvariantNetsError(
                f"{path}, line 1: {', '.join(names)}: {have} {what}; call the columns file_1, file_2, same (and fold)"
            )
    return {what: places[0] for what, places in found.items() if places}


def _table(path: Path, lines: Sequence[_Line], columns: dict[str, int]) -> Iterator[ListedPair]:
    a, b, answer, *rest = columns.values()
    folds: dict[str, int] = {}
    for line in lines:
        if len(line.fields) <= max(columns.values()) or not (line.fields[a] and line.fields[b]):
            raise _refused(path, line, "a value in each column that the first line names")
        fold = folds.setdefault(line.fields[rest[0]], len(folds)) if rest else None
        same = _answer(path, line, line.fields[answer])
        yield ListedPair(line.fields[a], line.fields[b], same, fold, f"line {line.number}")


def _cfp(folder: Path) -> Iterator[ListedPair]:
    """``01/same.txt`` and ``01/diff.txt`` … hold ``1,2``: in FP frontal and profile, in FF frontal both."""
    splits = sorted(path for path in folder.glob("*") if (path / "same.txt").is_file())
    if not splits:
        raise InvariantNetsError(
            f"{folder}: no list of pairs; give the file itself, or of CFP the folder Protocol/Split/FP (or FF)"
        )
    images = []
    for side in ("F", "P" if folder.name.upper() == "FP" else "F"):
        path = folder.parents[1] / f"Pair_list_{side}.txt"
        rows = _lines(path)
        for line in rows:
            if len(line.fields) != 2 or not line.fields[0].isdigit():
                raise _refused(path, line, "number path")
        images.append({int(line.fields[0]): line.fields[1] for line in rows})
    for fold, split in enumerate(splits):
        for name, same in (("same", True), ("diff", False)):
            path = split / f"{name}.txt"
            for line in _lines(path):
                numbers = [int(field) for field in line.fields if field.isdigit()]
                if len(numbers) != 2 or len(line.fields) != 2:
                    raise _refused(path, line, "two numbers, as in 1,2")
                for number, known in zip(numbers, images, strict=True):
                    if number not in known:
                        raise _refused(path, line, f"numbers of Pair_list_F.txt and Pair_list_P.txt, 1 to {len(known)}")
                where = f"{split.name}/{name}.txt, line {line.number}"
                yield ListedPair(images[0][numbers[0]], images[1][numbers[1]], same, fold, where)
