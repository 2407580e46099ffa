"""Pictures are prepared as torchvision and timm prepare them."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torchvision.transforms import v2

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import Preprocessing
from invariantnets.foreign.preprocessing import by_channel, declared

MEAN, STD = (0.1, 0.4, 0.7), (0.2, 0.3, 0.5)


def picture(height: int, width: int, channels: int = 3) -> Tensor:
    """A smooth one, as photographs are: of noise, no two ways of resizing agree."""
    coarse = torch.rand(1, channels, 6, 5, generator=torch.Generator().manual_seed(height))
    return (v2.functional.resize(coarse, [height, width]) * 255).round().to(torch.uint8)


def as_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(64, 64), (50, 80), (91, 60), (20, 31)])
@pytest.mark.parametrize("crop", [None, 1.0, 0.875, 0.6])
def test_torchvisions_transforms(shape: tuple[int, int], interpolation: str, crop: float | None) -> None:
    image, how = picture(*shape), v2.InterpolationMode(interpolation)
    if crop is None:
        steps = [v2.Resize((32, 32), how, antialias=True)]
    else:
        steps = [v2.Resize(int(32 / crop), how, antialias=True), v2.CenterCrop(32)]
    expected = v2.Compose([*steps, v2.Normalize(MEAN, STD)])(image.float() / 255)
    found = Preprocessing(32, MEAN, STD, interpolation, crop)(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_mambaout", "resnet18", "vit_base_patch16_clip_224"])
@pytest.mark.parametrize("shape", [(200, 200), (180, 240), (250, 170)])
def test_timms_own_evaluation_of_a_file(name: str, shape: tuple[int, int]) -> None:
    """Pillow rounds the resized picture to bytes: half a grey value is the most that it can be off, and a little."""
    usual = timm.get_pretrained_cfg(name)
    options = timm.data.resolve_data_config(pretrained_cfg=usual.to_dict())
    image = picture(*shape)
    expected = create_transform(**options)(as_pillow(image))
    prepare = declared(usual.input_size[1], usual.mean, usual.std, usual.interpolation, usual.crop_pct)
    off = (prepare(image)[0] - expected).abs() * torch.tensor(usual.std)[:, None, None] * 255
    assert off.max() < 1.6 and off.mean() < 0.4, (off.max(), off.mean())


def test_every_step_by_hand() -> None:
    image = picture(8, 8)
    x = image.double()
    bgr = declared(8, [10, 20, 30], [2, 4, 5], scale=1, channels="bgr")(image, torch.float64)
    for place, (channel, mean, std) in enumerate([(2, 30, 5), (1, 20, 4), (0, 10, 2)]):
        torch.testing.assert_close(bgr[:, place], (x[:, channel] - mean) / std)
    grey = declared(8, 0.5, 0.5, channels="grey")(image, torch.float64)
    luma = np.asarray(as_pillow(image).convert("L"), np.float64)  # rounded to bytes
    assert grey.shape == (1, 1, 8, 8) and np.abs((grey[0, 0].numpy() * 0.5 + 0.5) * 255 - luma).max() < 1
    one = picture(8, 8, 1)
    torch.testing.assert_close(declared(8, MEAN, STD)(one), declared(8, MEAN, STD)(one.expand(-1, 3, -1, -1)))
    assert declared(8, 0.5, 0.5, channels="grey")(one).shape == (1, 1, 8, 8)


def test_a_crop_below_the_middle() -> None:
    image = torch.arange(100).view(1, 1, 10, 10).to(torch.uint8).expand(-1, 3, -1, -1)
    found = Preprocessing(4, (0.0,) * 3, (1.0,) * 3, crop=0.4, shift=0.2, scale=1.0)(image)
    assert torch.equal(found[0, 0], image[0, 0, 5:9, 3:7].float())
    lowest = Preprocessing(4, (0.0,) * 3, (1.0,) * 3, crop=0.4, shift=0.9, scale=1.0)(image)
    assert torch.equal(lowest[0, 0], image[0, 0, 6:, 3:7].float()), "it stays within the picture"


def test_height_and_width() -> None:
    prepare = declared([11, 7], 0.5, 0.5)
    assert prepare(picture(30, 30)).shape == (1, 3, 11, 7) and prepare.shape == (3, 11, 7)
    assert by_channel(0.5, "mean") == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "backbone.image_size=0: give a side in pixels"),
        ({"size": [1, 2, 3]}, r"backbone.image_size=\[1, 2, 3\]: give a side in pixels, or \[height,width\]"),
        ({"mean": [0.5, 0.5]}, r"backbone.mean=\[0.5, 0.5\]: give three numbers, for red, green and blue"),
        ({"mean": [0.5] * 3, "channels": "grey"}, "backbone.mean=.*: give one number, of grey"),
        ({"mean": float("nan")}, "backbone.mean=nan: give three numbers"),
        ({"std": 0}, "backbone.std=0: give numbers above 0"),
        ({"std": ["a", "b", "c"]}, "backbone.std=.*: give three numbers"),
        ({"interpolation": "lanczos"}, "backbone.interpolation=lanczos: choose from bilinear, bicubic"),
        ({"channels": "rgba"}, "backbone.channels=rgba: choose from rgb, bgr, grey"),
        ({"crop": 0}, "backbone.crop=0: give the fraction"),
        ({"crop": 1.5}, "backbone.crop=1.5: give the fraction"),
        ({"scale": 0}, "backbone.scale=0: give what pixels"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message) as caught:
        declared(**{"size": 8, "mean": 0.5, "std": 0.5, **options})
    assert "\n" not in str(caught.value)
