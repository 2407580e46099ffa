from __future__ import annotations

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.protocols.identification import (
    Search,
    Task,
    check_task,
    closed_set,
    detection_rates,
    open_set,
    search,
)
from invariantnets.protocols.similarity import Similarity, unit

LABEL = np.repeat(np.arange(50), np.random.default_rng(0).integers(1, 7, 50))
X = unit(np.random.default_rng(1).normal(size=(50, 6))[LABEL] + np.random.default_rng(2).normal(size=(len(LABEL), 6)))
FARS = np.array([0, 0.01, 0.1, 0.5, 1])


def slow(task: Task) -> Search:
    top, rank = [], []
    for row in task.probe:
        scores = [(float(X[row] @ X[g]), LABEL[g] == LABEL[row]) for g in task.gallery]
        top.append(max(s for s, _ in scores))
        mates = [s for s, mate in scores if mate]
        rank.append(1 + sum(s >= max(mates) for s, mate in scores if not mate) if mates else 0)
    return Search(np.array(top), np.array(rank))


def slow_dir(found: Search, far: float) -> float:
    """The best detection rate of all thresholds that let in no larger share of impostors."""
    impostors = found.top[found.rank == 0]
    allowed = [t for t in [*found.top, -np.inf] if np.mean(impostors > t) <= far]
    genuine = [(r == 1, s) for r, s in zip(found.rank, found.top, strict=True) if r]
    return max(np.mean([first and s > t for first, s in genuine]) for t in allowed)


@pytest.mark.parametrize(
    "task", [closed_set(LABEL, 1, np.random.default_rng(0)), open_set(LABEL, 1, np.random.default_rng(0))]
)
def test_search_agrees_with_loops_in_blocks_of_any_size(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invariantnets.protocols.identification._BLOCK_ROWS", 7)
    ours, expected = task.run(X, LABEL, Similarity()), slow(task)
    assert ours.top == pytest.approx(expected.top, abs=1e-6)
    assert np.array_equal(ours.rank, expected.rank)


def test_detection_rate_by_hand() -> None:
    # Genuine: right and sure, right but unsure, sure but of another person. Impostors: 0.8, 0.5, 0.2, 0.1.
    found = Search(np.array([0.9, 0.6, 0.95, 0.8, 0.5, 0.2, 0.1]), np.array([1, 1, 2, 0, 0, 0, 0]))
    assert detection_rates(found, np.array([0, 0.24, 0.25, 1])) == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_detection_rate_is_the_best_that_the_false_alarms_permit() -> None:
    found = open_set(LABEL, 1, np.random.default_rng(0)).run(X, LABEL, Similarity())
    assert detection_rates(found, FARS) == pytest.approx([slow_dir(found, far) for far in FARS])
    rank1 = (found.rank[found.rank > 0] == 1).mean()
    assert detection_rates(found, np.array([1.0]))[0] == pytest.approx(rank1), "with all let in: rank 1"


def test_weights_are_repetitions() -> None:
    found = open_set(LABEL, 1, np.random.default_rng(0)).run(X, LABEL, Similarity())
    times = np.random.default_rng(5).integers(0, 4, len(found.rank))
    repeated = np.repeat(np.arange(len(times)), times)
    again = Search(found.top[repeated], found.rank[repeated])
    assert detection_rates(found, FARS, times.astype(float)) == pytest.approx(detection_rates(again, FARS))


def test_features_that_are_all_the_same_recognise_nobody() -> None:
    x = np.ones((len(LABEL), 3), np.float32)
    found = closed_set(LABEL, 1, np.random.default_rng(0)).run(x, LABEL, Similarity())
    assert not (found.rank == 1).any()


@pytest.mark.parametrize("images", [1, 2, 3])
def test_the_closed_set_holds_everybody(images: int) -> None:
    task = closed_set(LABEL, images, np.random.default_rng(0))
    assert np.array_equal(np.sort(np.concatenate([task.gallery, task.probe])), np.arange(len(LABEL)))
    size = np.bincount(LABEL)
    assert np.array_equal(np.bincount(LABEL[task.gallery]), np.minimum(images, np.maximum(size - 1, 1)))
    check_task(task, LABEL, impostors=False)


def test_the_open_set_of_all_and_of_chosen_sizes() -> None:
    task = open_set(LABEL, 1, np.random.default_rng(0))
    mates = np.bincount(LABEL)[np.unique(LABEL)] > 1
    assert len(task.gallery) == len(np.unique(LABEL[task.gallery])) == mates.sum() // 2
    assert np.array_equal(np.sort(np.concatenate([task.gallery, task.probe])), np.arange(len(LABEL)))
    task = open_set(LABEL, 1, np.random.default_rng(0), enrolled=10, genuine=1, impostors=30)
    genuine = np.isin(LABEL[task.probe], LABEL[task.gallery])
    assert len(task.gallery) == genuine.sum() == 10 and (~genuine).sum() == 30
    assert sorted(LABEL[task.gallery]) == sorted(LABEL[task.probe[genuine]])
    assert not np.intersect1d(task.gallery, task.probe).size


def test_a_template_is_searched_instead_of_its_images() -> None:
    task = closed_set(LABEL, 3, np.random.default_rng(0))
    found = task.run(X, LABEL, Similarity())
    assert found.rank.max() <= 50 < len(task.gallery), "ranks count people"
    single = closed_set(LABEL, 1, np.random.default_rng(0)).run(X, LABEL, Similarity())
    assert (found.rank == 1).mean() > (single.rank == 1).mean(), "three images say more than one"


def test_search_without_a_mate_has_rank_zero() -> None:
    assert search(X[:3], LABEL[:3], X[-2:], LABEL[-2:], Similarity()).rank.tolist() == [0, 0]


def test_refusals() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InvariantNetsError, match="no probe has a mate in the gallery"):
        closed_set(np.arange(30), 1, rng)
    with pytest.raises(InvariantNetsError, match="the test split has 0"):
        open_set(np.arange(30), 1, rng)
    with pytest.raises(InvariantNetsError, match="an open set needs impostors"):
        open_set(np.repeat([0, 1], 2), 1, rng, enrolled=2)
    with pytest.raises(InvariantNetsError, match="open set of 900 enrolled identities"):
        open_set(LABEL, 1, rng, enrolled=900)
    label = np.array([0, 0, 1, 2])
    with pytest.raises(InvariantNetsError, match="1 of 2 probes of a closed set have no mate"):
        check_task(Task(np.array([0, 3]), np.array([1, 2])), label, impostors=False)
    with pytest.raises(InvariantNetsError, match="1 images are both in the gallery and probes"):
        check_task(Task(np.array([0, 1]), np.array([1, 2])), label, impostors=True)
