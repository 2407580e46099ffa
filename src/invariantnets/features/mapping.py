"""Which of the arrays of a file are the features, the class, the split: as named, or guessed and said."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from invariantnets.errors import InvariantNetsError
from invariantnets.features.matrices import apart, chosen, gathered, listed
from invariantnets.features.naming import LABEL, NAME, PEOPLE, ROW_IDS, SOURCE, SPELT, SPLIT
from invariantnets.features.reading import Raw

OWN = ("label", "split", "source", "name", "prediction", "entropy")
MAX_CATEGORIES = 1000
DATE = re.compile(r"(?:\d{4}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{2,4})(?:[T ].*)?")
GUESSED = {
    "label": "the class",
    "split": "the split",
    "source": "what rows have in common",
    "name": "the images' names",
}


@dataclass(frozen=True)
class Mapped:
    """What a table is made of.

    Attributes:
        features: layer → ``(N, D)``.
        columns: name → ``(N,)``, those of `OWN` called so.
        remarks: what was guessed or left out, and how to change it.
        called: role → the column that has it, as the file calls it.
    """

    features: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]
    remarks: list[str]
    called: Mapping[str, str] = field(default_factory=dict)

    @property
    def people(self) -> bool:
        """Whether the class is called as people are, whom a split that is drawn should keep apart."""
        return self.called.get("label", "").lower() in PEOPLE


def map_columns(
    raw: Raw,
    *,
    label: str | None = None,
    split: str | None = None,
    source: str | None = None,
    name: str | None = None,
    layers: str | Sequence[str] | None = None,
    nuisances: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] = (),
    owner: str = "table",
) -> Mapped:
    """Say what each array is.

    Args:
        raw: what was read.
        label: the column that is the class. None: one that is called so, or nearly so.
        split: that says train, val or test.
        source: of what rows have in common.
        name: of the images' names.
        layers: matrices that are features, or ``all``. None: the only one, or the only one that is called so.
        nuisances: columns, or matrices whose columns, are probed, and no others. None: all that are left.
        ignore: what is not looked at.
        owner: how messages call the table.

    Raises:
        InvariantNetsError: a name that is not there, several matrices or columns that may be meant, a numbered
            column that is missing, or a nuisance that names each row.
    """
    given = zip(("label", "split", "source", "name"), (label, split, source, name), strict=True)
    named = {role: str(column) for role, column in given if column is not None}
    try:
        return _mapped(raw, named, layers, None if nuisances is None else listed(nuisances), listed(ignore))
    except InvariantNetsError as error:
        raise InvariantNetsError(f"{owner}: {error}") from None


def _mapped(
    raw: Raw,
    named: Mapping[str, str],
    layers: str | Sequence[str] | None,
    nuisances: Sequence[str] | None,
    ignored: Sequence[str],
) -> Mapped:
    used = [*named.values(), *(nuisances or ())]
    for key, column in [*named.items(), *(("ignore", column) for column in ignored)]:
        _check_there(key, column, raw.arrays)
    if both := [column for column in used if column in ignored]:
        raise InvariantNetsError(f"{both[0]!r} is both used and ignored; take it out of one of the two")
    arrays, gathering = gathered({key: x for key, x in raw.arrays.items() if key not in ignored}, used)
    features, rest, choosing = chosen(arrays, layers, used)
    columns, wanted, parting = apart(rest, nuisances or ())
    for column in wanted:
        _check_there("nuisances", column, columns)
    rows = {len(x) for x in features.values()}
    guessed = _guess(columns, named, wanted, rows)
    roles = {**{own: own for own in OWN if own in columns}, **guessed, **named}
    remarks = [*raw.remarks, *gathering, *choosing, *parting]
    for role, column in guessed.items():
        remarks.append(f"{role}={column} was taken as {GUESSED[role]}; {role}=<column> takes another")
    for role, column in named.items():
        if columns[column].ndim != 1:
            raise InvariantNetsError(f"{role}={column} has shape {columns[column].shape}; it must be one column")
        if role in columns and role != column and role not in (*named.values(), *wanted):
            remarks.append(f"column {role!r} was left out: {role}={column} was given")
    own = {role: columns[column] for role, column in roles.items()}
    left = [column for column in columns if column not in (*OWN, *roles.values())] if nuisances is None else wanted
    rest = {}
    for column in left:
        if column in OWN:
            raise InvariantNetsError(f"nuisances={column}: that name is taken; call the column otherwise")
        if why := _nothing_to_probe(column, columns[column], column in wanted):
            remarks.append(f"column {column!r} was left out: {why}")
        else:
            rest[column] = columns[column]
    if "prediction" in own and own["prediction"].dtype.kind in "iu" and own.get("label", np.empty(0)).dtype == object:
        own["prediction"] = own["prediction"].astype(str).astype(object)  # beside '030' a 7 is text too
    return Mapped(features, {**own, **rest}, remarks, roles)


def _check_there(key: str, column: str, known: Collection[str]) -> None:
    if column not in known:
        close = difflib.get_close_matches(column, known, 1)
        shown = ", ".join([*known][:12]) + ", …" * (len(known) > 12)
        hint = f"did you mean {close[0]}?" if close else f"there are {shown}"
        raise InvariantNetsError(f"{key}={column}: there is no such column; {hint}")


def _guess(
    columns: Mapping[str, np.ndarray], named: Mapping[str, str], wanted: Sequence[str], rows: Collection[int]
) -> dict[str, str]:
    """Roles that were not named, by what people call them: of columns with as many rows as the features."""
    taken, guessed = {*named.values(), *wanted}, {}
    for role, words in (("label", LABEL), ("split", SPLIT), ("source", SOURCE), ("name", NAME)):
        if role in named or role in columns:
            continue
        fits = {"label": _tells_classes, "split": _tells_splits, "source": _repeats, "name": _is_text}[role]
        found = [key for key, x in columns.items() if key.lower() in words and x.ndim == 1 and len(x) in rows]
        found = [key for key in found if key not in taken]
        found = sorted((key for key in found if fits(columns[key])), key=lambda key: words.index(key.lower()))
        if role != "name" and len(found) > 1:
            raise InvariantNetsError(
                f"{' and '.join(map(repr, found[:2]))} may both be {GUESSED[role]}; say "
                f"{role}={found[0]}, or ignore one"
            )
        if not found:
            continue
        if role == "name" and _repeats(columns[found[0]]):  # one picture in several rows
            if "source" in named or "source" in columns or "source" in guessed:
                continue
            role = "source"
        guessed[role] = found[0]
        taken.add(found[0])
    return guessed


def _tells_classes(values: np.ndarray) -> bool:
    """Not a number to be predicted, and not another one in each row."""
    if values.dtype.kind == "f":
        return bool((values[np.isfinite(values)] % 1 == 0).all()) and _repeats(values)
    return values.dtype.kind in "iubOU" and _repeats(values)


def _tells_splits(values: np.ndarray) -> bool:
    return {str(value).strip().lower() for value in pd.unique(values)} <= SPELT


def _repeats(values: np.ndarray) -> bool:
    return len(pd.unique(values)) < len(values)


def _is_text(values: np.ndarray) -> bool:
    return values.dtype.kind in "OU" and not pd.isna(values).any()


def _nothing_to_probe(column: str, values: np.ndarray, wanted: bool) -> str | None:
    """Why nothing can be predicted of a column.

    Raises:
        InvariantNetsError: it was named as a nuisance, and has more texts than anybody can predict.
    """
    if values.ndim != 1:
        return None  # the table refuses it
    different = pd.unique(values[~pd.isna(values)])
    if values.dtype.kind == "M" or (
        values.dtype.kind in "OU" and len(different) and all(DATE.fullmatch(str(value)) for value in different)
    ):
        if wanted:
            raise InvariantNetsError(
                f"nuisance {column!r} holds dates; give a number (an hour, a year) or leave it out"
            )
        return "it holds dates"
    if values.dtype.kind in "OU" and not all(isinstance(value, bool) for value in different):
        rows = np.count_nonzero(~pd.isna(values))
        if wanted and len(different) > MAX_CATEGORIES:
            raise InvariantNetsError(
                f"nuisance {column!r} has {len(different):,} different texts in {rows:,} rows, more than the "
                f"{MAX_CATEGORIES:,} that can be told apart; leave it out"
            )
        if len(different) > min(MAX_CATEGORIES, max(rows / 2, 2)) and not wanted:
            return f"it has {len(different):,} different texts in {rows:,} rows, so it names them (an id, a path)"
    if wanted:
        return None
    if len(different) < 2:
        return f"it has one value only ({different[0]})" if len(different) else "it has no value"
    if column.lower() in ROW_IDS and len(different) == len(values) and values.dtype.kind in "iuf":
        return "it numbers the rows"
    return "it says which fold a row is in; split=fold takes it as the split" if column.lower() == "fold" else None
