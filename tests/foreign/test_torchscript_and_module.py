"""Networks that are code: out of a TorchScript file, and out of a module of the user's own."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import ModuleBackbone, Preprocessing, module, torchscript

SAID = {"image_size": 16, "mean": 0.5, "std": 0.25}
PREPARE = Preprocessing(16, (0.5,) * 3, (0.25,) * 3)
SOURCE = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, width, 3), nn.Linear(width, 5)

    def forward(self, x):
        return F.normalize(self.fc(self.conv(x).relu().mean((2, 3))))


class Own:
    layer_names, embedding, classifier = ["mean"], "mean", None

    def features(self, image, names):
        return {"mean": image.float().mean((2, 3))}


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.fc = nn.Parameter(torch.ones(3)), nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(x.mean((2, 3)) * self.scale)


ready = nn.Sequential(nn.Flatten(), nn.Linear(768, 4), nn.ReLU(), nn.Linear(4, 2))

headless = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def net(width=8):
    return Net(width)


def wrong():
    return 3


def broken():
    raise OSError("no disk\\nat all")
"""


def pictures(count: int = 3) -> Tensor:
    return torch.randint(256, (count, 3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module in it."""
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "halves.py").write_text("def net(:\n")
    (tmp_path / "lacks.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("mine", None)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(196, 6)).eval()


def saved(network: nn.Module, path: Path, how: str = "trace") -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch now prefers torch.export
        compiled = torch.jit.trace(network, torch.zeros(1, 3, 16, 16)) if how == "trace" else torch.jit.script(network)
        compiled = torch.jit.freeze(compiled) if how == "freeze" else compiled
        torch.jit.save(compiled, path)
    return path


@torch.no_grad()
@pytest.mark.parametrize("how", ["trace", "script", "freeze"])
def test_what_a_torchscript_file_returns(how: str, network: nn.Module, tmp_path: Path) -> None:
    net = torchscript(saved(network, tmp_path / "net.pt", how), **SAID)
    assert net.layer_names == ["input", "output"] and net.embedding == "output" and net.untrained is None
    found = net.features(pictures(), ["input", "output"])
    torch.testing.assert_close(found["input"], PREPARE(pictures()))
    torch.testing.assert_close(found["output"], network(PREPARE(pictures())))
    assert net.record["network"] == "net.pt" and len(net.record["sha256"]) == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": None}, "backbone=torchscript needs its file: backbone.path="),
        ({"path": "none.pt"}, "none.pt: there is no such file"),
        ({"path": __file__}, "damaged, or no TorchScript"),
        ({"path": "half.pt"}, "half.pt: damaged, or no TorchScript"),
        ({"path": "state.pth"}, "state.pth: damaged, or no TorchScript .* give a state_dict to backbone=torchvision"),
        ({"image_size": None}, "a TorchScript file does not say .* backbone.image_size=112"),
        ({"mean": None, "std": None}, "does not say .* backbone.mean=.* backbone.std="),
        ({"image_size": 20}, "does not take pictures of 20×20"),
        ({"channels": "grey"}, "does not take pictures of 16×16 .* or backbone.channels"),
        ({"embedding": "3"}, "there is no layer '3' in this network; did you mean input, output"),
    ],
)
def test_mistakes_with_torchscript(
    options: dict[str, object], message: str, network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(network, tmp_path / "net.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "net.pt").read_bytes()[:3000])
    torch.save(network.state_dict(), tmp_path / "state.pth")
    with pytest.raises(InvariantNetsError, match=message) as caught:
        torchscript(**{"path": "net.pt", **SAID, **options})
    assert "\n" not in str(caught.value)


@torch.no_grad()
def test_a_module_of_the_current_folder(mine: Path) -> None:
    path = list(sys.path)
    net = module("mine:net", {"width": 12}, embedding="output", seed=3, **SAID)
    assert sys.path == path, "as it was"
    assert isinstance(net, ModuleBackbone)
    found = net.features(pictures(), ["conv", "fc", "fc.input", "output"])
    own, x = net.network, PREPARE(pictures())
    read = own.conv(x).relu().mean((2, 3))
    expected = {"conv": own.conv(x), "fc.input": read, "fc": own.fc(read), "output": own(x)}
    assert list(found) == list(expected), "in order of execution"
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    torch.testing.assert_close(found["output"].norm(dim=1), torch.ones(3))
    assert net.record["source"]["file"] == str(mine / "mine.py") and net.record["arguments"] == {"width": 12}
    assert module("mine:ready", **SAID).embedding == "2", "it returns class scores"
    assert module("mine:net", **SAID).embedding == "output", "which is normalised: no scores"
    assert module("mine:headless", **SAID).embedding == "output", "not what its last convolution reads"
    assert module("mine:Own").layer_names == ["mean"], "it prepares its pictures itself"


def test_the_same_network_with_random_weights(mine: Path) -> None:
    net = module("mine:net", **SAID)
    assert isinstance(net, ModuleBackbone) and net.untrained is not None
    twin = net.untrained()
    assert isinstance(twin, ModuleBackbone) and twin.layer_names == net.layer_names
    own, other = net.network.state_dict(), twin.network.state_dict()
    assert own.keys() == other.keys() and not any(torch.equal(own[key], other[key]) for key in own)
    odd = module("mine:Odd", **SAID)
    assert isinstance(odd, ModuleBackbone) and odd.untrained is None, "nobody knows how its scale is drawn"


def test_weights_out_of_a_file(mine: Path) -> None:
    one = module("mine:net", seed=1, **SAID)
    assert isinstance(one, ModuleBackbone)
    torch.save(one.network.state_dict(), "weights.pth")
    two = module("mine:net", weights="weights.pth", seed=2, **SAID)
    assert torch.equal(*(net.features(pictures(), ["output"])["output"] for net in (one, two)))
    assert isinstance(two, ModuleBackbone) and two.record["network"] == "mine:net, weights.pth"


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (None, {}, "backbone=module needs its place: backbone.target=package.module:factory"),
        ("mine.net", {}, "backbone.target=mine.net: write package.module:factory, with a colon"),
        ("mine:", {}, "backbone.target=mine:: write package.module:factory"),
        ("mein:net", {}, "mein cannot be imported .* it has to be in the current folder, or installed"),
        ("halves:net", {}, r"halves cannot be imported \(SyntaxError: .*\); mend it"),
        ("lacks:net", {}, "lacks cannot be imported .*nothing_of_this_name.*; mend it"),
        ("mine:nett", {}, "mine has no 'nett'; did you mean net"),
        ("mine:net", {"arguments": {"depth": 3}}, r"mine:net: it failed \(TypeError: .*'depth'.*\{'depth': 3\}"),
        ("mine:broken", {}, r"mine:broken: it failed \(OSError: no disk at all\)"),
        ("mine:wrong", {}, r"mine:wrong: gives a int, neither a nn.Module nor a network"),
        ("mine:net", {"image_size": None}, "mine:net: a module does not say .* backbone.image_size=112"),
        ("mine:net", {"image_size": 2}, "does not take pictures of 2×2"),
        ("mine:net", {"embedding": "fcc"}, "there is no layer 'fcc' in this network; did you mean fc"),
        ("mine:net", {"weights": "none.pth"}, "none.pth: there is no such file"),
    ],
)
def test_mistakes_with_a_module(target: str | None, options: dict[str, object], message: str, mine: Path) -> None:
    with pytest.raises(InvariantNetsError, match=message) as caught:
        module(target, **{**SAID, **options})
    assert "\n" not in str(caught.value)
