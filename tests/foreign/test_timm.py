"""Networks of timm, against timm's own forward."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import timm as library
import torch
from safetensors.torch import save_file
from torch import Tensor

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import Preprocessing, timm

NAMES = ["test_resnet", "test_vit", "test_vit3", "test_convnext", "test_efficientnet", "test_byobnet", "test_mambaout"]


def pictures(count: int = 2, side: int = 180) -> Tensor:
    return torch.randint(256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_the_embedding_is_timms_pre_logits(name: str) -> None:
    net = timm(name, seed=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        own = library.create_model(name).eval()
    usual = own.pretrained_cfg
    assert net.prepare == Preprocessing(
        usual["input_size"][1], usual["mean"], usual["std"], usual["interpolation"], usual["crop_pct"]
    )
    x = net.prepare(pictures())
    found = net.features(pictures(), [net.embedding, net.classifier or ""])
    maps = own.forward_features(x)
    torch.testing.assert_close(found[net.embedding].flatten(1), own.forward_head(maps, pre_logits=True))
    torch.testing.assert_close(found[net.classifier or ""], own(x))


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_a_network_without_a_classifier_is_read_at_its_output(name: str) -> None:
    """As DINOv2 comes: the last linear map is then one inside its last block."""
    net = timm(name, num_classes=0)
    assert net.embedding == "output"
    own, x = net.network, net.prepare(pictures())
    expected = own.forward_head(own.forward_features(x), pre_logits=True)
    torch.testing.assert_close(net.features(pictures(), ["output"])["output"], expected)


@torch.no_grad()
def test_layers_are_modules_by_their_names() -> None:
    net = timm("test_resnet", image_size=64, crop=1)
    found = net.features(pictures(side=64), ["layer2", "layer4.0.bn1", "global_pool"])
    own, x = net.network, net.prepare(pictures(side=64))
    layer1 = own.layer1(own.maxpool(own.act1(own.bn1(own.conv1(x)))))
    torch.testing.assert_close(found["layer2"], own.layer2(layer1))
    torch.testing.assert_close(found["global_pool"], own.forward_head(own.forward_features(x), pre_logits=True))
    assert net.layer_names[0] == "input" and net.layer_names[-1] == "global_pool"
    assert net.record["library"] == "timm" and net.record["preprocessing"]["crop"] == 1


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_weights_out_of_a_file(ending: str, tmp_path: Path) -> None:
    one, file = timm("test_vit", seed=1, num_classes=5), tmp_path / f"weights.{ending}"
    state = one.network.state_dict()
    save_file(state, file) if ending == "safetensors" else torch.save(state, file)
    two = timm("test_vit", file, seed=2, num_classes=5)
    assert torch.equal(*(net.features(pictures(), [net.embedding])[net.embedding] for net in (one, two)))
    assert two.record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert one.untrained is None, "its weights are random already"
    assert two.untrained is not None
    twin = two.untrained()
    assert twin.layer_names == two.layer_names and twin.record["weights"] is None
    assert not torch.equal(*(net.features(pictures(), [net.embedding])[net.embedding] for net in (two, twin)))


def test_another_size_is_told_to_those_that_are_made_for_one() -> None:
    net = timm("test_vit", image_size=96)
    assert net.prepare.size == 96
    assert net.features(pictures(), ["norm"])["norm"].shape[1] == (96 // 16) ** 2 + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet-18"}, "timm has no such network, and nothing is downloaded; did you mean resnet18"),
        ({"name": "hf-hub:timm/resnet18"}, "timm has no such network, and nothing is downloaded"),
        ({"name": "resnet18.a1_in2k"}, "timm has no weights 'a1_in2k' of resnet18; did you mean a1_in1k"),
        ({"name": "test_vit", "image_size": 33}, "pictures of 33×33|test_vit cannot be made"),
        ({"name": "test_resnet", "mean": [1, 2]}, "backbone.mean=.*give three numbers"),
        ({"name": "test_resnet", "crop": 2}, "backbone.crop=2: give the fraction"),
        ({"name": "test_resnet", "embedding": "pool"}, "no layer 'pool' in this network; did you mean"),
        ({"name": "test_resnet", "weights": "none.pth"}, "none.pth: there is no such file"),
        ({"name": "test_resnet", "weights": __file__}, "test_timm.py: damaged, or holds more than tensors"),
    ],
)
def test_mistakes_are_said_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message) as caught:
        timm(**options)
    assert "\n" not in str(caught.value)


def test_a_damaged_safetensors(tmp_path: Path) -> None:
    file = tmp_path / "half.safetensors"
    save_file(timm("test_resnet").network.state_dict(), file)
    file.write_bytes(file.read_bytes()[:10_000])
    with pytest.raises(InvariantNetsError, match="half.safetensors: damaged, or no safetensors"):
        timm("test_resnet", file)
