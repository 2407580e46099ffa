"""Which rows of a table the protocols see, and what they compare them by."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.protocols.similarity import LEARNED, Kind, Similarity, prepare
from invariantnets.protocols.verification import make_pairs
from invariantnets.randomness import numpy_rng

# Same pairs of the train split, and different ones, that weights are learned from.
TRAINING_PAIRS = 3000
# Of files of images only: subject01.glasses is a name.
ENDING = re.compile(r"\.(jpe?g|png|bmp|webp|gif|tiff?|p[bgnp]m)$", re.IGNORECASE)


def one_of_each_source(table: FeatureTable, rng: np.random.Generator) -> FeatureTable:
    """The test rows, one at random of those made from one image: to recognise an image by itself is no feat.

    Raises:
        InvariantNetsError: there is no test row.
    """
    test = table.part("test")
    order = rng.permutation(len(test))
    first = order[np.unique(test.source[order], return_index=True)[1]]
    return test if len(first) == len(test) else test.rows(np.sort(first))


class TrainedOnError(InvariantNetsError):
    """A list names images that the network was trained on, or may have been."""


def all_rows(table: FeatureTable) -> FeatureTable:
    """A table whose rows a list may name, all as split test where the split was drawn here.

    Such a split parts what probes are fitted to from what they are tested on. The network that gave the features has
    seen neither, as far as the table says.
    """
    return replace(table, split=np.full(len(table), "test")) if "division" in table.meta else table


def _plain(name: str) -> str:
    """A name without the ending of an image file, in one spelling of accents and of folders."""
    return ENDING.sub("", unicodedata.normalize("NFC", name).replace("\\", "/"))


def _last(name: str, parts: int) -> str:
    return "/".join(_plain(name).split("/")[-parts:])


def matched(names: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, str]:
    """Rows of wanted images, by the strictest reading of their names under which all, or most, are found.

    Args:
        names: ``(N,)`` of all rows, each once.
        wanted: ``(W,)``; a name may come several times.

    Returns:
        ``(W,)`` rows, -1 for what is not found; and how names were read, empty if they are equal.
    """
    asked, back = np.unique(wanted, return_inverse=True)
    deepest = max(max(name.count("/") + 1 for name in map(_plain, side)) for side in (names, asked))
    readings: list[tuple[str, Callable[[str], str]]] = [("", str), ("without the ending of the file", _plain)]
    for parts in range(deepest - 1, 0, -1):
        how = f"by the last {parts} parts of the path" if parts > 1 else "by the name of the file"
        readings.append((f"{how}, without its ending", partial(_last, parts=parts)))
    best, said = np.full(len(asked), -1), ""
    for how, read in readings:
        keys, sought = Counter(map(read, names)), list(map(read, asked))
        # What two images share names neither of them.
        if len(set(sought)) < len(asked) or any(keys[key] > 1 for key in sought):
            continue
        row_of = {read(name): row for row, name in enumerate(names)}
        rows = np.array([row_of.get(key, -1) for key in sought])
        if (rows >= 0).sum() > (best >= 0).sum():
            best, said = rows, how
        if (best >= 0).all():
            break
    return best[back], said


def find_images(table: FeatureTable, names: Sequence[str] | np.ndarray) -> tuple[np.ndarray, str]:
    """Rows of named images, ``(len(names),)``, and how names were read if they are not the table's own.

    Raises:
        InvariantNetsError: the table has no names, or a name is missing in it.
        TrainedOnError: a row is not of split test.
    """
    if table.name is None:
        raise InvariantNetsError("the feature table does not name its images: add a column 'name', as the lists do")
    wanted = np.asarray(names, str)
    rows, how = matched(table.name, wanted)
    if (rows < 0).any():
        missing = np.unique(wanted[rows < 0])
        raise InvariantNetsError(
            f"image {str(missing[0])!r} (and {len(missing) - 1} more of {len(np.unique(wanted))}) is on the list but "
            f"not in the feature table, whose names are like {str(table.name[0])!r}; extract all images, and name them "
            "as the list does"
        )
    trained = np.unique(rows[table.split[rows] != "test"])
    if len(trained):
        row = trained[0]
        raise TrainedOnError(
            f"image {str(table.name[row])!r} (and {len(trained) - 1} more) is of split {str(table.split[row])!r}; "
            "protocols are measured on split 'test' only"
        )
    return rows, how


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
        InvariantNetsError: weights are asked for, and no train row is there to learn them from.
    """
    if kind not in LEARNED:
        return Similarity()
    if not (table.split == "train").any():
        raise InvariantNetsError(
            f"similarity {kind!r} learns its weights from train rows, and there are none: use cosine"
        )
    train = table.part("train")
    pairs = make_pairs(train.label, 1, TRAINING_PAIRS, numpy_rng(seed, 12))
    train_max, x = _largest(table, layer), train.features[layer]
    left, right = (prepare(kind, x[rows], train_max) for rows in (pairs.left, pairs.right))
    return LEARNED[kind](left, right, pairs.same, seed)
