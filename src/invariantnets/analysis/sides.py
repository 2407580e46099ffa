"""A nuisance with two sides: frontal and profile, still and video, in shade and lit; and who has enough of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance

__all__ = ["Sided", "Sides", "sided", "split"]


@dataclass(frozen=True)
class Sides:
    """Two sides.

    Attributes:
        nuisance: what has them.
        names: of the first and the second.
        code: ``(N,)`` 0 or 1 of each row of the table; NaN where it is on neither, or not known.
    """

    nuisance: Nuisance
    names: tuple[str, str]
    code: np.ndarray


def split(
    table: FeatureTable,
    nuisance: Nuisance,
    at: float | Sequence[float] | None = None,
    category: str | None = None,
    magnitude: bool = True,
) -> Sides:
    """The sides of a nuisance.

    Args:
        table: of all splits.
        nuisance: one of its.
        at: of a number, where the second side begins; of two, the first side ends at the one and the second begins at
            the other. None: the median of the test rows.
        category: of several, the one against all others; None: the most frequent among the test rows.
        magnitude: of numbers and angles how far they are from 0 is split, to whichever side; else the number itself.

    Raises:
        InvariantNetsError: thresholds that do not ascend, or a category that is none.
    """
    values, name = np.asarray(table.nuisance[nuisance.name], np.float64), nuisance.name
    known = values[(table.split == "test") & np.isfinite(values)]
    if nuisance.kind in ("continuous", "circular"):
        number = values if nuisance.kind == "continuous" else (values + 180) % 360 - 180
        number = np.abs(number) if magnitude else number
        if at is None:
            reached = number[(table.split == "test") & np.isfinite(values)]
            edges = [float(np.median(reached))] if len(reached) else [0.0]
        else:
            edges = [float(edge) for edge in ([at] if isinstance(at, int | float) else at)]
            if not 1 <= len(edges) <= 2 or edges[-1] < edges[0]:
                raise InvariantNetsError(
                    f"analysis.identity_tests.at={at}: one number parts two sides, or two that ascend"
                )
        code = np.where(number >= edges[-1], 1.0, np.where(number < edges[0], 0.0, np.nan))
        code[~np.isfinite(values)] = np.nan
        unit = nuisance.unit if nuisance.unit in ("", "°") else f" {nuisance.unit}"
        shown = f"|{name}|" if magnitude else name
        return Sides(nuisance, (f"{shown} below {edges[0]:.3g}{unit}", f"from {edges[-1]:.3g}{unit}"), code)
    names = nuisance.categories
    chosen = 1 if nuisance.kind == "binary" else int(np.bincount(known.astype(int), minlength=len(names)).argmax())
    if category is not None and nuisance.kind == "categorical":
        if category not in names:
            raise InvariantNetsError(
                f"analysis.identity_tests.category={category}: {name!r} has none of that name, but {', '.join(names)}"
            )
        chosen = names.index(category)
    code = np.where(np.isfinite(values), (values == chosen).astype(np.float64), np.nan)
    first = names[1 - chosen] if len(names) == 2 else "all others"
    return Sides(nuisance, (f"{name}: {first}", names[chosen]), code)


@dataclass(frozen=True)
class Sided:
    """The images of those who have enough on both sides.

    Attributes:
        people: ``(I,)`` labels of theirs.
        left_out: how many have too few.
        rows: ``(M,)`` indices of test rows.
        who: ``(M,)`` place of each in ``people``.
        second: ``(M,)`` bool, on which side.
        images: ``(I, 2)`` how many each has.
    """

    people: np.ndarray
    left_out: int
    rows: np.ndarray
    who: np.ndarray
    second: np.ndarray
    images: np.ndarray


def sided(
    test: FeatureTable, code: np.ndarray, least: int, most: int | None, rng: np.random.Generator
) -> tuple[Sided | None, int]:
    """Who has enough images on both sides, and these images.

    Rows made from one source are copies, not images of somebody: one of them, at random, stands for all on its side.

    Args:
        test: test rows.
        code: ``(N,)`` 0 or 1 of each, NaN where it is on neither side.
        least: images on each side.
        most: of each side that are used, at random; None for all.
        rng: draws.

    Returns:
        None where nobody has enough, and the most that anybody has on both sides.
    """
    order = rng.permutation(np.flatnonzero(np.isfinite(code)))
    second = code[order] == 1
    rows = np.sort(order[np.unique(2 * test.source[order] + second, return_index=True)[1]])
    second = code[rows] == 1
    labels, who = np.unique(test.label[rows], return_inverse=True)
    images = np.bincount(2 * who + second, minlength=2 * len(labels)).reshape(-1, 2)
    enough = images.min(1) >= least
    if not enough.any():
        return None, int(images.min(1).max(initial=0))
    kept = enough[who]
    rows, who, second = rows[kept], (np.cumsum(enough) - 1)[who[kept]], second[kept]
    if most is not None:
        drawn = rng.permutation(len(rows))
        cell = (2 * who + second)[drawn]
        by_cell = np.argsort(cell, kind="stable")
        count = np.bincount(cell)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        chosen = np.sort(drawn[by_cell[place < most]])
        rows, who, second = rows[chosen], who[chosen], second[chosen]
    images = np.bincount(2 * who + second).reshape(-1, 2)
    return Sided(labels[enough], int((~enough).sum()), rows, who, second, images), int(images.min(1).max())
