"""Refuse a table that cannot be probed, in one line that says why."""

from __future__ import annotations

import itertools

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS
from invariantnets.statistics.moments import BLOCK_ROWS

MIN_SOURCES = 2


def check_finite(features: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        InvariantNetsError: naming the first such column and the number of values.
    """
    bad = np.zeros(features.shape[1], np.int64)
    for start in range(0, len(features), BLOCK_ROWS):
        finite = np.isfinite(features[start : start + BLOCK_ROWS])
        if not finite.all():
            bad += (~finite).sum(0)
    if bad.any():
        column = int(np.flatnonzero(bad)[0])
        raise InvariantNetsError(
            f"features of layer {name!r}: {bad.sum()} values are NaN or infinite in {np.count_nonzero(bad)} of "
            f"{len(bad)} columns, the first is column {column} ({bad[column]} values); drop those rows or columns"
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
        if len(present) < 2:
            raise InvariantNetsError(f"split {split!r} has one class only ({present[0]}); probes need two or more")
    for first, second in itertools.combinations(SPLITS, 2):
        shared = np.intersect1d(table.part(first).source, table.part(second).source)
        if len(shared):
            raise InvariantNetsError(
                f"source image {shared[0]} (and {len(shared) - 1} more) is in split {first!r} and in {second!r}; "
                "split by source image, or number sources uniquely over splits"
            )
    if is_closed(table):
        _check_closed(table)


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


def _check_closed(table: FeatureTable) -> None:
    train, val = table.part("train"), table.part("val")
    pairs = np.unique(np.stack([train.label, train.source]), axis=1)
    sources = np.bincount(pairs[0], minlength=table.num_classes)
    if sources.min() < MIN_SOURCES:
        label = int(sources.argmin())
        raise InvariantNetsError(
            f"class {label} has {sources[label]} source images in split 'train'; it needs at least {MIN_SOURCES}"
        )
    missing = np.setdiff1d(np.arange(table.num_classes), val.label)
    if len(missing):
        raise InvariantNetsError(f"class {missing[0]} has no row in split 'val', where the probes are chosen; add some")


def _check_nuisances(table: FeatureTable) -> None:
    for nuisance in table.nuisances:
        if nuisance.name not in table.nuisance:
            raise InvariantNetsError(f"the feature table has no column for nuisance {nuisance.name!r}; add or drop it")
        column = np.asarray(table.nuisance[nuisance.name], np.float64)
        if not np.isfinite(column).all():
            count = np.count_nonzero(~np.isfinite(column))
            raise InvariantNetsError(f"nuisance {nuisance.name!r}: {count} values are NaN or infinite; drop those rows")
        for split in SPLITS:
            values = np.unique(column[table.split == split])
            if len(values) < 2:
                raise InvariantNetsError(
                    f"nuisance {nuisance.name!r} has one value only ({values[0]:g}) in split {split!r}; "
                    f"nothing can be predicted: drop it or vary it"
                )


def check_table(table: FeatureTable, layer: str) -> None:
    """Refuse a table that cannot be probed.

    Raises:
        InvariantNetsError: missing layer, split, nuisance or class; values that are not finite; a
            split with one class; a class with too few sources; a nuisance that does not vary.
    """
    check_layer(table, layer)
    _check_classes(table)
    _check_nuisances(table)
