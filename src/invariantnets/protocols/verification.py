"""Verification: do two images show one person? Ten folds of pairs, as View 2 of Labeled Faces in the Wild."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.similarity import Similarity


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows.

    Attributes:
        left, right: ``(P,)`` rows of the features.
        same: ``(P,)`` whether the two show one person.
        fold: ``(P,)`` 0 … F - 1; those that are made here share no identity.
    """

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.same)

    def subset(self, chosen: np.ndarray) -> Pairs:
        """Those of a mask or index."""
        return Pairs(self.left[chosen], self.right[chosen], self.same[chosen], self.fold[chosen])


def make_pairs(label: np.ndarray, folds: int, per_fold: int, rng: np.random.Generator) -> Pairs:
    """Equal numbers of same and different pairs in folds that share no identity.

    Same pairs are spread over the identities of a fold as evenly as their images permit, lest one
    with hundreds of images be most of them; different pairs are drawn from all rows of the fold.

    Args:
        label: ``(N,)`` identity of each row.
        folds: number of folds.
        per_fold: same pairs of each fold, and different ones; all folds get as many as the poorest can give.
        rng: allots identities to folds and draws pairs.

    Raises:
        InvariantNetsError: too few identities, or too few with two images, for so many folds.
    """
    present, images = np.unique(label, return_counts=True)
    mates = int((images > 1).sum())
    if mates < folds or len(present) < 2 * folds:
        raise InvariantNetsError(
            f"verification in {folds} folds needs {2 * folds} identities, {folds} of them with two images; the test "
            f"split has {len(present)}, {mates} with two: give more, fewer folds (protocols.folds=…), or protocols=none"
        )
    # Those with mates are dealt first, so that each fold has some.
    shuffled = rng.permutation(len(present))
    dealt = np.concatenate([shuffled[images[shuffled] > 1], shuffled[images[shuffled] == 1]])
    fold_of = np.empty(len(present), np.int64)
    fold_of[dealt] = np.arange(len(present)) % folds
    fold_of_row = fold_of[np.searchsorted(present, label)]
    rows = [np.flatnonzero(fold_of_row == fold) for fold in range(folds)]
    count = min(per_fold, *(min(_count_pairs(label[r])) for r in rows))
    left, right = [], []
    for r in rows:
        for i, j in (_same_pairs(label[r], count, rng), _different_pairs(label[r], count, rng)):
            left.append(r[i])
            right.append(r[j])
    same = np.tile(np.repeat([True, False], count), folds)
    return Pairs(np.concatenate(left), np.concatenate(right), same, np.repeat(np.arange(folds), 2 * count))


def _count_pairs(label: np.ndarray) -> tuple[int, int]:
    """How many same and how many different pairs there are."""
    images = np.unique(label, return_counts=True)[1].astype(np.int64)
    same = int((images * (images - 1) // 2).sum())
    return same, len(label) * (len(label) - 1) // 2 - same


def _decode(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair number → i < j, in the order (0, 1), (0, 2), (1, 2), (0, 3) and so on."""
    j = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) // 2).astype(np.int64)
    return number - j * (j - 1) // 2, j


def _same_pairs(label: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    identities = rng.permutation(np.unique(label))
    rows = [np.flatnonzero(label == identity) for identity in identities]
    available = np.array([len(r) * (len(r) - 1) // 2 for r in rows])
    quota = np.zeros(len(rows), np.int64)
    while (left := count - int(quota.sum())) > 0:  # one more from each that can, in turn
        quota[np.flatnonzero(quota < available)[:left]] += 1
    drawn = [
        r[np.stack(_decode(rng.choice(n, q, replace=False)))]
        for r, n, q in zip(rows, available, quota, strict=True)
        if q
    ]
    i, j = np.concatenate(drawn, axis=1)
    return i, j


def _different_pairs(label: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    total, tried = len(label) * (len(label) - 1) // 2, 2 * count
    while True:
        i, j = _decode(rng.choice(total, min(tried, total), replace=False))
        different = np.flatnonzero(label[i] != label[j])[:count]
        if len(different) == count:
            return i[different], j[different]
        tried *= 2


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold of the highest accuracy, halfway between two scores; scores above it are called same.

    Args:
        scores: ``(P,)``.
        same: ``(P,)``.
    """
    order = np.argsort(-scores, kind="stable")
    scores, same = scores[order], same[order]
    # Right answers if the first k are accepted: the same among them, the different among the others.
    right = np.append(0, np.cumsum(np.where(same, 1, -1))) + np.count_nonzero(~same)
    edges = np.concatenate([[np.inf], scores, [-np.inf]])
    right[1:-1][scores[:-1] == scores[1:]] = -1  # no threshold parts equal scores
    k = int(right.argmax())
    return float((edges[k] + edges[k + 1]) / 2)


def cross_validate(x: np.ndarray, pairs: Pairs, fit: Callable[[Pairs], Similarity]) -> tuple[np.ndarray, np.ndarray]:
    """Score every fold, with a similarity and a threshold that come from the other folds only.

    Args:
        x: ``(N, D)`` prepared features.
        pairs: at least two folds.
        fit: training pairs → the similarity to test.

    Returns:
        scores of all pairs ``(P,)``, each by the similarity fitted without its fold, and the accuracy
        of each fold ``(F,)``.
    """
    scores = np.empty(len(pairs), x.dtype)
    accuracy = []
    for fold in np.unique(pairs.fold):
        here = pairs.fold == fold
        train, test = pairs.subset(~here), pairs.subset(here)
        similarity = fit(train)
        scores[here] = similarity.pairs(x[test.left], x[test.right])
        threshold = best_threshold(similarity.pairs(x[train.left], x[train.right]), train.same)
        accuracy.append(float(np.mean((scores[here] > threshold) == test.same)))
    return scores, np.array(accuracy)
