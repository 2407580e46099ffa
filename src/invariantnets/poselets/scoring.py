"""How good detectors are, and which of them to keep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets.detector import Hits, overlap
from invariantnets.poselets.examples import Poselet
from invariantnets.poselets.geometry import People, fit

MIN_OVERLAP = 0.5  # of Everingham et al. 2010


class Truth(NamedTuple):
    """Where a poselet is: ``(N,)`` whether a person takes its configuration, and ``(N, 4)`` the box that it has."""

    there: np.ndarray
    box: np.ndarray


def truth(poselet: Poselet, owner: People, people: People) -> Truth:
    """A person takes the configuration if D from the seed is no more than that of the farthest example.

    Args:
        poselet: whose.
        owner: of its seed, ``N = 1``.
        people: ``N``.
    """
    fits = fit(poselet.seed.patch, owner, people)
    return Truth(fits.distance <= poselet.reach, fits.patches.boxes())


def right(hits: Hits, boxes: np.ndarray, there: np.ndarray) -> np.ndarray:
    """``(H,)`` which hits have their picture's box, one at most of each: the best, as others are duplicates.

    Args:
        hits: on pictures 0 to ``N − 1``, of one poselet.
        boxes: ``(N, 4)``.
        there: ``(N,)`` whether there is one.
    """
    good = there[hits.picture] & (overlap(hits.box, boxes[hits.picture]) >= MIN_OVERLAP)
    found = np.zeros(len(good), bool)
    taken: set[int] = set()
    for hit in np.argsort(-hits.score, kind="stable"):
        if good[hit] and int(hits.picture[hit]) not in taken:
            taken.add(int(hits.picture[hit]))
            found[hit] = True
    return found


def average_precision(score: np.ndarray, is_right: np.ndarray, total: float, weight: np.ndarray | None = None) -> float:
    """Area under precision over recall without interpolation: the sum of precisions at right hits / ``total``.

    What is not found counts as nothing found. Hits of one score are taken at once.

    Args:
        score: ``(H,)``.
        is_right: ``(H,)`` bool.
        total: how many there are to find, by weight.
        weight: ``(H,)`` of the hits' pictures; 1 if None.

    Raises:
        InvariantNetsError: there is nothing to find.
    """
    if not total > 0:
        raise InvariantNetsError("average precision: there is nothing to find: give more people")
    if not len(score):
        return 0.0
    weight = np.ones(len(score)) if weight is None else weight.astype(float)
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=-np.inf))  # the last hit of each score
    found, tried = np.cumsum((weight * is_right)[order])[ends], np.cumsum(weight[order])[ends]
    precision = np.divide(found, tried, out=np.zeros_like(found), where=tried > 0)
    return float((precision * np.diff(found, prepend=0)).sum() / total)


def select(covers: np.ndarray, count: int) -> np.ndarray:
    """Which poselets to keep, greedily: each time the one that adds most people; a person found before counts half.

    The gain of a set is submodular, so that what is reached is 1 − 1/e of the best at least (Nemhauser et al. 1978).

    Args:
        covers: ``(P, N)`` bool: which people each finds.
        count: how many to keep; fewer if no others find anybody.

    Raises:
        InvariantNetsError: none finds anybody.
    """
    if not covers.any():
        raise InvariantNetsError(
            f"poselets: none of {len(covers)} finds any of {covers.shape[1]} people: lower the least score"
        )
    kept: list[int] = []
    value = np.ones(covers.shape[1])
    for _ in range(min(count, int(covers.any(1).sum()))):
        gain = covers @ value
        gain[kept] = -1
        best = int(np.argmax(gain))
        kept.append(best)
        value = np.where(covers[best], value / 2, value)
    return np.array(kept)
