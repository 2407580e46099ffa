"""Which images are trained on: by person, or by image."""

from __future__ import annotations

from typing import Literal

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng

Division = Literal["identity", "image"]
# How splits are spelt in the tables in use; the numbers are those of CelebA.
SPELT = {
    "train": ("train", "training", "trn", "fit", "0"),
    "val": ("val", "valid", "validation", "dev", "development", "1"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "2"),
}


def divide(person: np.ndarray, by: Division, test: float, val: float, seed: int) -> np.ndarray:
    """Divide images into ``train``, ``val`` and ``test``.

    ``identity`` (open set): people of ``test`` are in no other split. ``image`` (closed set): each
    person's images are divided. In both, ``val`` is of other images of the people trained on.

    Args:
        person: ``(N,)`` who each image shows.
        by: ``identity`` or ``image``.
        test: fraction of the people, or of each person's images; 1 makes everything ``test``.
        val: fraction of each training person's images.
        seed: of the choice.

    Returns:
        ``(N,)`` str.

    Raises:
        InvariantNetsError: another ``by``, or a fraction outside [0, 1] (``val``: [0, 1)).
    """
    if by not in ("identity", "image"):
        raise InvariantNetsError(f"data.division={by}: choose identity (open set) or image (closed set)")
    if not (0 <= test <= 1 and 0 <= val < 1):
        raise InvariantNetsError(f"data.test_fraction={test} must lie in [0, 1], data.val_fraction={val} in [0, 1)")
    split = np.full(len(person), "test", dtype="U5")
    if test == 1:
        return split
    if by == "identity":
        people, code = np.unique(person, return_inverse=True)
        tested = numpy_rng(seed, 0).permutation(len(people)) < round(test * len(people))
        rest = np.flatnonzero(~tested[code])
    else:
        rest = np.flatnonzero(~held_out(person, test, numpy_rng(seed, 0)))
    split[rest] = np.where(held_out(person[rest], val, numpy_rng(seed, 1)), "val", "train")
    return split


def held_out(person: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """A mask of ``fraction`` of each person's images: at least one, but never a person's last.

    Returns:
        ``(N,)`` bool.
    """
    _, code, count = np.unique(person, return_inverse=True, return_counts=True)
    order = np.lexsort((rng.random(len(person)), code))  # everybody's images together, shuffled
    place = np.empty(len(person), np.int64)
    place[order] = np.arange(len(person)) - (np.cumsum(count) - count)[code[order]]
    wanted = np.maximum(np.round(fraction * count), 1 if fraction > 0 else 0)
    return place < np.minimum(wanted, count - 1)[code]


def read_split(values: np.ndarray, owner: str) -> tuple[np.ndarray, str]:
    """``train``, ``val`` and ``test``, however they are spelt.

    Args:
        values: ``(N,)`` text, or the whole numbers 0, 1 and 2; none of them missing.
        owner: what to call the table in messages.

    Returns:
        ``(N,)`` str, and what was understood, empty where they are spelt as here.

    Raises:
        InvariantNetsError: an unknown split.
    """
    meant = {spelling: split for split, spellings in SPELT.items() for spelling in spellings}
    found, group = np.unique(values.astype(str), return_inverse=True)
    splits = []
    for value in found.tolist():
        split = meant.get(value.strip().lower())
        if split is None:
            raise InvariantNetsError(f"{owner}: split {value!r} is unknown; use {', '.join(SPELT)}")
        splits.append(split)
    changed = [f"{value!r} as {split}" for value, split in zip(found.tolist(), splits, strict=True) if value != split]
    return np.array(splits, "U5")[group], f"the split {', '.join(changed)}" if changed else ""
