from __future__ import annotations

import pytest
import torch
from torch import nn

from invariantnets.backbones import FixedNorm, GaussianNoise, LearnedNoise, deepface, lenet
from invariantnets.errors import InvariantNetsError


def images(count: int = 40) -> torch.Tensor:
    return torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def made(**changes: object) -> nn.Module:
    torch.manual_seed(0)
    return lenet(embedding_dim=50, **changes)


def test_a_fixed_norm_keeps_directions() -> None:
    x = torch.randn(5, 7) * torch.tensor([[1e-6], [1.0], [3.0], [1e6], [0.0]])
    y = FixedNorm(8.0)(x)
    assert y.norm(dim=1).tolist() == pytest.approx([8.0] * 4 + [0.0])
    assert torch.nn.functional.cosine_similarity(x[1:4], y[1:4]).tolist() == pytest.approx([1.0] * 3)


def test_noise_has_its_sigma_whatever_the_input_and_only_in_training() -> None:
    torch.manual_seed(0)
    layer, x = GaussianNoise(0.5), 100 * torch.rand(400, 100)
    noise = layer(x) - x
    assert noise.std().item() == pytest.approx(0.5, rel=0.02) and noise.mean().item() == pytest.approx(0, abs=0.02)
    assert torch.equal(layer.eval()(x), x)


def test_learned_noise_has_a_sigma_for_each_component_that_can_be_learned() -> None:
    torch.manual_seed(0)
    layer, x = LearnedNoise(3, 0.5), 100 * torch.rand(20_000, 3)
    with torch.no_grad():
        layer.log_sigma += torch.tensor([0.0, 1.0, -1.0])
    wanted = 0.5 * torch.tensor([0.0, 1.0, -1.0]).exp()
    torch.testing.assert_close((layer(x) - x).std(0), wanted, rtol=0.03, atol=0)
    (0.5 * (layer(x) - x).square().mean(0)).sum().backward()
    torch.testing.assert_close(layer.log_sigma.grad, wanted.square(), rtol=0.05, atol=0)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedNorm(0.0), "norm=0.0: a length must be positive"),
        (lambda: GaussianNoise(-1.0), "sigma=-1.0: a standard deviation must not be negative"),
        (lambda: LearnedNoise(3, 0.0), "sigma=0.0: a standard deviation that is learned must start above 0"),
        (lambda: lenet(learned_noise=True), "sigma=0.0: a standard deviation that is learned"),
        (lambda: lenet(embedding_norm=-8), "norm=-8"),
        (lambda: lenet(embedding_noise=-0.5), "sigma=-0.5"),
    ],
)
def test_impossible_values_are_refused(make, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        make()


def test_lenet_is_caffes_unless_asked() -> None:
    plain = made()
    assert [type(layer) for layer in plain.layers["ip1"]] == [nn.Flatten, nn.Linear, nn.ReLU]
    assert type(plain.layers["pool2"]) is nn.MaxPool2d
    changed = made(embedding_norm=8.0, embedding_noise=0.5, conv2_relu=True)
    assert list(changed.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(changed.parameters(), plain.parameters(), strict=True))


def test_lenets_embedding_is_scaled_and_then_noisy() -> None:
    plain = made()
    expected = plain.features(images(), ["ip1"])["ip1"]
    expected = 8 * expected / expected.norm(dim=1, keepdim=True)
    net = made(embedding_norm=8.0, embedding_noise=0.5)
    torch.testing.assert_close(net.eval().features(images(), ["ip1"])["ip1"], expected)
    found = net.train().features(images(), ["ip1", "noise"])
    torch.testing.assert_close(found["ip1"], expected)
    noise = found["noise"] - expected
    assert noise.std().item() == pytest.approx(0.5, rel=0.1)
    found = net.eval().features(images(), ["ip1", "noise", "ip2"])
    assert torch.equal(found["ip1"], found["noise"])
    torch.testing.assert_close(found["ip2"], plain.layers["ip2"](expected))


def test_a_relu_after_pool2_belongs_to_it() -> None:
    plain, net = made(), made(conv2_relu=True)
    before = plain.features(images(), ["conv2", "pool2"])
    after = net.features(images(), ["conv2", "pool2"])
    assert torch.equal(after["conv2"], before["conv2"]) and (before["pool2"] < 0).any()
    assert torch.equal(after["pool2"], before["pool2"].relu())


def test_faces_can_be_embedded_so_too() -> None:
    torch.manual_seed(0)
    shape, kernels = (3, 64, 64), (5, 5, 5, 3, 3)
    net = deepface(shape, 5, (4, 4, 4, 4, 4), kernels, 20, embedding_norm=8.0, embedding_noise=0.5, learned_noise=True)
    x = torch.randint(256, (6, *shape), dtype=torch.uint8)
    assert net.eval()(x).isfinite().all()
    found = net.train().features(x, ["F7", "noise"])
    assert found["F7"].norm(dim=1).tolist() == pytest.approx([8.0] * 6, rel=1e-4)
    assert (found["noise"] - found["F7"]).std().item() == pytest.approx(0.5, rel=0.2)
