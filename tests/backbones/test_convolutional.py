from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from invariantnets.backbones import LayeredBackbone, parde_a, parde_b, vggface
from invariantnets.backbones.convolutional import VGGFACE_MEAN
from invariantnets.errors import InvariantNetsError

Build = Callable[..., LayeredBackbone]
A: dict[str, Any] = {"image_shape": (3, 40, 40), "filters": (2, 3, 4, 5, 6, 7, 8, 9, 10), "bottleneck": 12}
B: dict[str, Any] = {"image_shape": (3, 96, 96), "filters": (2, 3, 4, 5, 6, 7, 8), "width": 9, "bottleneck": 12}
VGG: dict[str, Any] = {"image_shape": (3, 64, 96), "filters": (2, 3, 4, 5, 6), "width": 9, "bottleneck": 12}
SMALL = [(parde_a, A), (parde_b, B), (vggface, VGG)]


def weights(network: LayeredBackbone) -> dict[str, int]:
    """Of each layer, without biases and the slopes of PReLU."""
    return {
        name: sum(m.weight.numel() for m in layer.modules() if isinstance(m, nn.Conv2d | nn.Linear))
        for name, layer in network.layers.items()
    }


def shapes(build: Build, *size: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = build()
        found = network.features(torch.empty(2, *size), network.layer_names)
    return {name: tuple(x.shape[1:]) for name, x in found.items()}


def test_network_a_is_table_1() -> None:
    found = shapes(parde_a, 1, 100, 100)
    sides = {"1": 100, "2": 50, "3": 25, "4": 13, "5": 7}
    assert all(shape[1:] == (sides[name[4]],) * 2 for name, shape in found.items() if name.startswith("conv"))
    assert {name: found[name] for name in ("pool1", "pool2", "pool3", "pool4", "pool5", "fc6")} == {
        "pool1": (64, 50, 50), "pool2": (128, 25, 25), "pool3": (192, 13, 13), "pool4": (256, 7, 7), "pool5": (320,),
        "fc6": (10548,),
    }  # fmt: skip
    with torch.device("meta"):
        count = weights(parde_a())
    # Printed: .28K, 18K, 36K, 72K, 108K, 162K, 216K, 288K, 360K, 450K, 3296K and 5006K: K is 1,024.
    printed = {"conv12": 18, "conv21": 36, "conv22": 72, "conv31": 108, "conv32": 162, "conv41": 216, "conv42": 288}
    printed |= {"conv51": 360, "conv52": 450}
    assert {name: count[name] / 1024 for name in printed} == printed
    assert count["fc6"] // 1024 == 3296 and count["conv11"] == 288
    assert sum(count.values()) == 5_126_688 and sum(count.values()) // 1024 == 5006


def test_network_b_is_what_table_2_can_be() -> None:
    found = shapes(parde_b, 3, 227, 227)
    assert [found[f"pool{i}"] for i in (1, 2, 7)] == [(96, 27, 27), (256, 13, 13), (512, 6, 6)]
    assert found["fc6"] == (1024,) and found["fc7"] == (512,) and found["fc8"] == (10548,)
    with torch.device("meta"):
        count = weights(parde_b())
    assert {name: count[name] for name in ("conv1", "conv2", "conv3", "conv4", "conv6", "fc6", "fc7")} == {
        "conv1": 34_848, "conv2": 614_400, "conv3": 884_736, "conv4": 1_327_104, "conv6": 2_359_296,
        "fc6": 18_874_368, "fc7": 524_288,
    }  # fmt: skip
    assert sum(count.values()) == 34_148_384


def test_vggface_is_vgg_16() -> None:
    assert shapes(vggface, 3, 224, 224)["pool5"] == (512, 7, 7)
    with torch.device("meta"):
        network = vggface(num_classes=1000)
    assert sum(p.numel() for p in network.parameters()) == 138_357_544  # as torchvision's vgg16


@pytest.mark.parametrize(("build", "sizes"), SMALL)
def test_features_are_never_dropped_and_images_are_bytes(build: Build, sizes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build(**sizes, num_classes=5, dropout=0.9)
    image = torch.randint(0, 256, (4, *sizes["image_shape"]), dtype=torch.uint8)
    feature = {}
    for training in (True, False):
        feature[training] = network.train(training).features(image, [network.embedding])[network.embedding]
    assert feature[True].shape == (4, 12)
    if build is not vggface:  # there fc7 reads fc6 through dropout, as in VGG
        assert torch.equal(feature[True], feature[False])
    assert network(image).shape == (4, 5)


@pytest.mark.parametrize(("build", "sizes"), SMALL)
def test_the_signal_neither_dies_nor_grows(build: Build, sizes: dict[str, Any]) -> None:
    """Of wide enough layers the mean square stays within a power of ten of the first one's, and scores are near 0."""
    torch.manual_seed(0)
    wide = {**sizes, "filters": [24] * len(sizes["filters"]), "bottleneck": 128}
    network = build(**wide, num_classes=5).eval()
    image = torch.randint(0, 256, (8, *sizes["image_shape"]), dtype=torch.uint8)
    found = network.features(image, network.layer_names)
    first, *others = (x.square().mean() for name, x in found.items() if name.startswith("conv"))
    assert all(0.1 < x / first < 10 for x in others)
    assert found[network.classifier].abs().max() < 1


def test_network_a_reads_the_luma() -> None:
    torch.manual_seed(0)
    network = parde_a(**A, num_classes=3).eval()
    image = torch.rand(2, 3, 40, 40) * 255
    grey = (0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:]).expand(2, 3, 40, 40)
    torch.testing.assert_close(network(image), network(grey))
    torch.testing.assert_close(network(image), network(grey[:, :1]))


def test_vggface_reads_pixels_less_their_mean() -> None:
    torch.manual_seed(0)
    network = vggface(**VGG, num_classes=3).eval()
    mean = torch.tensor(VGGFACE_MEAN)[:, None, None].expand(1, 3, 64, 96)
    conv = network.layers["conv1_1"][1]
    image = torch.rand(1, 3, 64, 96) * 255
    found = network.features(image, ["conv1_1"])["conv1_1"]
    torch.testing.assert_close(found, torch.relu(conv(image - mean)), rtol=1e-4, atol=1e-4)
    assert not network.features(mean, ["conv1_1"])["conv1_1"].abs().gt(1e-3).any()


@pytest.mark.parametrize(
    ("build", "changed", "said"),
    [
        (parde_a, {"filters": (1, 2)}, r"filters=\[1, 2\]: network A has nine"),
        (parde_a, {"image_shape": (4, 40, 40)}, "network A reads grey pictures"),
        (parde_a, {"dropout": 1.0}, "dropout=1.0: choose a share"),
        (parde_b, {"filters": (1, 2)}, "network B has seven"),
        (parde_b, {"image_shape": (3, 64, 64)}, r"images of \(3, 64, 64\) leave no pixel"),
        (vggface, {"filters": (1, 2)}, "five blocks"),
        (vggface, {"image_shape": (3, 31, 64)}, "leave no pixel"),
        (vggface, {"image_shape": (1, 64, 64)}, "reads red, green and blue"),
        (vggface, {"embedding": "fc9"}, "there is no layer 'fc9'"),
    ],
)
def test_what_cannot_be_built(build: Build, changed: dict[str, Any], said: str) -> None:
    sizes = next(sizes for one, sizes in SMALL if one is build)
    with pytest.raises(InvariantNetsError, match=said):
        build(**{**sizes, **changed})
