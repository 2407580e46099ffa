"""Which matrices of a file are its features: the one that is named, or called so, or alone; never the last."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.naming import PREFIXES, is_features, is_side, numbered

Arrays = dict[str, np.ndarray]
BLOCK_ROWS = 4096


def listed(names: str | Iterable[str] | None) -> list[str]:
    """One name or several, as a list."""
    return [] if names is None else [names] if isinstance(names, str) else [str(name) for name in names]


def gathered(arrays: Mapping[str, np.ndarray], used: Collection[str]) -> tuple[Arrays, list[str]]:
    """Numbered columns as one matrix, in the place of the first of them.

    Args:
        arrays: of any shape.
        used: columns that were given by name, and stay columns.

    Returns:
        Arrays, and what was taken for a matrix.

    Raises:
        InvariantNetsError: a number that is missing or there twice.
    """
    plain = [name for name, x in arrays.items() if x.ndim == 1 and name not in used]
    groups = {
        prefix: names
        for prefix, names in numbered(plain).items()
        if prefix.lower() in PREFIXES or all(arrays[name].dtype.kind in "fiub" for name in names)
    }
    usual = [prefix for prefix in groups if prefix.lower() in PREFIXES]
    out, remarks = dict(arrays), []
    for prefix, names in groups.items():
        _check_numbers(names)
        key = "features" if usual == [prefix] and "features" not in arrays else prefix or "numbered"
        if key in arrays:
            raise InvariantNetsError(
                f"{key!r} and the columns {names[0]} … are called alike; ignore={key}, or rename it"
            )
        out[key] = _stacked([out.pop(name) for name in names])
        if names[0] != "f0":
            remarks.append(
                f"the columns {names[0]} … {names[-1]} were taken as the {len(names)} numbers of a layer, {key!r}; "
                "nuisances=[…] takes single ones"
            )
    return out, remarks


def _stacked(columns: Sequence[np.ndarray]) -> np.ndarray:
    out = np.empty((len(columns[0]), len(columns)), np.result_type(*columns))
    for start in range(0, len(out), BLOCK_ROWS):  # a block stays in the cache while it is filled column by column
        for place, column in enumerate(columns):
            out[start : start + BLOCK_ROWS, place] = column[start : start + BLOCK_ROWS]
    return out


def _check_numbers(names: Sequence[str]) -> None:
    """Refuse a number that is missing: it was a feature, and the others are not what they were without it."""
    ends = [found[0] for name in names if (found := re.search(r"\d+$", name))]
    expected = min(int(ends[0]), 1)
    for place, end in enumerate(ends):
        if int(end) < expected:
            raise InvariantNetsError(f"columns {names[place - 1]!r} and {names[place]!r} have one number; rename one")
        if int(end) > expected:
            width = len(end) if ends[0][0] == "0" and len(ends[0]) > 1 else 1
            missing = f"{names[place].removesuffix(end)}{expected:0{width}d}"
            raise InvariantNetsError(
                f"column {missing!r} is missing before {names[place]!r}: features are numbered from 0 or 1 without a "
                "gap; add it, or number them anew"
            )
        expected += 1


def chosen(
    arrays: Mapping[str, np.ndarray], layers: str | Sequence[str] | None, columns: Collection[str]
) -> tuple[Arrays, Arrays, list[str]]:
    """The matrices that are features, and all that is not: columns, and matrices that come apart into columns.

    Args:
        arrays: of any shape.
        layers: names of matrices, ``all``, or None for the only one, or the only one that is called so.
        columns: matrices that were given by name as something else.

    Returns:
        Features, the rest, and what was taken or left out.

    Raises:
        InvariantNetsError: a layer that is not there, or several matrices that may be meant.
    """
    wanted = [] if layers == "all" else listed(layers)
    matrices = {name: x for name, x in arrays.items() if x.ndim == 2 and (name not in columns or name in wanted)}
    thin = [name for name, x in matrices.items() if x.shape[1] == 1 and name not in wanted]
    if len(thin) == len(matrices):
        thin = [name for name in thin if not is_features(name)]
    found = {name: x for name, x in matrices.items() if name not in thin}
    # What is called like boxes or landmarks is what pipelines write beside the features; cubes too.
    side = [name for name in found if is_side(name) and name not in wanted and len(found) > 1]
    cubes = [name for name, x in arrays.items() if x.ndim > 2 and is_side(name)]
    for name in wanted:
        if name not in found:
            raise InvariantNetsError(
                f"layers={name}: there is no such layer; choose from {', '.join(found) or 'none'}, or all"
            )
    features = {name: found[name] for name in wanted or found if name not in side}
    if layers is None and len(features) > 1:
        called = [name for name in features if is_features(name)]
        features = {called[0]: features[called[0]]} if len(called) == 1 else features
    if len(features) != 1 and (layers is None and found):
        candidates = features or found
        raise InvariantNetsError(
            f"which matrix holds the features? There are {_shapes(candidates)}; say layers={next(iter(candidates))}, "
            "or layers=all for each"
        )
    remarks = []
    if out := {name: arrays[name] for name in (*found, *cubes) if name not in features}:
        remarks.append(
            f"{_shapes(out)} {'was' if len(out) == 1 else 'were'} left out: {' and '.join(features)} "
            f"{'was' if len(features) == 1 else 'were'} taken as the features; layers=[…] takes others, nuisances=[…] "
            "their columns"
        )
    rest = {name: x for name, x in arrays.items() if name not in (*found, *cubes)}
    for name in thin:
        remarks.append(f"{name} {rest[name].shape} was taken as a column; layers={name} takes it as features")
        rest[name] = rest[name][:, 0]
    return features, rest, remarks


def _shapes(arrays: Mapping[str, np.ndarray]) -> str:
    words = [f"{name} {tuple(x.shape)}" for name, x in arrays.items()]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def apart(arrays: Mapping[str, np.ndarray], named: Sequence[str]) -> tuple[Arrays, list[str], list[str]]:
    """Matrices that were named as nuisances, column by column.

    A column is called as an array of names beside it says (``attr_names``), or ``<matrix>_<number>``.

    Args:
        arrays: columns, and such matrices.
        named: the nuisances that were named.

    Returns:
        Columns, their names in the order of ``named``, and what was left out.

    Raises:
        InvariantNetsError: two columns of one name.
    """
    texts = {n: x for n, x in arrays.items() if x.ndim == 1 and n.lower().endswith("names") and x.dtype.kind in "OU"}
    lengths = {len(x) for name, x in arrays.items() if x.ndim and name not in texts}
    beside = {name: x for name, x in texts.items() if lengths and len(x) not in lengths}
    out, order = {name: x for name, x in arrays.items() if name not in beside}, list(named)
    for name in [name for name in named if name in out and out[name].ndim == 2]:
        matrix = out.pop(name)
        fitting = [[str(n) for n in x] for x in beside.values() if len(x) == matrix.shape[1]]
        ends = fitting[0] if len(fitting) == 1 else [f"{name}_{place}" for place in range(matrix.shape[1])]
        if doubled := [end for place, end in enumerate(ends) if end in out or end in ends[:place]]:
            raise InvariantNetsError(f"two columns would be called {doubled[0]!r}; rename one")
        out |= {end: matrix[:, place] for place, end in enumerate(ends)}
        order[order.index(name) : order.index(name) + 1] = ends
    return out, order, [f"{name} ({len(x)},) was left out: it has no value a row" for name, x in beside.items()]
