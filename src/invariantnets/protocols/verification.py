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


# Numbers of pairs → their scores; and numbers of the pairs to learn from → that.
Scorer = Callable[[np.ndarray], np.ndarray]
Learner = Callable[[np.ndarray], Scorer]


def by_rows(x: np.ndarray, pairs: Pairs, fit: Callable[[Pairs], Similarity] = lambda train: Similarity()) -> Learner:
    """For `cross_validate`: a similarity of two rows.

    Args:
        x: ``(N, D)`` prepared features.
        pairs: of their rows.
        fit: training pairs → the similarity to test; as it stands the inner product.
    """

    def learn(train: np.ndarray) -> Scorer:
        similarity = fit(pairs.subset(train))
        return lambda which: similarity.pairs(x[pairs.left[which]], x[pairs.right[which]])

    return learn


def cross_validate(pairs: Pairs, learn: Learner, threshold: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Score every fold, with a similarity and a threshold that come from the other folds only.

    Args:
        pairs: at least two folds.
        learn: is given the numbers of the training pairs.
        threshold: that belongs to the scores, as 0 does to those of a machine that tells apart the pairs that it was
            fitted to better than others. None: the best on the training folds.

    Returns:
        scores of all pairs ``(P,)``, each by what was learned without its fold, and the accuracy of each fold ``(F,)``.
    """
    tested, scored, accuracy = [], [], []
    for fold in np.unique(pairs.fold):
        test, train = np.flatnonzero(pairs.fold == fold), np.flatnonzero(pairs.fold != fold)
        score = learn(train)
        scores = score(test)
        above = best_threshold(score(train), pairs.same[train]) if threshold is None else threshold
        accuracy.append(float(np.mean((scores > above) == pairs.same[test])))
        tested.append(test)
        scored.append(scores)
    return np.concatenate(scored)[np.argsort(np.concatenate(tested))], np.array(accuracy)
