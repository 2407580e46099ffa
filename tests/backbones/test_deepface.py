from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from invariantnets.backbones import LayeredBackbone, deepface
from invariantnets.errors import InvariantNetsError

SIDES = {"C1": 142, "M2": 71, "C3": 63, "L4": 55, "L5": 25, "L6": 21}  # of the paper's figure 2
MINI: dict[str, Any] = {
    "image_shape": (3, 64, 64), "filters": (16, 16, 16, 16, 16), "kernels": (5, 5, 5, 3, 3), "bottleneck": 32,
    "num_classes": 7,
}  # fmt: skip


@pytest.fixture(scope="module")
def paper() -> LayeredBackbone:
    with torch.device("meta"):  # shapes alone: the weights would take 476 MB
        return deepface()


def parameters(net: LayeredBackbone, name: str) -> int:
    return sum(p.numel() for p in net.layers[name].parameters())


def test_the_papers_shapes(paper: LayeredBackbone) -> None:
    shapes = {name: (16, side, side) for name, side in SIDES.items()}
    shapes |= {"input": (3, 152, 152), "C1": (32, 142, 142), "M2": (32, 71, 71), "F7": (4096,), "F8": (4030,)}
    found = paper.features(torch.empty(2, 3, 152, 152, device="meta"), paper.layer_names)
    assert {name: tuple(x.shape[1:]) for name, x in found.items()} == shapes


def test_the_papers_number_of_parameters(paper: LayeredBackbone) -> None:
    count = {name: parameters(paper, name) for name in paper.layers}
    assert count == {
        "C1": 32 * (3 * 11 * 11 + 1),
        "M2": 0,
        "C3": 16 * (32 * 9 * 9 + 1),
        "L4": 55 * 55 * 16 * (16 * 9 * 9 + 1),
        "L5": 25 * 25 * 16 * (16 * 7 * 7 + 1),
        "L6": 21 * 21 * 16 * (16 * 5 * 5 + 1),
        "F7": 4096 * (21 * 21 * 16 + 1),
        "F8": 4030 * (4096 + 1),
    }
    # "More than 120 million parameters, more than 95 % of them in the local and fully connected layers": 118.9
    # million with the 4,030 classes that the paper trains on, 120.4 with the 4,400 of its largest comparison.
    total = sum(count.values())
    assert total == 118_923_774
    assert total + (4400 - 4030) * 4097 > 120e6
    assert 1 - (count["C1"] + count["C3"]) / total > 0.95


@pytest.mark.parametrize(("layer", "side"), {"C1": 11, "M2": 13, "C3": 29, "L4": 45, "L5": 57, "L6": 73}.items())
def test_receptive_fields(layer: str, side: int) -> None:
    """What the middle of a map sees. The paper says 74 for L6; its own kernels and strides give 73."""
    # Narrow, but with the paper's kernels and strides: the receptive field does not depend on the filters.
    net = deepface(filters=(1, 1, 1, 1, 1), bottleneck=1, num_classes=2)
    net.layers["M2"] = nn.AvgPool2d(3, 2, ceil_mode=True)  # sees what max-pooling sees, but passes every gradient on
    for parameter in net.parameters():
        nn.init.constant_(parameter, 1e-3)  # no ReLU is shut, no gradient cancels
    image = torch.rand(1, 3, 152, 152, requires_grad=True)
    found = net.features(image, [layer])[layer]
    middle = found.shape[-1] // 2
    found[0, 0, middle, middle].backward()
    assert image.grad is not None
    rows = image.grad[0].abs().sum((0, 2)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == side


def test_relu_follows_all_but_the_last() -> None:
    net = deepface(**MINI)
    found = net.features(torch.randint(256, (4, 3, 64, 64)), list(net.layers))
    assert {name for name, x in found.items() if (x < 0).any()} == {"F8"}


def test_the_signal_survives_every_layer() -> None:
    torch.manual_seed(0)
    net = deepface(**{**MINI, "bottleneck": 1024}).eval()
    found = net.features(torch.randint(256, (16, 3, 64, 64)), list(net.layers))
    spread = {name: float(x.detach().std()) for name, x in found.items()}
    scores = spread.pop("F8")  # small, so that the first steps do not shut the units of a narrow F7
    assert all(0.1 < s < 10 for s in spread.values()) and scores < spread["F7"], spread


def test_features_are_never_dropped() -> None:
    net = deepface(**{**MINI, "dropout": 0.9})
    image = torch.randint(256, (2, 3, 64, 64))
    trained, evaluated = (net.train(mode).features(image, ["F7", "F8"]) for mode in (True, False))
    assert torch.equal(trained["F7"], evaluated["F7"])
    assert not torch.equal(trained["F8"], evaluated["F8"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image_shape": (3, 30, 30)}, "leave no pixel after L"),
        ({"image_shape": (3, 4, 4)}, "leave no pixel after C1"),
        ({"bottleneck": 1025}, "F7 has 1024 inputs"),
        ({"bottleneck": 0}, "choose a width from 1"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"embedding": "F9"}, "no layer 'F9'"),
    ],
)
def test_what_cannot_be_built(changed: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        deepface(**{**MINI, **changed})


def test_a_narrow_bottleneck_is_not_shut_by_the_first_steps() -> None:
    torch.manual_seed(0)
    net = deepface(**{**MINI, "bottleneck": 8, "num_classes": 50, "dropout": 0.0})
    image, label = torch.randint(256, (50, 3, 64, 64)), torch.arange(50)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(15):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(image), label).backward()
        optimizer.step()
    assert (net.features(image, ["F7"])["F7"] > 0).any(0).sum() >= 4
