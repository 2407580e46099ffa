"""Networks of torchvision, against torchvision's own forward."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms.v2 import functional as T

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import ModuleBackbone, Preprocessing, torchvision
from invariantnets.results.result import read_jsonl
from programs import RIDGE, ROOT, run

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def pictures(count: int = 3, side: int = 40, channels: int = 3) -> Tensor:
    shape = (count, channels, side, side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def prepared(image: Tensor, size: int) -> Tensor:
    """By torchvision's own transforms."""
    image = image.expand(-1, 3, -1, -1)
    return T.normalize(T.resize(image.float() / 255, [size, size], antialias=True), MEAN, STD)


@pytest.fixture(scope="module")
def resnet() -> ModuleBackbone:
    return torchvision("resnet18", image_size=32, seed=3)


@torch.no_grad()
def test_resnets_layers_are_those_of_its_own_forward_written_out(resnet: ModuleBackbone) -> None:
    net, x = resnet.network, prepared(pictures(), 32)
    assert isinstance(net, models.ResNet)
    conv1 = net.conv1(x)
    bn1 = net.bn1(conv1)
    relu = bn1.clamp(min=0)
    layer1 = net.layer1(net.maxpool(relu))
    layer3 = net.layer3(net.layer2(layer1))
    avgpool = net.avgpool(net.layer4(layer3))
    inner = net.layer1[0].bn1(net.layer1[0].conv1(net.maxpool(relu)))
    expected = {
        "input": x, "conv1": conv1, "bn1": bn1, "relu": relu, "layer1.0.bn1": inner, "layer1": layer1,
        "layer3": layer3, "avgpool": avgpool, "fc": net(x),
    }  # fmt: skip
    found = resnet.features(pictures(), set(expected))
    assert list(found) == list(expected), "in order of execution"
    for name, value in expected.items():  # bn1 before the ReLU that works in place on it
        torch.testing.assert_close(found[name], value, msg=name)
        torch.testing.assert_close(resnet.features(pictures(), [name])[name], value, msg=f"{name} alone")


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "size", "listed", "embedding", "width", "classifier"),
    [
        ("resnet18", 32, "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4 avgpool", "avgpool", 512, "fc"),
        ("vgg11", 32, "features avgpool classifier.5", "classifier.5", 4096, "classifier.6"),
        ("mobilenet_v3_small", 32, "features avgpool classifier.2", "classifier.2", 1024, "classifier.3"),
        ("vit_b_16", 32, "conv_proj encoder heads.head.input", "heads.head.input", 768, "heads.head"),
        ("densenet121", 32, "features classifier.input", "classifier.input", 1024, "classifier"),
        ("googlenet", 32, None, "dropout", 1024, "fc"),
    ],
)
def test_networks_of_many_kinds(
    name: str, size: int, listed: str | None, embedding: str, width: int, classifier: str
) -> None:
    net = torchvision(name, image_size=size)
    assert (net.embedding, net.classifier) == (embedding, classifier)
    assert listed is None or net.layer_names == ["input", *listed.split()]
    found = net.features(pictures(2), [embedding, classifier])
    assert found[embedding].flatten(1).shape == (2, width)
    torch.testing.assert_close(found[classifier], net.network(prepared(pictures(2), size)))
    last = net.network.get_submodule(classifier)
    torch.testing.assert_close(last(found[embedding].flatten(1)), found[classifier])
    assert list(net.features(pictures(2), net.layer_names)) == net.layer_names


def test_nothing_after_the_last_layer_is_computed(resnet: ModuleBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("computed in vain")

    monkeypatch.setattr(resnet.network.layer4, "forward", refuse)
    assert set(resnet.features(pictures(), ["layer3", "conv1"])) == {"layer3", "conv1"}
    with pytest.raises(AssertionError, match="in vain"):
        resnet.features(pictures(), ["layer4"])
    assert hooks(resnet) == 0, "gone after an exception too"


def hooks(net: ModuleBackbone) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.network.modules())


def test_the_network_is_never_changed() -> None:
    torch.manual_seed(5)
    plain = models.resnet18(weights=None).eval()
    before = {key: value.clone() for key, value in plain.state_dict().items()}
    scores = plain(prepared(pictures(), 32))
    net = ModuleBackbone(plain, Preprocessing(32))
    net.features(pictures(), ["bn1", "layer2.0.relu", "avgpool"])
    assert hooks(net) == 0
    assert all(torch.equal(value, before[key]) for key, value in plain.state_dict().items())
    assert torch.equal(plain(prepared(pictures(), 32)), scores)


def test_a_module_that_runs_twice_gives_what_it_returned_last(resnet: ModuleBackbone) -> None:
    found = resnet.features(pictures(), ["layer1.0.relu", "layer1.0"])
    assert torch.equal(found["layer1.0.relu"], found["layer1.0"])


def test_grey_is_repeated_and_other_channels_are_refused(resnet: ModuleBackbone) -> None:
    grey = pictures(channels=1)
    one, three = (resnet.features(x, ["avgpool"])["avgpool"] for x in (grey, grey.expand(-1, 3, -1, -1)))
    assert torch.equal(one, three)
    with pytest.raises(InvariantNetsError, match="pictures of 2 channels"):
        resnet.features(pictures(channels=2), ["avgpool"])


def test_random_weights_are_those_of_the_seed_and_disturb_nothing() -> None:
    state = torch.get_rng_state()
    one, same, other = (torchvision(image_size=32, seed=seed).network.state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


def test_weights_out_of_a_file(tmp_path: Path, resnet: ModuleBackbone) -> None:
    file = tmp_path / "weights.pth"
    torch.save(resnet.network.state_dict(), file)
    net = torchvision("resnet18", file, image_size=32, seed=9)
    assert torch.equal(*(n.features(pictures(), ["avgpool"])["avgpool"] for n in (net, resnet)))
    assert net.record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert net.record["network"] == "resnet18, weights.pth" and "seed" not in net.record
    assert resnet.record["weights"] is None and resnet.record["seed"] == 3
    assert json.loads(json.dumps(net.record)) == {**net.record, "preprocessing": {
        "size": 32, "mean": MEAN, "std": STD, "interpolation": "bilinear", "crop": None, "shift": 0.0,
        "scale": 1 / 255, "channels": "rgb"}}  # fmt: skip


def test_the_usual_size_is_the_networks_own() -> None:
    assert torchvision("squeezenet1_1").prepare.size == 224
    own = torchvision("squeezenet1_1", image_size=48, mean=[0.5, 0.5, 0.5], std=[0.2, 0.2, 0.2]).prepare
    assert own == Preprocessing(48, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


class Mischief:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('was run')",)


def test_mistakes_are_said_in_one_line(tmp_path: Path, resnet: ModuleBackbone) -> None:
    state = resnet.network.state_dict()
    torch.save({k: v for k, v in state.items() if not k.startswith("layer4.1")}, tmp_path / "short.pth")
    torch.save({**state, "fc.weight": torch.zeros(10, 512), "head": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save({"model": state}, tmp_path / "nested.pth")
    torch.save({"x": Mischief()}, tmp_path / "mischief.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "short.pth").read_bytes()[:5000])
    cases = {
        "lacks layer4.1.conv1.weight and 11 more": {"weights": tmp_path / "short.pth"},
        "has beside them head; has in another shape fc.weight": {"weights": tmp_path / "other.pth"},
        "nested.pth: is no state_dict": {"weights": tmp_path / "nested.pth"},
        "mischief.pth: damaged, or holds more than tensors, and was not run": {"weights": tmp_path / "mischief.pth"},
        "half.pth: damaged": {"weights": tmp_path / "half.pth"},
        "none.pth: there is no such file": {"weights": tmp_path / "none.pth"},
        "did you mean resnet18": {"name": "resnet-18"},
        "no layer 'avg_pool' in this network; did you mean avgpool": {"embedding": "avg_pool"},
        r"does not take pictures of 32×32": {"name": "alexnet", "image_size": 32},
        r"vit_b_16 is not made for pictures of 33×33": {"name": "vit_b_16", "image_size": 33},
        r"backbone.mean=\[0.5\]: give three numbers": {"mean": [0.5]},
    }
    for message, options in cases.items():
        with pytest.raises(InvariantNetsError, match=message) as caught:
            torchvision(**{"image_size": 32, **options})
        assert "\n" not in str(caught.value)
    with pytest.raises(InvariantNetsError, match="no linear map"):
        ModuleBackbone(nn.Flatten(), Preprocessing(8))


TINY = (
    "backbone=torchvision", "backbone.image_size=32", "data=rotated_digits", "data.classes=[0,1,2]",
    "data.num_classes=3", "data.angles=[-40,0,40]", "probe_images=60",
    *RIDGE,
)  # fmt: skip


def test_the_program_probes_a_network_that_was_not_trained_here(tmp_path: Path) -> None:
    torch.save(torchvision(image_size=32, seed=4, num_classes=7).network.state_dict(), tmp_path / "seven.pth")
    weights = ("backbone.weights=seven.pth", "backbone.num_classes=7")
    out, _ = run("evaluate.py", *TINY, *weights, "layers=[layer3.0.bn2,avgpool]", "hydra.run.dir=out", cwd=tmp_path)
    assert out.splitlines()[-1] == str(tmp_path / "out" / "report.html")
    every = read_jsonl(tmp_path / "out" / "results.jsonl")
    results = [r for r in every if not r.subject]
    beside = {(r.subject, r.layer) for r in every if r.subject}
    random = {("random weights", layer) for layer in ("layer3.0.bn2", "avgpool")}
    assert beside == {*random, ("pixels", "pixels")}
    assert {r.layer for r in results} == {"layer3.0.bn2", "avgpool"}
    assert "softmax" not in {r.probe for r in results}, "its own classes are others"
    read = {r.layer: r.value for r in results if (r.target, r.probe, r.metric) == ("angle", "strongest", "r2")}
    assert all(0.3 < value < 1 for value in read.values()), read
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert record["name"] == "resnet18, seven.pth on rotated_digits"
    network = record["config"]["network"]
    assert network["sha256"] == hashlib.sha256((tmp_path / "seven.pth").read_bytes()).hexdigest()
    assert network["preprocessing"]["size"] == 32 and record["data_checksum"]["rotated_digits"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*TINY, "layers=[layer9]"], "there is no layer 'layer9' in this network; did you mean layer"),
        (["backbone=torchvision"], "add data=<a data set>"),
    ],
)
def test_the_programs_mistakes_are_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    _, err = run("evaluate.py", *words, cwd=tmp_path, code=2)
    assert message in err.splitlines()[-1]


def test_the_example_of_the_docs() -> None:
    """A class that inherits nothing is probed; its layers are what it says."""
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "from_backbone" in code)
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    frame = namespace["results"].to_frame()
    assert set(frame.layer) == {"pixels", "blurred"}
    read = frame[(frame.target == "angle") & (frame.probe == "ridge") & (frame.metric == "r2") & (frame.status == "ok")]
    assert len(read) == 2 and (read.value > 0.5).all(), read
    assert namespace["results"].record["name"] == "blur on digits"
