from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from invariantnets.alignment.warp import sample, source_map, triangulate, turn
from invariantnets.errors import InvariantNetsError

SIZE = 26


def mesh(seed: int = 0, count: int = 14) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(3, SIZE - 4, (count, 2))
    corner = np.array([[-2.0, -2.0], [SIZE + 1, -2], [-2, SIZE + 1], [SIZE + 1, SIZE + 1]])
    return np.concatenate([points, corner])


def slow_map(target: np.ndarray, source: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Pixel by pixel and triangle by triangle."""
    found = np.full((SIZE, SIZE, 2), np.nan)
    for y in range(SIZE):
        for x in range(SIZE):
            for three in corners:
                a, b, c = target[three]
                square = np.stack([b - a, c - a], 1)
                if abs(np.linalg.det(square)) < 1e-9:
                    continue
                v, w = np.linalg.solve(square, np.array([x, y]) - a)
                if v >= -1e-7 and w >= -1e-7 and v + w <= 1 + 1e-7:
                    found[y, x] = (1 - v - w) * source[three[0]] + v * source[three[1]] + w * source[three[2]]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_each_triangle_gives(seed: int) -> None:
    """Also where the moved mesh folds over itself: there the last triangle gives it."""
    target = mesh(seed)
    corners = triangulate(target)
    rng = np.random.default_rng(seed)
    folded = target + rng.normal(0, 3, target.shape)
    source = rng.uniform(0, 60, target.shape)
    for at in (target, folded):
        np.testing.assert_allclose(source_map(at, source, corners, SIZE), slow_map(at, source, corners), atol=1e-3)


def test_every_pixel_of_the_hull_and_no_other_is_given() -> None:
    target = np.array([[5.0, 5.0], [20, 5], [20, 22], [5, 22]])
    found = source_map(target, target, triangulate(target), SIZE)
    y, x = np.mgrid[:SIZE, :SIZE]
    inside = (x >= 5) & (x <= 20) & (y >= 5) & (y <= 22)
    assert np.array_equal(~np.isnan(found[..., 0]), inside)
    np.testing.assert_allclose(found[inside], np.stack([x, y], 2)[inside], atol=1e-4)


def test_an_affine_map_is_one_affine_map() -> None:
    target = mesh()
    matrix, shift = np.array([[0.9, 0.3], [-0.2, 1.1]]), np.array([4.0, -2.0])
    found = source_map(target, target @ matrix.T + shift, triangulate(target), SIZE)
    y, x = np.mgrid[:SIZE, :SIZE]
    np.testing.assert_allclose(found, np.stack([x, y], 2) @ matrix.T + shift, atol=1e-3)


def test_triangles_without_area_and_points_outside_are_passed_over() -> None:
    target = np.array([[0.0, 0.0], [10, 10], [20, 20], [1e4, -1e4]])
    found = source_map(target, target, np.array([[0, 1, 2], [0, 1, 3]]), SIZE)
    assert np.isnan(found).any() and np.nanmax(np.abs(found)) < SIZE


def test_all_triangles_turn_in_one_sense() -> None:
    points = mesh(5)
    corners = triangulate(points)
    assert (turn(points[corners]) > 0).all()
    assert (turn((points * (-1, 1))[corners]) < 0).all(), "seen from behind"


def test_values_are_bilinear_and_0_beside_the_picture() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 20, 30), dtype=np.uint8)
    at = rng.uniform(0, 1, (50, 2)) * (29, 19)
    expected = np.stack([map_coordinates(c.astype(float), at[:, ::-1].T, order=1) for c in image])
    assert np.abs(sample(image, at) - expected).max() <= 0.51
    beside = np.array([[-1.5, 3], [31, 3], [4, -2], [4, 22], [np.nan, np.nan]])
    assert not sample(image, beside).any()
    assert np.array_equal(sample(image, np.array([[29.0, 19], [0, 0]])), image[:, [19, 0], [29, 0]])


def test_points_on_a_line_have_no_triangles() -> None:
    for points in (np.stack([np.arange(5.0)] * 2, 1), np.zeros((2, 2)), np.zeros((5, 2))):
        with pytest.raises(InvariantNetsError, match="have no triangles"):
            triangulate(points)
