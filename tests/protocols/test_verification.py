from __future__ import annotations

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.similarity import Similarity, unit
from invariantnets.protocols.verification import Pairs, best_threshold, by_rows, cross_validate, make_pairs

LABEL = np.repeat(np.arange(60), np.random.default_rng(0).integers(1, 9, 60))


def made(seed: int = 0, label: np.ndarray = LABEL, folds: int = 10, per_fold: int = 12) -> Pairs:
    return make_pairs(label, folds, per_fold, np.random.default_rng(seed))


def test_pairs_are_what_they_say() -> None:
    pairs = made()
    assert np.array_equal(LABEL[pairs.left] == LABEL[pairs.right], pairs.same)
    assert (pairs.left != pairs.right).all()
    assert len({frozenset(p) for p in zip(pairs.left, pairs.right, strict=True)}) == len(pairs), "no pair twice"
    for fold in range(10):
        inside = pairs.fold == fold
        assert pairs.same[inside].sum() == (~pairs.same[inside]).sum() == 12
        here, others = (np.unique(LABEL[np.stack([pairs.left[m], pairs.right[m]])]) for m in (inside, ~inside))
        assert not np.intersect1d(here, others).size, "folds share no identity"


def test_pairs_depend_on_the_seed_alone() -> None:
    assert np.array_equal(made(3).left, made(3).left)
    assert not np.array_equal(made(3).left, made(4).left)


def test_every_pair_there_is_can_be_asked_for() -> None:
    label = np.repeat(np.arange(4), 3)
    pairs = made(label=label, folds=2, per_fold=100)
    assert pairs.same.sum() == (~pairs.same).sum() == 2 * 6  # two people of three images: 3 + 3 same pairs, 9 different


def test_somebody_with_many_images_is_not_most_of_the_pairs() -> None:
    label = np.repeat(np.arange(20), [500] + [6] * 19)
    pairs = made(label=label, folds=2, per_fold=100)
    assert np.bincount(label[pairs.left[pairs.same]]).max() <= 15  # ten people of 15 pairs or more, 100 pairs


@pytest.mark.parametrize("label", [np.arange(40), np.repeat(np.arange(9), 5), np.repeat(np.arange(19), 2)])
def test_too_few_identities(label: np.ndarray) -> None:
    with pytest.raises(InvariantNetsError, match="verification in 10 folds needs 20 identities, 10 of them with two"):
        made(label=label)


def slow_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    return max(((scores > t) == same).mean() for t in [*scores, -np.inf])


@pytest.mark.parametrize("digits", [8, 1, 0])
def test_no_threshold_is_better(digits: int) -> None:
    rng = np.random.default_rng(2)
    same = rng.random(200) < 0.5
    scores = np.round(rng.normal(size=200) + same, digits)
    assert ((scores > best_threshold(scores, same)) == same).mean() == slow_threshold(scores, same)


def test_thresholds_of_one_kind_only() -> None:
    assert best_threshold(np.array([1.0, 2.0]), np.array([True, True])) == -np.inf
    assert best_threshold(np.array([1.0, 2.0]), np.array([False, False])) == np.inf


def test_threshold_and_similarity_come_from_the_other_folds() -> None:
    x, pairs, seen = unit(np.random.default_rng(0).normal(size=(len(LABEL), 4))), made(), []

    def fit(train: Pairs) -> Similarity:
        seen.append(set(np.unique(train.fold).tolist()))
        return Similarity()

    scores, accuracy = cross_validate(pairs, by_rows(x, pairs, fit))
    assert seen == [set(range(10)) - {fold} for fold in range(10)]
    assert scores == pytest.approx((x[pairs.left] * x[pairs.right]).sum(1), abs=1e-6)
    for fold in range(10):
        inside = pairs.fold == fold
        threshold = best_threshold(scores[~inside], pairs.same[~inside])
        assert accuracy[fold] == ((scores[inside] > threshold) == pairs.same[inside]).mean()
