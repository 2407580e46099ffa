"""Neurons that are silenced within a network: what comes out is what would come out, and no hook stays."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from invariantnets.backbones import LayeredBackbone, lenet
from invariantnets.backbones.locally_connected import LocallyConnected2d
from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.dlib_face import DlibFace
from invariantnets.foreign.module_backbone import ModuleBackbone
from invariantnets.foreign.preprocessing import declared
from invariantnets.inspection.neuron_rows import kind_of, neurons
from invariantnets.inspection.neuron_silencing import together
from invariantnets.inspection.silencing import place_of, silenced
from invariantnets.randomness import torch_rng

PICTURES = torch.randint(0, 256, (3, 1, 28, 28), generator=torch_rng(0), dtype=torch.uint8)


@pytest.fixture
def network() -> LayeredBackbone:
    torch.manual_seed(0)
    return lenet(num_classes=3, embedding_dim=40).eval()


def of(network: Any, layer: str, pictures: Tensor = PICTURES) -> Any:
    x = network.features(pictures, [layer])[layer]
    kind = kind_of(network, layer, x)
    mean = neurons(x, kind).mean(0).detach().double().numpy()
    return SimpleNamespace(name=layer, kind=kind, width=len(mean), mean=mean)


def room(network: Any, layer: str, pictures: Tensor = PICTURES, rows: int = 100) -> int:
    return together(SimpleNamespace(network=network), of(network, layer, pictures), pictures[:2], rows)


@torch.inference_mode()
def test_a_silenced_channel_is_what_it_is_told_at_every_place(network: LayeredBackbone) -> None:
    x = network.features(PICTURES, ["pool2"])["pool2"]
    keep = torch.ones(2, 50, dtype=torch.bool)
    keep[1, [3, 7]] = False
    fill = torch.linspace(-1, 1, 50)
    with silenced(network, "pool2", keep, fill):
        found = network.features(PICTURES, ["ip1"])["ip1"]
    x[:, [3, 7]] = fill[[3, 7], None, None]
    assert torch.allclose(found[:3], network.features(PICTURES, ["ip1"])["ip1"], atol=1e-6)  # of another batch
    assert torch.allclose(found[3:], network.layers["ip1"](x), atol=1e-5)
    assert not torch.allclose(found[3:], found[:3], atol=1e-2)


@torch.inference_mode()
def test_a_number_of_a_flat_layer_and_of_a_local_map() -> None:
    torch.manual_seed(0)
    local = nn.Sequential(LocallyConnected2d(1, 2, (28, 28), 5), nn.ReLU())
    network = LayeredBackbone({"L": local, "F": nn.Sequential(nn.Flatten(), nn.Linear(1152, 4))}, "F", "F").eval()
    x = network.features(PICTURES, ["L"])["L"]
    assert kind_of(network, "L", x) == "numbers" and neurons(x, "numbers").shape == (3, 1152)
    keep = torch.ones(1, 1152, dtype=torch.bool)
    keep[0, 700] = False
    with silenced(network, "L", keep, torch.full((1152,), 5.0)):
        found = network.features(PICTURES, ["L", "F"])
    changed = x.flatten(1).clone()
    changed[:, 700] = 5
    assert torch.equal(found["L"].flatten(1), changed)
    assert torch.allclose(found["F"], network.layers["F"](changed), atol=1e-5)


@torch.inference_mode()
def test_a_network_of_the_users_and_what_its_classifier_is_given() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6), nn.Linear(6, 2)
    )
    network = ModuleBackbone(net, declared(28, 0.0, 1.0, channels="grey"))
    keep = torch.tensor([[True, False, True, True]])
    with silenced(network, "1", keep, torch.zeros(4)):
        found = network.features(PICTURES, ["4"])["4"]
    x = net[:4](network.prepare(PICTURES, torch.float32))
    x[:, 1] = 0
    assert torch.allclose(found, net[4](x), atol=1e-6)
    place = place_of(network, "5.input")
    assert place is not None and place.given and place.module is net[5]
    with silenced(network, "5.input", torch.zeros(1, 6, dtype=torch.bool), torch.full((6,), 2.0)):
        assert torch.equal(network.features(PICTURES, ["5.input"])["5.input"], torch.full((3, 6), 2.0))


def hooks(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


def test_no_hook_stays_where_something_raises(network: LayeredBackbone) -> None:
    with pytest.raises(InvariantNetsError, match=r"not 7 neurons"), torch.inference_mode():
        with silenced(network, "pool2", torch.ones(1, 7, dtype=torch.bool), torch.zeros(7)):
            network.features(PICTURES, ["ip1"])
    with pytest.raises(KeyError), silenced(network, "pool2", torch.ones(1, 50, dtype=torch.bool), torch.zeros(50)):
        raise KeyError("out of memory")
    assert hooks(network) == 0
    with pytest.raises(InvariantNetsError, match="'input' is no module"):
        with silenced(network, "input", torch.ones(1, 1, dtype=torch.bool), torch.zeros(1)):
            pass


class Shortcut(nn.Module):
    """A block within a map that is added to what went round it, and one that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.twice = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
        self.last, self.scores = nn.Flatten(), nn.Linear(4 * 26 * 26, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.first(x))
        found: Tensor = self.scores(self.last(self.twice(x + self.inner(x))))
        return found


@torch.inference_mode()
def test_what_can_be_silenced_together_alone_and_not_at_all(network: LayeredBackbone) -> None:
    torch.manual_seed(0)
    assert room(network, "pool2") > 8
    assert room(network, "pool2", rows=100_000) == (1 << 26) // (100_000 * 40)
    assert room(SimpleNamespace(features=network.features, embedding="ip1"), "pool2") == 0
    foreign = ModuleBackbone(Shortcut(), declared(28, 0.0, 1.0, channels="grey"))
    assert foreign.embedding == "last"
    assert room(foreign, "first") > 8 and room(foreign, "inner") == 1 and room(foreign, "twice") == 0
    assert hooks(network) == hooks(foreign.network) == 0


@torch.inference_mode()
def test_dlibs_network_by_its_levels() -> None:
    torch.manual_seed(0)
    network = DlibFace(declared(150, 0.0, 256.0, scale=1.0), {}).eval()
    pictures = PICTURES.expand(3, 3, 28, 28)
    plain = network.features(pictures, ["level0", "embedding"])
    keep = torch.ones(2, 256, dtype=torch.bool)
    keep[1, 10:] = False
    with silenced(network, "level0", keep, torch.zeros(256)):
        found = network.features(pictures, ["embedding"])["embedding"]
    left = torch.where(keep[1], plain["level0"], 0.0)
    assert torch.allclose(found[:3], plain["embedding"], atol=1e-4)
    assert torch.allclose(found[3:], network.head(left), atol=1e-4)


def test_neurons_of_tokens_and_maps() -> None:
    x = torch.arange(24.0).view(2, 3, 2, 2)
    network = SimpleNamespace()
    kind = partial(kind_of, network, "x")
    assert (kind(x), kind(x.flatten(2)), kind(x.flatten(1))) == ("channels", "tokens", "numbers")
    assert neurons(x, "channels")[0].tolist() == [1.5, 5.5, 9.5]
    assert neurons(x.flatten(2), "tokens").shape == (2, 4)
    assert np.isclose(float(neurons(x.flatten(2), "tokens")[0, 0]), 4.0)
