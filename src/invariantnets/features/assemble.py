"""Features and columns that came from anywhere, checked and put together: what `FeatureTable.from_columns` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from invariantnets.division import Division, divide, read_split
from invariantnets.errors import InvariantNetsError
from invariantnets.features.columns import (
    as_ids,
    is_fixed,
    read_names,
    read_nuisances,
    read_prediction,
)
from invariantnets.features.matrix import check_far, copies, dominant, kept, ordered, zero_rows
from invariantnets.nuisance import SPLITS, Kind

# Columns that are no nuisance.
KNOWN = ("label", "split", "source", "prediction", "entropy", "name")
TEST, VAL = 0.2, 0.2  # of the images, or people; of the rest
NEARLY_ALL = 0.9


def assemble(
    features: Mapping[str, np.ndarray],
    columns: Mapping[str, np.ndarray],
    owner: str,
    kinds: Mapping[str, Kind],
    units: Mapping[str, str],
    division: Division | None,
    seed: int,
) -> dict[str, Any]:
    """The fields of a `FeatureTable`; ``meta`` holds ``remarks``, what was assumed, drawn and left out.

    Raises:
        InvariantNetsError: see `FeatureTable.from_columns`.
    """
    rows = _check_shapes(features, columns, owner)
    remarks: list[str] = []
    drawn = ""
    given = {name: as_ids(columns[name], name, owner) for name in ("label", "source") if name in columns}
    classes, label = np.unique(given.get("label", np.zeros(rows, np.int64)), return_inverse=True)
    nuisances, said = read_nuisances({n: x for n, x in columns.items() if n not in KNOWN}, kinds, units, owner)
    x = {name: kept(values) for name, values in features.items()}
    for name, values in x.items():
        check_far(values, name, owner)
        if zeros := zero_rows(values):
            remarks.append(
                f"{zeros} of {rows} rows of {name!r} are zero throughout: was nothing found in those images?"
            )
        if (column := dominant(values)) is not None:
            remarks.append(
                f"column {column} of {name!r} makes up all but the whole length of the rows: cosines see nothing else; "
                "is it a feature?"
            )
    alike, twin = _twins(max(x.values(), key=lambda values: values.shape[1]), [label, *nuisances.values()])
    source = np.unique(given["source"], return_inverse=True)[1] if "source" in given else twin
    if "source" in given:
        remarks += _counted(source != source[twin], twin, "are copies of rows of another source")
    else:
        remarks += _counted(twin != np.arange(rows), twin, "are copies of others, and count as one image with them")
    remarks += _counted(alike != twin, alike, "equal others in their features, but not in class or nuisance")
    if "split" in columns:
        split, understood = read_split(as_ids(columns["split"], "split", owner), owner)
        remarks += [f"{understood} was understood"] if understood else []
    else:
        split = _draw(label, source, division or "image", TEST, VAL, seed)
        people = division == "identity"
        who, what = ("person", "the people") if people else ("image", "the images")
        other, who_else = ("image", "image") if people else ("identity", "person")
        drawn = f"drawn by {who}: a fifth of {what} test, a fifth of the rest val, seed {seed}"
        remarks.append(f"no split was given: {drawn}; division={other} would draw by {who_else}")
    if (split == "train").any() and not (split == "val").any():
        train = np.flatnonzero(split == "train")
        split[train] = _draw(label[train], source[train], "image", 0, VAL, seed)
        remarks.append(f"no row is of split val: a fifth of the train images were taken, seed {seed}")
    left = _leaked(split, twin)
    if left.any():
        remarks.append(
            f"{np.count_nonzero(left)} rows of val and test are copies of rows that the probes are fitted or chosen on "
            "(features, class and nuisances), and were left out"
        )
    strange = _of_new_classes(label, split)
    if strange.any():
        remarks.append(
            f"{np.count_nonzero(strange)} rows of val and test are of classes without a row in train, and were left out"
        )
    left |= strange
    # Each split together: then it is a view. What is left out comes last, and is cut off.
    place = np.select([split == s for s in SPLITS], range(len(SPLITS)))
    order = np.argsort(np.where(left, len(SPLITS), place), kind="stable")[: rows - np.count_nonzero(left)]
    together = len(order) == rows and bool((order == np.arange(rows)).all())
    present, label = np.unique(label[order], return_inverse=True)
    classes = classes[present]
    labelled = len(classes) > 1
    if "label" in given and not labelled:
        remarks.append(f"every row is of class {classes[0]}, so nothing is said of classes")
    entropy = columns.get("entropy")
    prediction = read_prediction(columns["prediction"][order], classes, owner) if "prediction" in columns else None
    names = read_names(columns["name"], owner) if "name" in columns else None
    nuisances = {nuisance: values[order] for nuisance, values in nuisances.items()}
    return {
        "features": {layer: values if together else ordered(values, order) for layer, values in x.items()},
        "label": label,
        "split": split[order],
        "source": np.unique(source[order], return_inverse=True)[1],
        "nuisance": {nuisance.name: values for nuisance, values in nuisances.items()},
        "nuisances": tuple(replace(n, fixed=labelled and is_fixed(label, values)) for n, values in nuisances.items()),
        "num_classes": len(classes),
        "classes": tuple(classes.tolist()) if labelled else (),
        "prediction": prediction if labelled else None,
        "entropy": None if entropy is None else entropy[order].astype(np.float32),
        "name": None if names is None else names[order],
        "row": order,
        "meta": {"remarks": remarks + said, **({"division": drawn} if drawn else {})},
    }


def _check_shapes(features: Mapping[str, np.ndarray], columns: Mapping[str, np.ndarray], owner: str) -> int:
    """Number of rows, which all must have."""
    if not features:
        raise InvariantNetsError(f"{owner}: no features: a 2-D array, columns f0, f1, … or a column of lists")
    for name, values in columns.items():
        if values.ndim != 1:
            raise InvariantNetsError(f"{owner}: column {name!r} has shape {values.shape}; one value a row is needed")
    for name, values in features.items():
        if values.ndim != 2 or values.dtype.kind not in "fiub" or not values.shape[1]:
            wanted = "numbers (N, D) are needed" + ": np.stack(…) makes them of lists" * (values.dtype == object)
            raise InvariantNetsError(f"{owner}: features {name!r} are {values.dtype} of shape {values.shape}; {wanted}")
    if "entropy" in columns and columns["entropy"].dtype.kind not in "fiu":
        found = columns["entropy"].dtype
        raise InvariantNetsError(f"{owner}: column 'entropy' holds {found}, not numbers; rename or drop it")
    first, rows = next((name, len(values)) for name, values in {**columns, **features}.items())
    for name, values in {**columns, **features}.items():
        if len(values) != rows:
            raise InvariantNetsError(f"{owner}: {name!r} has {len(values)} rows, {first!r} has {rows}")
    if not rows:
        raise InvariantNetsError(f"{owner}: has no row")
    return rows


def _twins(x: np.ndarray, known: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` each: the first row of the same features, and the first of which all else that is known is the same too.

    Where most rows have a copy, features take few values, and equal ones mean nothing.
    """
    alone = np.arange(len(x))
    finite = np.isfinite(x[0]).all()  # what is not finite is refused where the layer is read
    alike = copies(x) if finite and len(x) > 1 else alone
    if len(np.unique(alike)) < len(x) / 2:
        return alone, alone
    same = np.ones(len(x), bool)
    for values in known:
        same &= (values == values[alike]) | (np.isnan(values) & np.isnan(values[alike]))
    return alike, np.where(same, alike, alone)


def _counted(which: np.ndarray, first: np.ndarray, what: str) -> list[str]:
    """How many rows that is true of, with one of them; nothing if none."""
    rows = np.flatnonzero(which)
    return (
        [f"{len(rows)} of {len(which)} rows {what} (as row {rows[0] + 1} and {first[rows[0]] + 1})"]
        if len(rows)
        else []
    )


def _draw(label: np.ndarray, source: np.ndarray, division: Division, test: float, val: float, seed: int) -> np.ndarray:
    """A split in which rows of one source stay together."""
    _, first, group = np.unique(source, return_index=True, return_inverse=True)
    return divide(label[first], division, test, val, seed)[group]


def _leaked(split: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """Rows of val with a copy in train, and rows of test with one in either."""
    train, val = (np.isin(twin, twin[split == s]) for s in ("train", "val"))
    return ((split == "val") & train) | ((split == "test") & (train | val))


def _of_new_classes(label: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Rows of val and test whose class has no row in train, where nearly all have: a stray, and no open set."""
    test = split == "test"
    known = np.isin(label, label[split == "train"])
    return ~known & (known[test].mean() >= NEARLY_ALL if test.any() else False)
