"""Detectors on pictures of squares and crosses; hits that are made up; exact values."""

from __future__ import annotations

import itertools
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets import (
    Detector,
    Hits,
    Keypoints,
    Patches,
    People,
    Poselet,
    Seed,
    average_precision,
    calibrate,
    cluster,
    cut,
    described,
    fused,
    hog,
    keypoints_of,
    match,
    overlap,
    predicted,
    pyramid,
    right,
    scan,
    select,
    suppress,
    symmetric_kl,
    torso,
    train,
    upright,
)

gradients = pytest.mark.skipif(find_spec("skimage") is None, reason="needs scikit-image")
CELL = 4


def hits(*rows: tuple[int, int, float, float, float, float]) -> Hits:
    """Of picture, poselet, score, x, y and side."""
    x = np.array(rows, float)
    box = np.stack([x[:, 3], x[:, 4], x[:, 3] + x[:, 5], x[:, 4] + x[:, 5]], 1)
    return Hits(x[:, 0].astype(int), x[:, 1].astype(int), x[:, 2], box)


def scene(x: int, y: int, side: int, rng: np.random.Generator, cross: bool = True) -> np.ndarray:
    """A square, with a cross in it or empty, on noise."""
    image = rng.uniform(0, 0.15, (96, 96))
    image[y : y + side, x : x + side] = 0.5
    if cross:
        for i in range(side):
            image[y + i, x + i] = image[y + i, x + side - 1 - i] = 1
    return image


def test_a_patch_is_cut_at_any_turn() -> None:
    """The picture is a plane of brightness, so that every sample is known."""
    y, x = np.mgrid[:80, :80]
    image = (2 * x + 3 * y) / 400
    turn = np.exp(-0.4j)
    patch = Patches(turn / 22, -turn / 22 * (30 + 35j), 1.5, 1.0)
    found = cut(image, patch, (6, 4), CELL, margin=0)
    u = (np.arange(16) + 0.5) / 16 + 1j * (np.arange(24)[:, None] + 0.5) / 16
    z = patch.pixels(u)
    assert found.shape == (24, 16)
    np.testing.assert_allclose(found, (2 * z.real + 3 * z.imag) / 400, atol=1e-12)


@gradients
def test_a_patch_is_described_as_it_is_scanned() -> None:
    """The score of a window is that of the patch cut there, at every place and zoom."""
    rng = np.random.default_rng(0)
    image = rng.random((72, 64, 3))
    detector = Detector(rng.normal(size=(5, 3, 36)).astype(np.float32), -0.3)
    assert detector.cells == (6, 4)
    levels = pyramid(image, CELL, (1.0, 0.5))
    found = scan(levels, [detector], CELL, -np.inf)
    assert len(found.score) == 13 * 13 + 4 * 5
    for row in rng.integers(0, len(found.score), 12):
        x0, y0, x1, y1 = found.box[row]
        if x0 < 4 or y0 < 8 or x1 > 55 or y1 > 62:
            continue  # its margin is beyond the picture
        patch = upright(x0, y0, x1 - x0, 1.5, 1.0)
        score = (described(image, patch, (6, 4), CELL) * detector.weights).sum() - 0.3
        assert found.score[row] == pytest.approx(score, abs=2e-4)


@gradients
def test_crosses_are_found_and_empty_squares_are_learned_from() -> None:
    rng = np.random.default_rng(0)
    places = rng.integers(8, 50, (60, 2))
    wrong = [pyramid(scene(*place, 32, rng, cross=False), CELL, (1.0,)) for place in places[:10]]
    patches = [upright(x - 0.5, y - 0.5, 32, 1, 1) for x, y in places]
    positives = np.stack(
        [described(scene(*p, 32, rng), at, (8, 8), CELL) for p, at in zip(places, patches, strict=True)]
    )
    noise = np.stack([hog(rng.uniform(0, 0.15, (32, 32)), CELL) for _ in range(50)])
    harder: list[int] = []

    def hard(detector: Detector) -> np.ndarray:
        found = []
        for levels in wrong:
            shown = scan(levels, [detector], CELL, 0.0)
            cells = np.round((shown.box[:, :2] + 0.5) / CELL).astype(int)
            found += [levels[0][1][y : y + 7, x : x + 7] for x, y in cells]
        harder.append(len(found))
        return np.stack(found) if found else noise[:0]

    detector = train(positives, noise, hard, rounds=3)
    assert harder[0] > harder[-1]  # the empty squares that it took for crosses are fewer
    new = Hits.joined(
        [
            suppress(scan(pyramid(scene(x, y, 32, rng), CELL, (1.0,)), [detector], CELL, -1.0, number))
            for number, (x, y) in enumerate(((12, 16), (40, 24), (24, 44)))
        ]
    )
    best = [new.box[new.picture == k][0] for k in range(3)]
    np.testing.assert_allclose([b[:2] for b in best], [(12, 16), (40, 24), (24, 44)], atol=CELL)


def test_suppression_is_that_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    some = hits(
        *((p, k, rng.random(), *rng.uniform(0, 60, 2), 20) for p in range(2) for k in range(3) for _ in range(25))
    )
    kept: list[int] = []
    for row in np.argsort(-some.score):
        same = [k for k in kept if some.picture[k] == some.picture[row] and some.poselet[k] == some.poselet[row]]
        if all(overlap(some.box[row], some.box[k]) <= 0.3 for k in same):
            kept.append(row)
    found = suppress(some)
    np.testing.assert_array_equal(found.score, some.score[kept])
    assert 10 < len(kept) < 150 and len(suppress(Hits.joined([])).score) == 0
    assert overlap(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2])) == pytest.approx(1 / 3)


def normal(means: np.ndarray, side: float) -> Keypoints:
    return Keypoints(means, np.broadcast_to(side**2 * np.eye(2), (*means.shape, 2)))


def test_divergence_is_that_of_torch() -> None:
    rng = np.random.default_rng(0)
    mean, root = rng.normal(size=(2, 4, 2)), rng.normal(size=(2, 4, 2, 2))
    covariance = root @ root.swapaxes(-1, -2) + 0.3 * np.eye(2)
    a, b = (MultivariateNormal(torch.tensor(m), torch.tensor(c)) for m, c in zip(mean, covariance, strict=True))
    each = (kl_divergence(a, b) + kl_divergence(b, a)).numpy()
    p, q = (Keypoints(m.copy(), c) for m, c in zip(mean, covariance, strict=True))
    assert symmetric_kl(p, q) == pytest.approx(each.mean())
    q.mean[1] = np.nan  # nobody knows
    assert symmetric_kl(p, q) == pytest.approx(each[[0, 2, 3]].mean())
    q.mean[:] = np.nan
    assert np.isinf(symmetric_kl(p, q))


def test_hits_of_two_people_are_two_clusters() -> None:
    """Three poselets each; a second hit of a poselet on one person belongs to nobody."""
    people = np.array([[(20, 20), (30, 60)], [(80, 25), (90, 70)]], float)
    who = np.array([0, 1, 0, 1, 0, 1, 0])
    some = hits(
        *((0, k, score, 0, 0, 10) for k, score in zip((0, 0, 1, 1, 2, 2, 2), (9, 8, 7, 6, 5, 4, 3), strict=True))
    )
    shift = np.random.default_rng(0).normal(0, 1, (7, 2, 2))
    where = normal(people[who] + shift, 3)
    found = cluster(some, where)
    np.testing.assert_array_equal(found, [0, 1, 0, 1, 0, 1, -1])
    # The symmetrised divergence of equal covariances is d² / σ²: 5 is passed at σ √5.
    for distance, expected in ((np.sqrt(4.99), 0), (np.sqrt(5.01), 1)):
        two = normal(np.array([[(0.0, 0.0)], [(distance, 0.0)]]), 1)
        assert cluster(hits((0, 0, 2, 0, 0, 1), (0, 1, 1, 0, 0, 1)), two)[1] == expected
    both = fused(
        Keypoints(np.array([[(0.0, 0.0)], [(4.0, 8.0)]]), normal(np.zeros((2, 1, 2)), 1).covariance), np.array([3, 1])
    )
    np.testing.assert_allclose(both, [(1, 2)])


def test_keypoints_of_a_hit_are_those_of_its_examples() -> None:
    rng = np.random.default_rng(0)
    unit = rng.normal((0.5, 0.7), 0.1, (12, 3, 2))
    a, b = np.exp(1j * rng.uniform(-0.5, 0.5, 12)) / rng.uniform(20, 40, 12), rng.normal(size=12) + 1j
    z = (unit @ (1, 1j) - b[:, None]) / a[:, None]
    visible = rng.random((12, 3)) < 0.8
    visible[2:, 2] = False
    people = People(np.stack([z.real, z.imag], -1), visible, np.full((12, 2), 100))
    seed = Seed(0, upright(0, 0, 30, 1, 1), (8, 8))
    found = keypoints_of(Poselet(seed, np.arange(12), Patches(a, b, 1, 1), np.arange(12.0)), people)
    for k in range(2):
        known = unit[visible[:, k], k]
        np.testing.assert_allclose(found.mean[k], known.mean(0))
        np.testing.assert_allclose(found.covariance[k], np.cov(known.T) + 1e-4 * np.eye(2))
    assert np.isnan(found.mean[2]).all()
    there = predicted(hits((0, 0, 1, 50, 60, 20)), [found])
    np.testing.assert_allclose(there.mean[0, 0], 20 * found.mean[0] + (50, 60))
    np.testing.assert_allclose(there.covariance[0, 0], 400 * found.covariance[0])
    visible[:] = False
    with pytest.raises(InvariantNetsError, match="no keypoint is visible in 3 of its 12 examples"):
        keypoints_of(Poselet(seed, np.arange(12), Patches(a, b, 1, 1), np.arange(12.0)), people)


def test_torso_and_people() -> None:
    box = torso(np.array([(8.0, 10.0), (12.0, 10.0)]), np.array([(9.0, 40.0), (11.0, 40.0)]))
    np.testing.assert_allclose(box, (0, 10, 20, 40))
    people = np.array([(0, 0, 10, 10), (6, 0, 16, 10)], float)
    # The first fits both people, the second only the first person: the best sum gives each one.
    found = np.array([(2.5, 0, 12.5, 10), (-2, 0, 8, 10), (50, 0, 60, 10), (np.nan,) * 4])
    np.testing.assert_array_equal(match(found, people, least=0.4), [1, 0, -1, -1])


def test_average_precision() -> None:
    score, good = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(score, good, 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(score, good, 4) == pytest.approx((1 + 2 / 3) / 4)  # two are not found
    assert average_precision(np.ones(4), good, 2) == pytest.approx(1 / 2)  # no order among them
    assert average_precision(score, good, 3, np.array([1, 1, 2, 1])) == pytest.approx((1 + 2 * 3 / 4) / 3)
    assert average_precision(score[:0], good[:0], 3) == 0
    with pytest.raises(InvariantNetsError, match="nothing to find"):
        average_precision(score, good, 0)
    twice = hits((0, 0, 1, 0, 0, 10), (0, 0, 2, 1, 0, 10), (1, 0, 3, 0, 0, 10), (2, 0, 3, 0, 0, 10))
    boxes = np.tile([0, 0, 10, 10], (3, 1))
    np.testing.assert_array_equal(right(twice, boxes, np.array([True, True, False])), [False, True, True, False])


def test_selection_is_near_the_best_of_all() -> None:
    def worth(covers: np.ndarray, kept: list[int]) -> float:
        return float((2 - 0.5 ** (covers[kept].sum(0) - 1.0)).sum())

    for seed in range(10):
        covers = np.random.default_rng(seed).random((9, 20)) < 0.25
        kept = select(covers, 3)
        best = max(worth(covers, list(some)) for some in itertools.combinations(range(9), 3))
        assert worth(covers, list(kept)) >= (1 - 1 / np.e) * best and kept[0] == covers.sum(1).argmax()
    assert list(select(np.eye(4, dtype=bool)[:, :2], 4)) == [0, 1]
    with pytest.raises(InvariantNetsError, match="none of 3 finds any of 5 people"):
        select(np.zeros((3, 5), bool), 2)


def test_calibration() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=20_000)
    good = rng.random(20_000) < 1 / (1 + np.exp(-(2 * score - 1)))
    found = calibrate(score, good, "poselet 3")
    assert found.slope == pytest.approx(2, abs=0.1) and found.bias == pytest.approx(-1, abs=0.1)
    assert found(np.array([0.5])) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(InvariantNetsError, match="poselet 3: 0 right and 0 wrong hits"):
        calibrate(score[:0], good[:0], "poselet 3")
    with pytest.raises(InvariantNetsError, match="poselet 3: a higher score does not mean"):
        calibrate(-score, good, "poselet 3")
    with pytest.raises(InvariantNetsError, match="has 0 patches and 2 windows"):
        train(np.zeros((0, 7, 7, 36)), np.zeros((2, 7, 7, 36)), lambda _: np.zeros((0, 7, 7, 36)))
