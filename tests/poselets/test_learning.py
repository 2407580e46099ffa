"""Which seeds become poselets, and torsos that hits tell."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets import Hits, Keypoints, Look, People, Pictures, choose, torso, torsos

BODY = np.random.default_rng(5).uniform((-30, 0), (30, 90), (40, 2))


def crowd(count: int, rng: np.random.Generator, hidden: int | None = None) -> Pictures:
    points = (64, 20) + BODY + rng.normal(0, 1, (count, len(BODY), 2))
    visible = np.ones(points.shape[:2], bool)
    if hidden is not None:
        visible[:, hidden] = False
    images = [rng.uniform(size=(128, 128)) for _ in range(count)]
    return Pictures(images, np.arange(count), People(points, visible, np.full((count, 2), 128)))


def test_too_few_people_for_so_many_examples_end_the_search() -> None:
    some = crowd(6, np.random.default_rng(0))
    with pytest.raises(InvariantNetsError, match="0 of 150 seeds have 10 examples on 6 pictures, and 3 are wanted"):
        choose(some, some, [], np.random.default_rng(0), Look(4, [1.0]), examples=10, candidates=3)


@pytest.mark.skipif(find_spec("skimage") is None, reason="needs scikit-image")
def test_a_poselet_that_cannot_tell_what_it_must_is_no_candidate() -> None:
    rng = np.random.default_rng(0)
    some, look = crowd(12, rng, hidden=3), Look(4, [1.0, 0.8])
    empty = [look.levels(rng.uniform(size=(128, 128))) for _ in range(2)]
    with pytest.raises(InvariantNetsError, match="0 of 100 seeds have 5 examples"):
        choose(some, some, empty, np.random.default_rng(0), look, examples=5, candidates=2, tells=[3])
    # All others are seen by everybody: it is as if nothing was asked for.
    both = [
        choose(some, some, empty, np.random.default_rng(0), look, examples=5, candidates=2, tells=tells)[0]
        for tells in ([1, 2], [])
    ]
    assert [one.fires for one in both[0]] == [one.fires for one in both[1]] != []


def test_hits_of_one_person_tell_one_torso_and_those_of_another_another() -> None:
    """Three hits, two of which place the same person's shoulders and hips."""
    told = np.array([(0.2, 0.1), (0.8, 0.1), (0.3, 0.9), (0.7, 0.9)])  # in units of a patch
    moved = Keypoints(told - [0.5, 0], np.tile(0.01 * np.eye(2), (4, 1, 1)))
    keypoints = [Keypoints(told, moved.covariance), moved]
    box = np.array([(0, 0, 40, 40), (20, 0, 60, 40), (300, 0, 340, 40)], float)
    hits = Hits(np.zeros(3, int), np.array([0, 1, 0]), np.array([0.9, 0.6, 0.7]), box)
    found, members = torsos(hits, keypoints, [0, 1], [2, 3])
    assert [list(rows) for rows in members] == [[0, 1], [2]]
    np.testing.assert_allclose(found.score, [1.5, 0.7])
    np.testing.assert_allclose(found.box[0], torso(40 * told[:2], 40 * told[2:]), atol=1e-9)
    alone, _ = torsos(hits, keypoints, [0, 1], [2, 3], clustered=False)
    assert len(alone.score) == 3
    none, nobody = torsos(hits._replace(score=np.zeros(3)), keypoints, [0, 1], [2, 3])
    assert not len(none.score) and nobody == []
