"""What the columns of a table mean: labels, splits, names, answers and nuisances, each checked and by its own name."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import numpy as np
import pandas as pd

from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Kind, Nuisance, doubt, infer_nuisance

# A text column with more values than this, and than half its rows, names the rows instead of describing them.
MANY_VALUES = 50


def as_text(values: np.ndarray) -> np.ndarray:
    """Ids as text in Unicode's normal form C: José typed on two machines is one person."""
    found, group = np.unique(values.astype(str), return_inverse=True)
    return np.array([unicodedata.normalize("NFC", value) for value in found.tolist()], dtype=str)[group]


def as_ids(values: np.ndarray, name: str, owner: str) -> np.ndarray:
    """Classes, people or sources: whole numbers, or text.

    Raises:
        InvariantNetsError: some are missing, or are numbers that are not whole.
    """
    missing = np.flatnonzero(pd.isna(values) | (values == "" if values.dtype.kind in "OUT" else False))
    if len(missing):
        raise InvariantNetsError(
            f"{owner}: column {name!r} has missing values in {len(missing)} of {len(values)} rows, the first is row "
            f"{missing[0] + 1}; fill it, or drop those rows"
        )
    if values.dtype.kind in "iub":
        return values
    if values.dtype.kind == "O" and all(isinstance(v, int | np.integer) for v in values.tolist()):
        return values.astype(np.int64)
    if values.dtype.kind != "f":
        return as_text(values)
    broken = np.flatnonzero(values != np.round(values))
    if len(broken):
        raise InvariantNetsError(
            f"{owner}: column {name!r} holds {values[broken[0]]:g} in row {broken[0] + 1}: classes, people and sources "
            f"are whole numbers or text; if it is a nuisance, call it otherwise"
        )
    return values.astype(np.int64)


def read_names(values: np.ndarray, owner: str) -> np.ndarray:
    """Names of images, ``(N,)`` str.

    Raises:
        InvariantNetsError: a name that is missing, or is given twice.
    """
    if pd.isna(values).any():
        raise InvariantNetsError(f"{owner}: column 'name' has missing values; fill it, or drop those rows")
    names, counts = np.unique(text := as_text(values), return_counts=True)
    if counts.max(initial=1) > 1:
        raise InvariantNetsError(
            f"{owner}: column 'name' has {str(names[counts.argmax()])!r} {counts.max()} times; it must name each image "
            "once (call it otherwise if it is a nuisance)"
        )
    return text


def read_prediction(values: np.ndarray, classes: np.ndarray, owner: str) -> np.ndarray:
    """Predicted classes as codes; of a class that no row has, which cannot be right: one past the last.

    Raises:
        InvariantNetsError: most predictions are of no class of the labels, so that they speak of something else.
    """
    values = as_ids(values, "prediction", owner)
    if values.dtype.kind != classes.dtype.kind and {values.dtype.kind, classes.dtype.kind} & {"U"}:
        known = np.zeros(len(values), bool)
    else:
        known = np.isin(values, classes)
    if known.mean() < 0.5:
        other, own = values[~known].tolist()[0], classes.tolist()[0]
        raise InvariantNetsError(
            f"{owner}: column 'prediction' speaks of other classes than 'label': {np.count_nonzero(~known)} of "
            f"{len(values)} predictions, as {other!r}, are of none of {len(classes)} classes, as {own!r}; "
            "write both in the same words, or drop the column"
        )
    return np.where(known, np.searchsorted(classes, np.where(known, values, classes[0])), len(classes))


def read_nuisances(
    columns: Mapping[str, np.ndarray], kinds: Mapping[str, Kind], units: Mapping[str, str], owner: str
) -> tuple[dict[Nuisance, np.ndarray], list[str]]:
    """Columns as nuisances.

    Args:
        columns: name → ``(N,)``.
        kinds: of some, as the user says.
        units: of some.
        owner: what to call the table in messages.

    Returns:
        nuisance → ``(N,)`` float64, NaN where unknown; and what was guessed or left out.

    Raises:
        InvariantNetsError: a kind or unit of a column that is not there, or that its values are not of.
    """
    for name in {**kinds, **units}:
        if name not in columns:
            has = ", ".join(columns) or "none"
            raise InvariantNetsError(f"{owner}: kinds and units: there is no nuisance {name!r}; it has {has}")
    found, remarks = {}, []
    for name, values in columns.items():
        if left_out := _no_nuisance(values):
            remarks.append(f"column {name!r} was left out: {left_out}")
            continue
        nuisance, numbers = infer_nuisance(name, values, kinds.get(name), units.get(name, ""))
        found[nuisance] = numbers
        if name not in kinds and (asked := doubt(nuisance, numbers)):
            remarks.append(asked)
        if unknown := np.count_nonzero(np.isnan(numbers)):
            remarks.append(f"{name!r} is unknown in {unknown} of {len(numbers)} rows, which count for the others only")
    return found, remarks


def _no_nuisance(values: np.ndarray) -> str:
    """Why a column is nothing to probe; empty if it may be."""
    if values.dtype.kind in "mM":
        return "dates and times are no nuisance as they are; write hours or days as a number"
    if values.dtype.kind not in "OUT":
        return ""
    known = values[~pd.isna(values)]
    distinct = len(set(known.tolist()))
    if distinct > MANY_VALUES and distinct > len(known) / 2 and not all(isinstance(v, float | int) for v in known):
        return f"{distinct} different texts in {len(values)} rows name the rows, as a path or an id does"
    return ""


def is_fixed(label: np.ndarray, values: np.ndarray) -> bool:
    """Whether a nuisance never varies within a class, though it does between classes of several rows.

    Args:
        label: ``(N,)`` codes.
        values: ``(N,)``, NaN where unknown.
    """
    known = ~np.isnan(values)
    label, values = label[known], values[known]
    _, first, group = np.unique(label, return_index=True, return_inverse=True)
    again = np.setdiff1d(np.arange(len(label)), first)  # of a class of one row nobody knows whether it varies
    return len(np.unique(values[again])) > 1 and bool((values == values[first][group]).all())
