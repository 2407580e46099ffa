from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from invariantnets.backbones import LayeredBackbone, lenet
from invariantnets.errors import InvariantNetsError

SHAPES = {
    "input": (1, 28, 28),
    "conv1": (20, 24, 24),
    "pool1": (20, 12, 12),
    "conv2": (50, 8, 8),
    "pool2": (50, 4, 4),
    "ip1": (500,),
    "ip2": (10,),
}


def images(count: int = 3, shape: tuple[int, int, int] = (1, 28, 28)) -> torch.Tensor:
    return torch.randint(256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_caffes_number_of_parameters() -> None:
    assert sum(p.numel() for p in lenet().parameters()) == 431_080


def test_shapes_and_order_of_all_layers() -> None:
    net = lenet()
    assert net.layer_names == list(SHAPES)
    found = net.features(images(), set(SHAPES))
    assert {name: tuple(x.shape[1:]) for name, x in found.items()} == SHAPES
    assert list(found) == list(SHAPES), "in order of execution"
    assert torch.equal(net(images()), found["ip2"])
    assert torch.equal(found["input"], images().float() / 256)


def test_agrees_with_the_layers_written_out() -> None:
    net, f = lenet(), nn.functional
    x = images().float() / 256
    weights = dict(net.named_parameters())
    x = f.max_pool2d(f.conv2d(x, weights["layers.conv1.weight"], weights["layers.conv1.bias"]), 2)
    x = f.max_pool2d(f.conv2d(x, weights["layers.conv2.weight"], weights["layers.conv2.bias"]), 2)
    ip1 = f.relu(x.flatten(1) @ weights["layers.ip1.1.weight"].T + weights["layers.ip1.1.bias"])
    ip2 = ip1 @ weights["layers.ip2.weight"].T + weights["layers.ip2.bias"]
    found = net.features(images(), ["ip1", "ip2"])
    torch.testing.assert_close(found["ip1"], ip1)
    torch.testing.assert_close(found["ip2"], ip2)


def test_ip1_is_taken_after_the_relu() -> None:
    x = lenet().features(images(50), ["ip1"])["ip1"]
    assert (x >= 0).all() and (x == 0).any() and (x > 0).any()


@pytest.mark.parametrize("last", list(SHAPES))
def test_nothing_after_the_last_layer_is_computed(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = lenet()
    later = net.layer_names[net.layer_names.index(last) + 1 :]

    def refuse(*args: object) -> None:
        raise AssertionError("computed in vain")

    for name in later:
        monkeypatch.setattr(net.layers[name], "forward", refuse)
    assert list(net.features(images(), [last])) == [last]
    if later:
        with pytest.raises(AssertionError, match="in vain"):
            net.features(images(), [last, later[0]])


def test_xavier_by_fan_in_and_no_bias() -> None:
    torch.manual_seed(0)
    for name, parameter in lenet().named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            bound = math.sqrt(3 / parameter[0].numel())
            assert 0.98 * bound < parameter.abs().max() <= bound
            assert parameter.var().item() == pytest.approx(bound**2 / 3, rel=0.15)


@pytest.mark.parametrize("width", [1, 32, 128, 777])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 20), (1, 16, 16)])
def test_any_width_and_image(width: int, shape: tuple[int, int, int]) -> None:
    net = lenet(shape, num_classes=7, embedding_dim=width)
    found = net.features(images(2, shape), ["ip1", "ip2"])
    assert found["ip1"].shape == (2, width) and found["ip2"].shape == (2, 7)


@pytest.mark.parametrize("shape", [(1, 15, 28), (1, 28, 15), (3, 1, 1)])
def test_small_images_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InvariantNetsError, match="at least 16×16"):
        lenet(shape)


@pytest.mark.parametrize("width", [0, -3])
def test_impossible_widths_are_refused(width: int) -> None:
    with pytest.raises(InvariantNetsError, match=f"embedding_dim={width}"):
        lenet(embedding_dim=width)


def test_unknown_layers_are_refused_with_the_known_ones() -> None:
    known = "conv1, pool1, conv2, pool2, ip1, ip2"
    with pytest.raises(InvariantNetsError, match=f"no layer 'ip9'; this network has input, {known}"):
        lenet().features(images(), ["ip1", "ip9"])
    with pytest.raises(InvariantNetsError, match="no layer 'fc'"):
        lenet(embedding="fc")
    with pytest.raises(InvariantNetsError, match="no layer 'scores'"):
        LayeredBackbone({"a": nn.Flatten()}, embedding="a", classifier="scores")


def test_any_layer_can_be_the_embedding() -> None:
    for name in SHAPES:
        assert lenet(embedding=name).embedding == name


# The second half of the embedding ---------------------------------------------------------------------------


def test_kept_reads_pool2_and_nothing_reads_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = lenet(kept_dim=7, embedding_norm=8.0, embedding_noise=0.5, conv2_relu=True)
    assert net.layer_names == ["input", "conv1", "pool1", "conv2", "pool2", "kept", "ip1", "noise", "ip2"]
    found = net.eval().features(images(), net.layer_names)
    linear = net.layers["kept"][1]
    expected = (found["pool2"].flatten(1) @ linear.weight.T + linear.bias).relu()
    torch.testing.assert_close(found["kept"], expected)
    whole = lenet(embedding_norm=8.0, embedding_noise=0.5, conv2_relu=True).eval()
    whole.load_state_dict({k: x for k, x in net.state_dict().items() if "kept" not in k})
    for name in ("pool2", "ip1", "ip2"):
        assert torch.equal(whole.features(images(), [name])[name], found[name]), "the chain is LeNet's"

    def refuse(*args: object) -> None:
        raise AssertionError("computed in vain")

    monkeypatch.setattr(net.layers["ip1"], "forward", refuse)
    assert torch.equal(net.features(images(), ["kept"])["kept"], found["kept"])
    monkeypatch.undo()
    monkeypatch.setattr(net.layers["kept"], "forward", refuse)
    assert torch.equal(net(images()), found["ip2"])


@pytest.mark.parametrize("width", [0, -3])
def test_impossible_widths_of_kept_are_refused(width: int) -> None:
    with pytest.raises(InvariantNetsError, match=f"kept_dim={width}"):
        lenet(kept_dim=width)


def test_an_aside_that_is_no_layer_is_refused() -> None:
    with pytest.raises(InvariantNetsError, match="no layer 'side'"):
        LayeredBackbone({"a": nn.Flatten()}, embedding="a", classifier="a", asides=["side"])
