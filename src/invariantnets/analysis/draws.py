"""Rows to fit to and rows to test on, drawn again and again, with nobody on both sides."""

from __future__ import annotations

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng

__all__ = ["FITTED", "TESTED", "UNUSED", "draw_sides"]

UNUSED, FITTED, TESTED = 0, 1, 2


def draw_sides(source: np.ndarray, fit: int, test: int, draws: int, *entropy: int) -> np.ndarray:
    """Of each draw, which rows are fitted to and which are tested.

    Sources come in random order: the first of them, as many rows as are wanted, are fitted to, the next are tested.

    Args:
        source: ``(N,)`` what stays together: a person, or an image.
        fit: rows to fit to; where there are fewer than ``fit + test`` in all, that share of them.
        test: rows to test on.
        draws: R.
        *entropy: of the draws.

    Returns:
        ``(R, N)`` uint8 of `UNUSED`, `FITTED` and `TESTED`; each draw has rows of the last two.

    Raises:
        InvariantNetsError: there is one source only.
    """
    unique, row = np.unique(source, return_inverse=True)
    if len(unique) < 2:
        raise InvariantNetsError("a draw fits to some people or images and tests on others; all rows are of one")
    size = np.bincount(row)
    share = min(1.0, len(source) / (fit + test))
    sides = np.empty((draws, len(source)), np.uint8)
    for r in range(draws):
        order = numpy_rng(*entropy, r).permutation(len(unique))
        reached = np.cumsum(size[order])
        first = min(max(int(np.searchsorted(reached, share * fit, side="right")), 1), len(unique) - 1)
        wanted = reached[first - 1] + share * test + 0.5  # halves are rounding
        last = max(int(np.searchsorted(reached, wanted, side="right")), first + 1)
        if share < 1:  # rows are few: none is left out
            last = len(unique)
        side = np.full(len(unique), UNUSED, np.uint8)
        side[order[:first]], side[order[first:last]] = FITTED, TESTED
        sides[r] = side[row]
    return sides
