"""Which rows of a table the protocols see, and what they compare them by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.similarity import Kind, Similarity, fit_chi2, prepare
from invariantnets.protocols.verification import make_pairs
from invariantnets.randomness import numpy_rng

# Same pairs of the train split, and different ones, that the weights of χ² are learned from.
CHI2_PAIRS = 3000


def one_of_each_source(table: FeatureTable, rng: np.random.Generator) -> FeatureTable:
    """The test rows, one at random of those made from one image: to recognise an image by itself is no feat.

    Raises:
        InvariantNetsError: there is no test row.
    """
    test = table.part("test")
    order = rng.permutation(len(test))
    first = order[np.unique(test.source[order], return_index=True)[1]]
    return test if len(first) == len(test) else test.rows(np.sort(first))


def find_images(table: FeatureTable, names: Sequence[str] | np.ndarray) -> np.ndarray:
    """Rows of named images, ``(len(names),)``.

    Raises:
        InvariantNetsError: the table has no names, a name is missing in it, or its row is not of split test.
    """
    if table.name is None:
        raise InvariantNetsError("the feature table does not name its images: add a column 'name', as the lists do")
    order = np.argsort(table.name)
    wanted = np.asarray(names, str)
    place = np.searchsorted(table.name, wanted, sorter=order)
    rows = order[np.minimum(place, len(order) - 1)]
    missing = np.flatnonzero(table.name[rows] != wanted)
    if len(missing):
        raise InvariantNetsError(
            f"image {str(wanted[missing[0]])!r} (and {len(missing) - 1} more of {len(wanted)}) is on the list but "
            "not in the feature table; extract all images, and name them as the list does"
        )
    trained = np.flatnonzero(table.split[rows] != "test")
    if len(trained):
        row = rows[trained[0]]
        raise InvariantNetsError(
            f"image {str(table.name[row])!r} (and {len(trained) - 1} more) is of split {str(table.split[row])!r}; "
            "protocols are measured on split 'test' only"
        )
    return rows


def prepared(table: FeatureTable, layer: str, kind: Kind, rows: FeatureTable) -> tuple[np.ndarray, str]:
    """Features as a similarity compares them, and what must be said about it.

    Args:
        table: its train rows, if any, give the largest values that DeepFace's normalisation divides by.
        layer: of the features.
        kind: of similarity.
        rows: those of the table that are compared.

    Returns:
        ``(N, D)`` float32 and a note, empty if there is nothing to say.
    """
    x = rows.features[layer]
    if (table.split == "train").any():
        return prepare(kind, x, _largest(table, layer)), ""
    note = "" if kind == "cosine" else "normalised by the largest values of the test rows: there are no training rows"
    return prepare(kind, x, x.max(0)), note


def _largest(table: FeatureTable, layer: str) -> np.ndarray:
    return table.part("train").features[layer].max(0)


def pretrained(table: FeatureTable, layer: str, kind: Kind, seed: int) -> Similarity:
    """A similarity that is learned, if at all, on pairs of the train split.

    Raises:
        InvariantNetsError: χ² is asked for, and no train row is there to learn its weights from.
    """
    if kind != "chi2":
        return Similarity()
    if not (table.split == "train").any():
        raise InvariantNetsError("similarity 'chi2' learns its weights from train rows, and there are none: use cosine")
    train = table.part("train")
    pairs = make_pairs(train.label, 1, CHI2_PAIRS, numpy_rng(seed, 12))
    train_max, x = _largest(table, layer), train.features[layer]
    left, right = (prepare(kind, x[rows], train_max) for rows in (pairs.left, pairs.right))
    return fit_chi2(left, right, pairs.same, seed)
