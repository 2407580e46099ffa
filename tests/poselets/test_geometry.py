"""Configurations of keypoints, beside slow versions with real matrices, one person at a time."""

from __future__ import annotations

import numpy as np
import pytest

from invariantnets.errors import InvariantNetsError
from invariantnets.poselets import (
    Patches,
    People,
    Seed,
    check_people,
    draw_seed,
    fit,
    nearest,
    seen_in,
    spread,
    truth,
    upright,
)

SIZE = 200
# Nose, shoulders, elbows, wrists, hips, knees, ankles of somebody of height 1; left is x > 0.
STANDING = np.array(
    [(0, 0.08), (0.11, 0.2), (-0.11, 0.2), (0.15, 0.36), (-0.15, 0.36), (0.16, 0.5), (-0.16, 0.5), (0.07, 0.52),
     (-0.07, 0.52), (0.08, 0.75), (-0.08, 0.75), (0.09, 0.97), (-0.09, 0.97)]
)  # fmt: skip


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return points @ np.array([[c, -s], [s, c]]).T + shift


def one(points: np.ndarray, visible: np.ndarray | None = None, size: int = SIZE) -> People:
    shown = np.ones(len(points), bool) if visible is None else visible
    return People(points[None], shown[None], np.full((1, 2), size))


def joined(*some: People) -> People:
    return People(*(np.concatenate(values) for values in zip(*some, strict=True)))


def crowd(n: int = 300, seed: int = 0) -> People:
    """Arms and legs anywhere, leaning a little, of some size, somewhere; a fifth of the keypoints is hidden."""
    rng = np.random.default_rng(seed)
    points = np.repeat(STANDING[None], n, 0)
    for upper, middle, end, spread_of in ((1, 3, 5, 70), (2, 4, 6, 70), (7, 9, 11, 25), (8, 10, 12, 25)):
        for row in range(n):
            for joint, moved in ((upper, [middle, end]), (middle, [end])):
                centre = points[row, joint].copy()
                points[row, moved] = turned(points[row, moved] - centre, rng.uniform(-1, 1) * spread_of, 1, centre)
    for row in range(n):
        points[row] = turned(points[row] - 0.5, rng.normal(0, 6), rng.uniform(90, 130), rng.uniform(90, 110, 2))
    return People(points, rng.random(points.shape[:2]) > 0.2, np.full((n, 2), SIZE))


SEED = upright(70, 40, 60, 1.5, 1.0)
OWNER = one(STANDING * 120 + (100, 30))


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (30, 1), (-44, 0.5), (12, 1.6)])
def test_the_similarity_of_a_copy_is_found_and_its_distance_is_0(degrees: float, scale: float) -> None:
    middle = np.array([100, 90])
    copy = one(turned(OWNER.keypoints[0] - middle, degrees, scale, (500, 480)), size=1000)
    found = fit(SEED, OWNER, copy)
    assert found.distance[0] == pytest.approx(0, abs=1e-18)
    corners = np.array([(0, 0), (1, 0), (1, 1.5), (0, 1.5)])
    there = turned(corners * 60 + (70, 40) - middle, degrees, scale, (500, 480))
    np.testing.assert_allclose(found.patches.pixels(corners @ (1, 1j))[0], there @ (1, 1j), rtol=1e-12)


@pytest.mark.parametrize(
    ("degrees", "scale", "shift", "size"),
    [(46, 1, 500, 1000), (0, 4.1, 500, 1000), (0, 0.24, 500, 1000), (0, 1, 30, 80)],
)
def test_limits(degrees: float, scale: float, shift: float, size: int) -> None:
    """A turn too far, too near, too small, and a patch that leaves the picture."""
    copy = one(turned(OWNER.keypoints[0] - (100, 90), degrees, scale, (shift, shift)), size=size)
    assert np.isinf(fit(SEED, OWNER, copy).distance[0])


def slow_distance(seed: Patches, owner: People, other: People) -> float:
    """With a 4-parameter least squares over x and y, and sets."""
    scale, corner = 1 / abs(seed.a), np.array([(-seed.b / seed.a).real, (-seed.b / seed.a).imag])

    def inside(u: np.ndarray) -> bool:
        return bool(0 <= u[0] <= seed.width and 0 <= u[1] <= seed.height)

    unit = (owner.keypoints[0] - corner) / scale
    of_seed = {k for k in range(len(unit)) if owner.visible[0, k] and inside(unit[k])}
    shared = [k for k in sorted(of_seed) if other.visible[0, k]]
    if len(shared) < 2:
        return np.inf
    rows, answer = [], []
    for k in shared:
        x, y = other.keypoints[0, k]
        rows += [(x, -y, 1, 0), (y, x, 0, 1)]
        answer += list(unit[k])
    p, q, r, s = np.linalg.lstsq(np.array(rows), np.array(answer), rcond=None)[0]
    matrix = np.array([[p, -q], [q, p]])
    moved = other.keypoints[0] @ matrix.T + (r, s)
    zoom = np.hypot(p, q) * scale
    corners = np.array([(0, 0), (seed.width, 0), (0, seed.height), (seed.width, seed.height)])
    at = (corners - (r, s)) @ np.linalg.inv(matrix).T
    if abs(np.arctan2(q, p)) > np.pi / 4 or not 0.25 <= zoom <= 4 or (at < -0.5).any() or (at > SIZE - 0.5).any():
        return np.inf
    of_other = {k for k in range(len(moved)) if other.visible[0, k] and inside(moved[k])}
    off = np.mean([np.square(moved[k] - unit[k]).sum() for k in shared])
    return off + 0.1 * (1 - len(of_seed & of_other) / len(of_seed | of_other))


def test_distances_are_those_of_a_slow_version() -> None:
    people = crowd()
    found = fit(SEED, OWNER, people).distance
    slow = [slow_distance(SEED, OWNER, people.rows(slice(row, row + 1))) for row in range(len(found))]
    assert 20 < np.isfinite(slow).sum() < len(slow)
    np.testing.assert_allclose(found, slow, rtol=1e-9)


def test_a_similarity_of_both_changes_nothing() -> None:
    people = crowd()
    far = people._replace(keypoints=people.keypoints + 1000, size=np.full_like(people.size, 10**6))
    before = fit(SEED, OWNER, far)
    a, b = 2 * np.exp(0.3j), 4000 + 5000j

    def moved(points: np.ndarray) -> np.ndarray:
        z = a * (points @ (1, 1j)) + b
        return np.stack([z.real, z.imag], -1)

    seed = Patches(SEED.a / a, SEED.b - SEED.a / a * b, SEED.height, SEED.width)
    after = fit(seed, OWNER._replace(keypoints=moved(OWNER.keypoints)), far._replace(keypoints=moved(far.keypoints)))
    np.testing.assert_allclose(before.distance, after.distance, atol=1e-9)


def test_x_alone_would_be_less() -> None:
    """One that differs in y alone is at a distance."""
    points = OWNER.keypoints[0].copy()
    points[1, 1] += 20
    points[2, 1] -= 20
    assert fit(SEED, OWNER, one(points)).procrustes[0] > 0.003


def test_mirrored_people_are_far_or_refused() -> None:
    """Left and right have names. A mirrored picture can be met by a half turn at best, which is beyond the limit."""
    mirrored = OWNER.keypoints[0] * (-1, 1) + (200, 0)
    found = fit(SEED, OWNER, one(mirrored))
    others = fit(SEED, OWNER, crowd())
    assert found.distance[0] > 0.02 > np.min(others.distance)


def test_visible_and_inside_are_two_things() -> None:
    """A keypoint that is visible beside the patch is not shown by it; nor is a hidden one within."""
    hidden = np.ones(13, bool)
    hidden[1] = False
    both = joined(OWNER, one(OWNER.keypoints[0], hidden))
    patches = Patches(np.repeat(SEED.a, 2), np.repeat(SEED.b, 2), 1.5, 1.0)
    shown = seen_in(patches, both)
    assert both.visible[0, 11] and not shown[0, 11] and shown[0, 1] and not shown[1, 1]
    found = fit(SEED, OWNER, both.rows(slice(1, 2)))
    assert found.distance[0] == pytest.approx(0.1 / shown[0].sum())


def test_nearest_patches_are_posed_alike() -> None:
    """The spread of keypoints under the ten nearest is a third of that under ten random patches, or less."""
    people, rng = crowd(600), np.random.default_rng(1)
    near, random = [], []
    for _ in range(20):
        seed = draw_seed(people, rng)
        found = nearest(seed, people, 10)
        assert seed.person not in found.person and (np.diff(found.distance) >= 0).all()
        near.append(spread(found.patches, people.rows(found.person)))
        some = [draw_seed(people, rng) for _ in range(10)]
        a, b = (np.array([complex(getattr(s.patch, name)) for s in some]) for name in "ab")
        random.append(spread(Patches(a, b, 1.5, 1.5), people.rows(np.array([s.person for s in some]))))
    assert np.mean(near) < np.mean(random) / 3
    own = np.arange(600) // 2
    assert not np.isin(own[nearest(seed, people, 10, own).person], own[seed.person]).any()


def test_where_a_poselet_is() -> None:
    """On a copy that is turned by 30° it is the upright box about the same centre; on another pose it is nowhere."""
    middle = np.array([100, 85])  # of the seed's patch
    copy = one(turned(OWNER.keypoints[0] - middle, 30, 1.5, (400, 300)), size=1000)
    raised = OWNER.keypoints[0].copy()
    raised[3:7, 1] -= 60
    examples = nearest(Seed(0, SEED, (12, 8)), joined(OWNER, crowd()), 10)
    found = truth(examples, OWNER, joined(copy, one(raised)))
    assert list(found.there) == [True, False]
    np.testing.assert_allclose(found.box[0], (400 - 45, 300 - 67.5, 400 + 45, 300 + 67.5))


def test_what_is_missing_is_said() -> None:
    people = crowd(5)
    people.visible[3] = False
    with pytest.raises(InvariantNetsError, match="nothing is seen of 1 of 5, the first in row 3"):
        check_people(people)
    with pytest.raises(InvariantNetsError, match="10 examples are wanted, and 0 of 1"):
        nearest(draw_seed(OWNER, np.random.default_rng(0)), OWNER, 10)
    few = one(OWNER.keypoints[0], np.arange(13) < 3)
    with pytest.raises(InvariantNetsError, match="no patch with 4 visible keypoints"):
        draw_seed(few, np.random.default_rng(0))
