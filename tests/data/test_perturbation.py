from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as vision

from invariantnets.data.perturbation import PERTURBATIONS, lighten, rotate, scale, translate, variant_bank
from invariantnets.data.sources import digits


@pytest.fixture(scope="module")
def images() -> Tensor:
    return digits().image[:20]


NEUTRAL = {"angle": 0, "translation": 0, "scale": 1, "light": 0}


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_neutral_value_is_the_identity(images: Tensor, name: str) -> None:
    vary, neutral = PERTURBATIONS[name].apply, NEUTRAL[name]
    assert vary(images, neutral) is images
    assert vary(images, -0.0 if neutral == 0 else 1.0) is images
    almost = vary(images, neutral + 1e-9)  # nor does the neutral value stand apart from those beside it
    assert torch.equal(almost, images)


def turned(images: Tensor, degrees: float) -> Tensor:
    return vision.rotate(images, degrees, interpolation=InterpolationMode.BILINEAR)


def moved(images: Tensor, pixels: float) -> Tensor:
    return vision.affine(images, 0.0, [int(pixels), 0], 1.0, [0.0], interpolation=InterpolationMode.BILINEAR)


def sized(images: Tensor, factor: float) -> Tensor:
    return vision.affine(images, 0.0, [0, 0], factor, [0.0], interpolation=InterpolationMode.BILINEAR)


def lit(images: Tensor, stops: float) -> Tensor:
    """Pixel by pixel, by the formulas of the standard."""
    bytes_ = []
    for value in images.flatten().tolist():
        encoded = value / 255
        light = encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4
        light = min(1.0, light * 2**stops)
        bytes_.append(round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)))
    return torch.tensor(bytes_, dtype=torch.uint8).reshape(images.shape)


@pytest.mark.parametrize(
    ("vary", "reference", "value"),
    [(rotate, turned, v) for v in (-180, -45, -15, 7.5, 30, 45, 90, 123, 360)]
    + [(translate, moved, v) for v in (-40, -6, -1, 2, 28)]
    + [(scale, sized, v) for v in (0.3, 0.7, 0.9, 1.1, 1.3, 2)]
    + [(lighten, lit, v) for v in (-3, -1, 0.5, 3)],
)
@pytest.mark.parametrize("shape", ["square", "wide", "tall", "colour"])
def test_agrees_with_a_reference(
    images: Tensor,
    vary: Callable[[Tensor, float], Tensor],
    reference: Callable[[Tensor, float], Tensor],
    value: float,
    shape: str,
) -> None:
    # A margin of one pixel: on the border itself a pixel is inside or outside by a rounding error.
    images = {
        "square": images,
        "wide": torch.nn.functional.pad(images[:, :, 5:-5], (1, 1, 1, 1)),
        "tall": torch.nn.functional.pad(images[:, :, :, 5:-5], (1, 1, 1, 1)),
        "colour": images[:18].reshape(6, 3, 28, 28),
    }[shape]
    ours, theirs = vary(images, value), reference(images, value)
    assert ours.dtype == torch.uint8 and ours.shape == images.shape
    assert (ours.int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize("pixels", [-7, 3])
def test_whole_pixels_are_moved_exactly(images: Tensor, pixels: int) -> None:
    expected = torch.zeros_like(images)
    if pixels > 0:
        expected[..., pixels:] = images[..., :-pixels]
    else:
        expected[..., :pixels] = images[..., -pixels:]
    assert torch.equal(translate(images, pixels), expected)


def test_a_stop_less_light_halves_it_and_a_stop_more_brings_it_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    back = lighten(lighten(every, -1), 1)
    assert (back.int() - every.int()).abs().max() <= 1
    # sRGB's middle grey reflects 21.4 % of white's light; a fifth is 124, and half of that 89.
    assert lighten(torch.full((1, 1, 1, 1), 124, dtype=torch.uint8), -1).item() == 89
    bright = lighten(every, 3).flatten()
    assert bright[0] == 0 and (bright.diff() >= 0).all() and (bright == 255).sum() > 100


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
    bank = variant_bank(images, [(rotate, angles)], block)
    assert bank.shape == (20, 3, 1, 28, 28) and bank.dtype == torch.uint8
    for column, angle in enumerate(angles):
        assert torch.equal(bank[:, column], rotate(images, angle))
    assert torch.equal(bank[:, 1], images)


def test_bank_of_no_images_is_empty(images: Tensor) -> None:
    assert variant_bank(images[:0], [(rotate, [0.0, 10.0]), (scale, [1.0] * 3)]).shape == (0, 6, 1, 28, 28)
