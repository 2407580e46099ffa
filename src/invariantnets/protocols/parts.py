"""People in pictures, and the parts that were found of each: what a table of a row per picture and part holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable

__all__ = ["ALBUM", "PART", "Instances", "both_halves", "known_rows", "read_instances"]

PART, ALBUM = "part", "album"


@dataclass(frozen=True)
class Instances:
    """``I`` people in pictures, each with one row of features for every part that fired.

    Attributes:
        parts: names of the K + 1 parts; the first is the global one, which should fire everywhere.
        row: ``(I, K + 1)`` int64 row of the features, -1 where the part did not fire.
        person: ``(I,)`` int64.
        picture: ``(I,)`` int64.
        album: ``(I,)`` int64; None where the table has no such column.
        split: ``(I,)`` ``val``, by which weights are learned, or ``test``.
        notes: what was left out, and why.
    """

    parts: tuple[str, ...]
    row: np.ndarray
    person: np.ndarray
    picture: np.ndarray
    album: np.ndarray | None
    split: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.person)

    @property
    def active(self) -> np.ndarray:
        """``(I, K + 1)`` which parts fired."""
        return self.row >= 0

    @property
    def has_global(self) -> bool:
        """Whether there is a part that fires everywhere; without one the first has no name and never fires."""
        return bool(self.parts[0])

    def where(self, selection: np.ndarray) -> Instances:
        """Some of them, by a mask or an index."""
        of = {name: getattr(self, name)[selection] for name in ("row", "person", "picture", "split")}
        return replace(self, **of, album=None if self.album is None else self.album[selection])

    def said(self, *notes: str) -> Instances:
        """With more to be said."""
        return replace(self, notes=(*self.notes, *filter(None, notes)))


def known_rows(table: FeatureTable, layer: str) -> tuple[FeatureTable, str]:
    """A table without rows whose features are not numbers, which are parts that did not fire; and what must be said.

    It is also among the remarks of the table.
    """
    x = table.features[layer]
    known = np.isfinite(x).all(1)
    if known.all():
        return table, ""
    said = f"{np.count_nonzero(~known)} rows of NaN or infinity count as parts that did not fire"
    remarks = [*table.meta.get("remarks", ()), said]
    return replace(table.rows(known), meta={**table.meta, "remarks": remarks}), said


def read_instances(table: FeatureTable, layer: str, global_part: str | None) -> Instances:
    """Group the rows of a table by picture and person.

    Rows of split ``val`` are for the weights; of a split that was drawn here, all that are not ``test``, since then no
    network was trained on them as far as the table says.

    Args:
        table: its ``source`` is the picture, a column ``part`` says what a row shows; ``album`` may be there.
        layer: of the features, whose rows are all finite (`known_rows`).
        global_part: the part that fires everywhere; None, or one that no row has: there is none.

    Raises:
        InvariantNetsError: no column ``part``, no rows of val or test, or nobody of whom two parts fired.
    """
    names, part = _parts(table, global_part)
    wanted = ("train", "val") if "division" in table.meta else ("val",)
    split = np.where(np.isin(table.split, wanted), "val", table.split)
    for needed in ("val", "test"):
        if not (split == needed).any():
            raise InvariantNetsError(
                f"protocols=piper needs rows of split 'val', for the weights of the parts, and 'test': none is of "
                f"{needed!r}; without a column split one is drawn"
            )
    rows = np.flatnonzero((part >= 0) & (split != "train"))
    keys = np.stack([table.source[rows], table.label[rows]])
    (picture, person), first, which = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    which, notes = which.ravel(), []
    row = np.full((len(person), len(names)), -1)
    row[which[::-1], part[rows][::-1]] = rows[::-1]  # the first row of each stays
    if twice := len(rows) - np.count_nonzero(row >= 0):
        again = rows[row[which, part[rows]] != rows][0]
        notes.append(
            f"{twice} rows show a part of a picture that is there before (the first is {names[part[again]]!r} in row "
            f"{_number(table, again)}): the first row counts"
        )
    if not ((row >= 0).sum(1) > 1).any():
        raise InvariantNetsError(
            "no picture has two parts: source=<column> says which rows are of one picture, a row is a picture and a "
            "part of it"
        )
    found = Instances(names, row, person, picture, _albums(table, rows[first]), split[rows[first]], tuple(notes))
    return _without_dead_parts(_albums_apart(found, table), global_part)


def _parts(table: FeatureTable, global_part: str | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the parts, the global one first, and ``(N,)`` which each row shows, -1 where that is unknown."""
    kind = next((n for n in table.nuisances if n.name == PART), None)
    if kind is None:
        has = ", ".join(n.name for n in table.nuisances) or "none"
        raise InvariantNetsError(
            f"protocols=piper needs a column {PART!r} that says what a row shows, a row being a picture and a part; "
            f"the columns are {has}; with nuisances=[…] name it there"
        )
    values = table.nuisance[PART]
    found, code = np.unique(values[~np.isnan(values)], return_inverse=True)
    called = [kind.categories[int(v)] if kind.categories else f"{v:g}" for v in found]
    whole = [name for name in called if name == global_part]
    order = [*whole, *(name for name in called if name not in whole)]
    part = np.full(len(values), -1)
    part[~np.isnan(values)] = np.array([order.index(name) for name in called], np.int64)[code] + (not whole)
    return (*([] if whole else [""]), *order), part


def _number(table: FeatureTable, row: int) -> int:
    return int(row if table.row is None else table.row[row]) + 1


def _albums(table: FeatureTable, rows: np.ndarray) -> np.ndarray | None:
    """``(I,)`` the album of each; one that is unknown is an album of its own."""
    if ALBUM not in table.nuisance:
        return None
    values = table.nuisance[ALBUM][rows]
    album = np.unique(values, return_inverse=True)[1].astype(np.int64)
    unknown = np.isnan(values)
    album[unknown] = album.max(initial=0) + 1 + np.unique(table.source[rows][unknown], return_inverse=True)[1]
    return album


def _albums_apart(found: Instances, table: FeatureTable) -> Instances:
    """Leave out of val what is of an album of test: weights and answers would share a day."""
    if found.album is None:
        return found
    shared = np.intersect1d(found.album[found.split == "val"], found.album[found.split == "test"])
    if not len(shared):
        return found
    out = np.isin(found.album, shared) & (found.split == "val")
    note = f"{len(shared)} albums are in val and in test: their {np.count_nonzero(out)} pictures in val are left out"
    return found.where(~out).said(note)


def _without_dead_parts(found: Instances, global_part: str | None) -> Instances:
    """Leave out parts that never fire in val or in test, but for the place of the global one."""
    fires = np.stack([found.active[found.split == split].any(0) for split in ("val", "test")])
    dead: np.ndarray = fires.sum(0) < 2
    dead[0] = False
    notes = []
    for k in np.flatnonzero(dead):
        silent = " and ".join(split for split, fired in zip(("val", "test"), fires[:, k], strict=True) if not fired)
        notes.append(f"part {found.parts[k]!r} never fires in {silent}: it is left out")
    if not found.active[:, 0].any():
        named = f"no row is of part {global_part!r}: " if global_part else ""
        notes.append(f"{named}there is no global part, and P₀ is uniform")
    elif missing := np.count_nonzero(~found.active[:, 0]):
        notes.append(f"{missing} of {len(found)} have no row of the global part {global_part!r}: P₀ is uniform there")
    if dead[1:].all():
        raise InvariantNetsError("no part beside the global one fires in val and in test: there is nothing to combine")
    keep = ~dead
    kept = replace(found, parts=tuple(np.array(found.parts, object)[keep]), row=found.row[:, keep])
    return kept.where(kept.active.sum(1) > 0).said(*notes)


def both_halves(
    found: Instances, ways: Sequence[str], rng: np.random.Generator
) -> tuple[Instances, dict[str, np.ndarray]]:
    """Halve every person's pictures, by image and by album; the same people whichever way.

    A person's albums (or pictures) are dealt, the largest first and in random order, to the half that has fewer.

    Args:
        found: people in pictures.
        ways: of ``image`` and ``album``.
        rng: deals.

    Returns:
        Those who are in both halves, and way → ``(I,)`` their half, 0 or 1; a way is left out if it has fewer than two
        people in val or in test.
    """
    notes, halves = [], {}
    together = np.ones(len(found), bool)
    for way in ways:
        if way == ALBUM and found.album is None:
            continue
        unit = found.album if way == ALBUM else found.picture
        assert unit is not None
        half = _dealt(found.person, unit, rng)
        left = [len(np.unique(found.person[(half >= 0) & (found.split == s)])) for s in ("val", "test")]
        if min(left) < 2:
            notes.append(f"not measured by {way}: fewer than two people have two {way}s")
            continue
        halves[way] = half
        together &= half >= 0
    for split in ("val", "test"):
        here = found.split == split
        if halves and (people := len(np.unique(found.person[here & ~together]))):
            last = "album" if ALBUM in halves else "picture"
            notes.append(f"{people} people of {split} have one {last}, and cannot be in both halves: left out")
    return found.where(together).said(*notes), {way: half[together] for way, half in halves.items()}


def _dealt(person: np.ndarray, unit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(I,)`` half of each, -1 for people of one unit. Both halves are about as large for everybody."""
    half = np.full(len(person), -1)
    order = np.argsort(person, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        units, code, count = np.unique(unit[rows], return_inverse=True, return_counts=True)
        if len(units) < 2:
            continue
        dealt, size = np.empty(len(units), np.int64), np.zeros(2)
        for one in np.lexsort((rng.random(len(units)), -count)):
            dealt[one] = int(rng.integers(2)) if size[0] == size[1] else int(size.argmin())
            size[dealt[one]] += count[one]
        half[rows] = dealt[code]
    return half
