from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from invariantnets.data.rotation import rotate, rotation_bank
from invariantnets.data.sources import digits


@pytest.fixture(scope="module")
def images() -> Tensor:
    return digits().image[:20]


def test_angle_zero_is_the_identity(images: Tensor) -> None:
    assert rotate(images, 0) is images
    assert rotate(images, -0.0) is images


@pytest.mark.parametrize("degrees", [-180, -45, -15, 7.5, 30, 45, 90, 123, 360])
@pytest.mark.parametrize("shape", ["square", "wide", "tall", "colour"])
def test_agrees_with_torchvision(images: Tensor, degrees: float, shape: str) -> None:
    # A margin of one pixel: on the border itself a pixel is inside or outside by a rounding error.
    images = {
        "square": images,
        "wide": torch.nn.functional.pad(images[:, :, 5:-5], (1, 1, 1, 1)),
        "tall": torch.nn.functional.pad(images[:, :, :, 5:-5], (1, 1, 1, 1)),
        "colour": images[:18].reshape(6, 3, 28, 28),
    }[shape]
    ours = rotate(images, degrees)
    theirs = vision.rotate(images, degrees, interpolation=InterpolationMode.BILINEAR)
    assert ours.dtype == torch.uint8 and ours.shape == images.shape
    assert (ours.int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (180, 2), (-90, -1)])
def test_quarter_turns_are_exact(images: Tensor, degrees: float, quarters: int) -> None:
    assert torch.equal(rotate(images, degrees), torch.rot90(images, quarters, (2, 3)))


def test_positive_angles_turn_counter_clockwise() -> None:
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[0, 0, 4, 8] = 255  # a dot on the right ...
    turned = rotate(image, 45)[0, 0]
    row, column = divmod(int(turned.argmax()), 9)
    assert row < 4 and column > 4  # ... moves up, where rows are counted from the top


def test_a_turn_and_its_inverse_nearly_cancel(images: Tensor) -> None:
    there_and_back = rotate(rotate(images, 30), -30).float()
    error = (there_and_back - images.float()).abs().mean()
    assert error < 0.1 * (rotate(images, 30).float() - images.float()).abs().mean() + 8


@pytest.mark.parametrize("block", [1, 7, 20, 100])
def test_bank_is_every_image_at_every_angle(images: Tensor, block: int) -> None:
    angles = [-45.0, 0.0, 30.0]
    bank = rotation_bank(images, angles, block)
    assert bank.shape == (20, 3, 1, 28, 28) and bank.dtype == torch.uint8
    for column, angle in enumerate(angles):
        assert torch.equal(bank[:, column], rotate(images, angle))
    assert torch.equal(bank[:, 1], images)


def test_bank_of_no_images_is_empty(images: Tensor) -> None:
    assert rotation_bank(images[:0], [0.0, 10.0]).shape == (0, 2, 1, 28, 28)
