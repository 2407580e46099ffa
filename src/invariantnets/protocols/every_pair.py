"""Every pair of the images of some people, block by block: the matrix of all scores is never held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from invariantnets.statistics.resampling import Resampling, ratio, shares

__all__ = ["Block", "Errors", "People", "Rates", "false_match_rates", "false_non_match_rates", "highest", "thresholds"]

# Scores of a block: 32 MiB of float32.
BLOCK = 1 << 23
# Against 0.001 * 3000 = 2.9999…
_ROUNDING = 1e-9


class Block(NamedTuple):
    """Scores of some rows with all rows from the first of them on.

    Attributes:
        first: row of the first line and of the first column of ``scores``.
        scores: ``(B, C)``; -inf unless the two are of two people and were not compared before.
        left, right: ``(M,)`` rows of the pairs of one person in the block.
        mated: ``(M,)`` their scores.
    """

    first: int
    scores: np.ndarray
    left: np.ndarray
    right: np.ndarray
    mated: np.ndarray


@dataclass(frozen=True)
class People:
    """Images of some people, each to be compared with all others once.

    Attributes:
        x: ``(N, D)`` rows of length one; those of a person lie together.
        person: ``(N,)`` 0 … P - 1, ascending.
        row: ``(N,)`` where each came from.
    """

    x: np.ndarray
    person: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, label: np.ndarray, row: np.ndarray) -> People:
        """Put the images of each person together.

        Args:
            x: ``(M, D)`` rows of length one.
            label: ``(M,)`` whose each is.
            row: ``(N,)`` those to take.
        """
        row = row[np.argsort(label[row], kind="stable")]
        return cls(x[row], np.unique(label[row], return_inverse=True)[1], row)

    def some(self, kept: np.ndarray) -> People:
        """Those of a mask ``(N,)``, at least one."""
        return People(self.x[kept], np.unique(self.person[kept], return_inverse=True)[1], self.row[kept])

    @cached_property
    def images(self) -> np.ndarray:
        """``(P,)`` of each person."""
        return np.bincount(self.person)

    @property
    def mated(self) -> np.ndarray:
        """``(P,)`` pairs of two images of each person."""
        return self.images * (self.images - 1) // 2

    @property
    def others(self) -> np.ndarray:
        """``(P,)`` pairs of each person with somebody else: every such pair is there for both of its people."""
        return self.images * (len(self.x) - self.images)

    @property
    def impostors(self) -> int:
        """Pairs of two people."""
        return int(self.others.sum()) // 2

    def blocks(self) -> Iterator[Block]:
        """Every pair once, by the inner product."""
        end = np.cumsum(self.images)[self.person]
        start = 0
        while start < len(self.x):
            stop = min(start + max(1, BLOCK // (len(self.x) - start)), len(self.x))
            scores = self.x[start:stop] @ self.x[start:].T
            own = (end[start:stop] - start)[:, None]  # columns before it: of the same person, or compared already
            column = np.arange(int(own.max()))
            near, known = scores[:, : len(column)], column < own
            left, right = np.nonzero(known & (column > np.arange(stop - start)[:, None]))
            mated = near[left, right]
            near[known] = -np.inf
            yield Block(start, scores, left + start, right + start, mated)
            start = stop


def highest(people: People, count: int) -> np.ndarray:
    """The highest scores of two people, ``(count,)`` descending, or all if there are fewer.

    No more than twice as many, and those of a block, are held at a time.
    """
    kept, waiting, floor = np.zeros(0, people.x.dtype), [np.zeros(0, people.x.dtype)], -np.inf
    for block in people.blocks():
        waiting.append(block.scores[block.scores > floor])
        if sum(map(len, waiting)) >= count:
            kept, waiting = np.concatenate([kept, *waiting]), []
            if len(kept) > count:
                kept = np.partition(kept, len(kept) - count)[len(kept) - count :]
                floor = float(kept.min())
    kept = np.sort(np.concatenate([kept, *waiting]))[::-1]
    return kept[:count]


def thresholds(top: np.ndarray, impostors: int, wanted: np.ndarray) -> np.ndarray:
    """The smallest thresholds that no larger share of the pairs of two people reaches.

    A pair matches if its score is *at least* the threshold. Of n pairs, floor(FMR · n) may match; the threshold is the
    next number above the score of the first that may not, so that all that are equal to it stay out, too.

    Args:
        top: highest scores of two people, descending, more than floor(FMR · n).
        impostors: how many pairs of two people there are, n.
        wanted: ``(W,)`` false match rates, below 1.

    Returns:
        ``(W,)`` of the type of the scores.
    """
    matching = np.floor(np.asarray(wanted) * impostors + _ROUNDING).astype(np.int64)
    return np.nextafter(top[matching], top.dtype.type(np.inf))


@dataclass(frozen=True)
class Errors:
    """What is wrong at each threshold, by person.

    Attributes:
        false: ``(P, T)`` pairs with somebody else that match; each is there for both of its people.
        missed: ``(P, T)`` pairs of two images of the person that do not.
    """

    false: np.ndarray
    missed: np.ndarray

    @classmethod
    def of(cls, people: People, ladder: np.ndarray) -> Errors:
        """Count them in one pass.

        Args:
            people: who is compared.
            ladder: ``(T,)`` thresholds, ascending, of the type of the scores.
        """
        steps, count = len(ladder) + 1, len(people.images)
        false, found = np.zeros((2, count, steps), np.int64)

        def by_person(rows: np.ndarray, step: np.ndarray) -> np.ndarray:
            place = people.person[rows] * steps + step
            return np.bincount(place, minlength=count * steps).reshape(count, steps)

        for block in people.blocks():
            line, column = np.nonzero(block.scores >= ladder[0])
            step = np.searchsorted(ladder, block.scores[line, column], side="right")
            for side in (line, column):
                false += by_person(side + block.first, step)
            found += by_person(block.left, np.searchsorted(ladder, block.mated, side="right"))
        return cls(at_least(false), below(found))


def at_least(by_step: np.ndarray) -> np.ndarray:
    """Counts of scores that reach so many thresholds, ``(…, T + 1)`` → those that reach each, ``(…, T)``."""
    return by_step[..., ::-1].cumsum(-1)[..., -2::-1]


def below(by_step: np.ndarray) -> np.ndarray:
    """Counts of scores that reach so many thresholds, ``(…, T + 1)`` → those that do not reach each, ``(…, T)``."""
    return by_step.cumsum(-1)[..., :-1]


class Rates(NamedTuple):
    """Shares ``(T,)`` and the ends of their 95 % intervals over people."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def false_match_rates(false: np.ndarray, others: np.ndarray) -> Rates:
    """Share of the pairs of two people that match, and its interval.

    Without somebody all pairs that he or she is in are gone, so that a pair goes with each of its two people: the
    jackknife over people. Of pairs that are wrong independently it is too wide (by up to √2), of people who resemble
    everybody it is right.

    Args:
        false: ``(P, T)`` as in `Errors`.
        others: ``(P,)`` as in `People`.
    """
    steps = false.shape[1]
    rows = np.concatenate([false, np.repeat(others[:, None], steps, 1)], 1).astype(np.float64)
    half = rows.sum(0) / 2  # every pair is there twice, and is gone at once
    return Rates(*Resampling(np.arange(len(rows))).interval(rows, lambda sums: ratio(sums - half), shares(steps)))


def false_non_match_rates(missed: np.ndarray, mated: np.ndarray) -> Rates:
    """Share of the pairs of one person that do not match, and its interval over people.

    Args:
        missed: ``(P, T)`` as in `Errors`.
        mated: ``(P,)`` as in `People`; who has none has no say. Somebody has one.
    """
    steps, some = missed.shape[1], mated > 0
    rows = np.concatenate([missed[some], np.repeat(mated[some, None], steps, 1)], 1).astype(np.float64)
    return Rates(*Resampling(np.arange(len(rows))).interval(rows, ratio, shares(steps)))
