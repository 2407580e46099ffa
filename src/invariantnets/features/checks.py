"""Refuse a table that cannot be probed, in one line that says why."""

from __future__ import annotations

import itertools

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS
from invariantnets.statistics.moments import BLOCK_ROWS

MIN_SOURCES = 2
LARGEST = 1e150
# Rows in which a nuisance is known: to fit on, to choose on, to report on.
MIN_KNOWN = {"train": 4, "val": 2, "test": 2}


def check_finite(features: np.ndarray, name: str) -> None:
    """Refuse NaN, infinity, and what is so large that its square is.

    Raises:
        InvariantNetsError: naming the first such column and the number of values.
    """
    bad, largest = np.zeros(features.shape[1], np.int64), 0.0
    for start in range(0, len(features), BLOCK_ROWS):
        finite = np.isfinite(features[start : start + BLOCK_ROWS])
        if not finite.all():
            bad += (~finite).sum(0)
        elif features.dtype == np.float64:
            largest = max(largest, float(np.abs(features[start : start + BLOCK_ROWS]).max()))
    if bad.any():
        column = int(np.flatnonzero(bad)[0])
        raise InvariantNetsError(
            f"features of layer {name!r}: {bad.sum()} values are NaN or infinite in {np.count_nonzero(bad)} of "
            f"{len(bad)} columns, the first is column {column} ({bad[column]} values); drop those rows or columns"
        )
    if largest > LARGEST:
        raise InvariantNetsError(
            f"features of layer {name!r} reach {largest:.3g}, whose square no number holds; divide them by that"
        )


def check_layer(table: FeatureTable, layer: str) -> None:
    """Refuse a layer that is missing or malformed.

    Raises:
        InvariantNetsError: the layer is not in the table, not a matrix of its rows, or not finite.
    """
    if layer not in table.features:
        raise InvariantNetsError(f"the feature table has no layer {layer!r}; it has {', '.join(table.features)}")
    shape = table.features[layer].shape
    if len(shape) != 2 or shape[0] != len(table) or not shape[1]:
        raise InvariantNetsError(f"features of layer {layer!r} have shape {shape}; ({len(table)}, D) is needed")
    check_finite(table.features[layer], layer)


def _check_classes(table: FeatureTable) -> None:
    if len(table) and not 0 <= table.label.min() <= table.label.max() < table.num_classes:
        found = f"{table.label.min()}..{table.label.max()}"
        raise InvariantNetsError(f"labels {found} do not fit {table.num_classes} classes; number them from 0")
    for split in SPLITS:
        present = np.unique(table.part(split).label)
        if table.labelled and len(present) < 2:
            raise InvariantNetsError(f"split {split!r} has one class only ({present[0]}); probes need two or more")
    for first, second in itertools.combinations(SPLITS, 2):
        shared = np.intersect1d(table.part(first).source, table.part(second).source)
        if len(shared):
            raise InvariantNetsError(
                f"source image {shared[0]} (and {len(shared) - 1} more) is in split {first!r} and in {second!r}; "
                "split by source image, or number sources uniquely over splits"
            )
    if is_closed(table):
        missing = np.setdiff1d(table.label, table.part("train").label)
        if len(missing):
            raise InvariantNetsError(
                f"class {missing[0]} has no row in split 'train', but some in 'val'; add or drop them"
            )


def is_closed(table: FeatureTable) -> bool:
    """Whether the classes of test are among those of train (closed set), or all others (open set).

    Raises:
        InvariantNetsError: some are and some are not, so that neither reading is right.
    """
    train, test = np.unique(table.part("train").label), np.unique(table.part("test").label)
    new = np.setdiff1d(test, train)
    if 0 < len(new) < len(test):
        raise InvariantNetsError(
            f"class {new[0]} (and {len(new) - 1} more) is in split 'test' but not in 'train', while other classes are "
            "in both: divide by image (all classes in both) or by identity (none)"
        )
    return not len(new)


def thin_classes(table: FeatureTable) -> str:
    """What must be said of a closed set in which some classes have few images; empty if all have enough.

    Such a class is still read and still counts; a regressor of its own has next to nothing to learn from.
    """
    if not table.labelled or not is_closed(table):
        return ""
    train = table.part("train")
    pairs = np.unique(np.stack([train.label, train.source]), axis=1)
    sources = np.bincount(pairs[0], minlength=table.num_classes)
    thin = np.flatnonzero(sources < MIN_SOURCES)
    if not len(thin):
        return ""
    name = table.classes[thin[0]] if table.classes else int(thin[0])
    return (
        f"{len(thin)} of {table.num_classes} classes, as {name!r}, have fewer than {MIN_SOURCES} images in split "
        "train: their own regressors (per label) know next to nothing"
    )


def unprobable(table: FeatureTable) -> dict[str, str]:
    """Nuisances that cannot be probed, and why; the others can.

    Args:
        table: with rows of every split.
    """
    return {n.name: why for n in table.nuisances if (why := _why_not(table, n.name))}


def _why_not(table: FeatureTable, name: str) -> str:
    if name not in table.nuisance:
        return "the table has no such column; add or drop it"
    values = np.asarray(table.nuisance[name], np.float64)
    if count := np.count_nonzero(np.isinf(values)):
        return f"{count} values are infinite; drop those rows"
    for split, least in MIN_KNOWN.items():
        known = values[(table.split == split) & ~np.isnan(values)]
        if len(known) < least:
            return f"it is known in {len(known)} rows of split {split!r}, and {least} are needed"
        if (known == known[0]).all():
            return f"it has one value only ({known[0]:g}) in split {split!r}; nothing can be predicted: vary it"
    return ""


def check_table(table: FeatureTable, layer: str) -> None:
    """Refuse a table that cannot be probed at all. What is wrong with single nuisances, `unprobable` says.

    Raises:
        InvariantNetsError: missing layer or split; values that are not finite; a split with one class; a source or
            some of the classes in two splits.
    """
    check_layer(table, layer)
    _check_classes(table)
