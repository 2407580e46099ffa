from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from invariantnets.alignment.similarity import similarity
from invariantnets.data import decode as module
from invariantnets.data.decode import decode, fit_image
from invariantnets.errors import InvariantNetsError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("points", [2, 5, 68])
def test_similarity_finds_the_one_that_was_applied(points: int) -> None:
    angle, scale, shift = 0.7, 1.3, np.array([4.0, -9.0])
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = RNG.normal(size=(points, 2)) * 30
    found = similarity(x, x @ matrix.T + shift)
    assert found[:, :2] == pytest.approx(matrix) and found[:, 2] == pytest.approx(shift)


def test_similarity_is_the_least_squares_solution() -> None:
    x, y = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 2))
    rows = [row for px, py in x for row in ([px, -py, 1, 0], [py, px, 0, 1])]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), y.ravel(), rcond=None)[0]
    assert similarity(x, y) == pytest.approx(np.array([[a, -b, tx], [b, a, ty]]))


def test_points_at_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="all at one place"):
        similarity(np.ones((5, 2)), RNG.normal(size=(5, 2)))


def colour(height: int = 20, width: int = 30) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_a_fitting_image_is_left_as_it_is() -> None:
    image = colour()
    assert np.array_equal(fit_image(image, (3, 20, 30)), np.asarray(image).transpose(2, 0, 1))


def test_the_crop_is_the_middle() -> None:
    image = colour(21, 30)
    assert np.array_equal(fit_image(image, (3, 10, 10), 10), np.asarray(image)[5:15, 10:20].transpose(2, 0, 1))


def test_grey_and_colour() -> None:
    grey = Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8))
    assert np.array_equal(fit_image(grey, (3, 8, 8)), np.repeat(np.asarray(grey)[None], 3, 0))
    image = colour(8, 8)
    assert np.array_equal(fit_image(image, (1, 8, 8))[0], np.asarray(image.convert("L")))


def test_shrinking_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # one pixel black, one white
    image = Image.fromarray(stripes)
    assert np.abs(fit_image(image, (1, 16, 16))[:, :, 1:-1].astype(int) - 127).max() <= 2
    points = np.array([[0.0, 0.0], [64.0, 64.0]])
    aligned = fit_image(image, (1, 16, 16), None, points, points / 64)
    assert np.abs(aligned[:, 2:-2, 2:-2].astype(int) - 127).max() <= 2


@pytest.mark.parametrize("degrees", [0, 25])
@pytest.mark.parametrize("size", [40, 160])
def test_alignment_brings_landmarks_to_the_template(degrees: int, size: int) -> None:
    spots = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.7]])
    y, x = np.mgrid[:160, :160] + 0.5
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (spots - 0.5) @ rotation.T * 90 + [85, 78]
    blobs = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / 32) for px, py in points)
    image = Image.fromarray((255 * np.minimum(blobs, 1)).astype(np.uint8))
    aligned = fit_image(image, (1, size, size), None, points, spots)[0].astype(float)
    grid_y, grid_x = np.mgrid[:size, :size] + 0.5
    for px, py in spots * size:
        near = aligned * (np.hypot(grid_x - px, grid_y - py) < size / 9)
        assert (near * grid_x).sum() / near.sum() == pytest.approx(px, abs=0.5)
        assert (near * grid_y).sum() / near.sum() == pytest.approx(py, abs=0.5)


def test_images_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    blocks = list(decode(lambda row: np.full((1, 2, 2), row, np.uint8), [str(i) for i in range(10)], "made"))
    assert [len(block) for block in blocks] == [4, 4, 2]
    assert torch.cat(blocks)[:, 0, 0, 0].tolist() == list(range(10))


def test_all_unreadable_images_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)

    def read(row: int) -> np.ndarray:
        if row in (3, 7, 9):
            raise OSError("truncated")
        return np.zeros((1, 2, 2), np.uint8)

    with pytest.raises(InvariantNetsError, match=r"made: 3 of 10 images cannot be read, e.g. file3 \(truncated\)"):
        list(decode(read, [f"file{i}" for i in range(10)], "made"))
