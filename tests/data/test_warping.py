from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from invariantnets.data.warping import LATTICE, bent, shifted


def pictures(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


def test_a_shifted_picture_is_a_crop_of_its_padded_self() -> None:
    image = pictures(3, 2, 3, 5, 7)
    shift = torch.tensor([[[0, 0], [1, -2]], [[-2, 2], [2, 0]], [[0, 1], [-1, -1]]])
    padded = np.pad(image.numpy(), ((0, 0),) * 3 + ((2, 2),) * 2, mode="edge")
    moved = shifted(image, shift)
    for i, j in np.ndindex(3, 2):
        down, right = shift[i, j].tolist()
        assert np.array_equal(moved[i, j], padded[i, j, :, 2 - down : 7 - down, 2 - right : 9 - right])


def test_without_a_bend_nothing_changes() -> None:
    image = pictures(3, 2, 1, 9, 12)
    assert torch.equal(bent(image, torch.zeros(3, 2, 2, LATTICE, LATTICE)), image)


def test_a_lattice_moved_as_one_is_a_shift() -> None:
    image = pictures(2, 2, 1, 9, 12)
    bend = torch.zeros(2, 2, 2, LATTICE, LATTICE)
    bend[..., 0, :, :], bend[..., 1, :, :] = -2.0, 1.0  # taken from two to the left and one below
    assert torch.equal(bent(image, bend), shifted(image, torch.tensor([-1, 2]).expand(2, 2, 2)))


def test_equals_a_slow_reference() -> None:
    """Each pixel from where a linear lattice says: in the middle the interpolation is all but linear, too."""
    rng, ramp = np.random.default_rng(1), torch.arange(28)
    image = (5 * ramp + 4 * ramp[:, None]).to(torch.uint8)[None, None, None]
    slope = torch.from_numpy(rng.normal(size=(2, 2)).astype(np.float32))
    at = torch.linspace(-1, 1, LATTICE)
    bend = slope[:, :1, None] * at + slope[:, 1:, None] * at[:, None]
    y, x = np.mgrid[:28, :28]
    right, down = (float(a) * (x / 13.5 - 1) + float(b) * (y / 13.5 - 1) for a, b in slope)
    expected = map_coordinates(image[0, 0, 0].numpy().astype(float), [y + down, x + right], order=1, mode="nearest")
    middle = slice(10, 18)  # between the inner points: at the outer ones the lattice is continued as a constant
    found = bent(image, bend[None, None])[0, 0, 0, middle, middle].numpy()
    assert np.abs(found - expected[middle, middle]).max() <= 1
