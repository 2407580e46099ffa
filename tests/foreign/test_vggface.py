from __future__ import annotations

from pathlib import Path

import pytest
import torch

from invariantnets.backbones import vggface
from invariantnets.backbones.convolutional import VGGFACE_MEAN
from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import published_vggface
from invariantnets.foreign.published_vggface import _network

FILTERS, WIDTH, CLASSES = (2, 3, 4, 5, 6), 9, 4


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan, without its 145 million weights."""
    monkeypatch.setitem(published_vggface.__globals__, "_network", lambda *_: _network(FILTERS, WIDTH, CLASSES))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    torch.save(_network(FILTERS, WIDTH, CLASSES).state_dict(), tmp_path / "vgg_face.pth")
    return tmp_path / "vgg_face.pth"


def test_it_has_the_weights_of_vgg_16() -> None:
    with torch.device("meta"):
        network = _network((64, 128, 256, 512, 512), 4096, 1000)
    assert sum(p.numel() for p in network.parameters()) == 138_357_544
    assert [*network.state_dict()][:2] == ["conv1_1.weight", "conv1_1.bias"]


def test_it_is_the_network_that_is_trained_here(weights: Path) -> None:
    """With the same weights and picture, layer by layer."""
    found = published_vggface(weights, CLASSES, crop=None).eval()
    same = vggface((3, 224, 224), CLASSES, FILTERS, WIDTH, WIDTH).eval()
    state = {key.split(".")[1]: layer for key, layer in same.named_modules() if key.count(".") == 1}
    for name, values in torch.load(weights).items():
        layer, part = name.split(".")
        with torch.no_grad():
            next(p for n, p in state[layer].named_parameters() if n.endswith(part)).copy_(values)
    image = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    for theirs, ours in (("relu1_1", "conv1_1"), ("pool5", "pool5"), ("relu7", "fc7"), ("fc8", "fc8")):
        left, right = found.features(image, [theirs])[theirs], same.features(image, [ours])[ours]
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-3)
    assert found.embedding == "relu7" and found.classifier == "fc8"


def test_pictures_are_cut_out_and_their_mean_is_taken_off() -> None:
    mean = torch.tensor(VGGFACE_MEAN)[:, None, None]
    image = (mean.round() * torch.ones(1, 3, 64, 64)).to(torch.uint8)
    found = published_vggface(None, CLASSES).features(image, ["input"])["input"]
    assert found.shape == (1, 3, 224, 224) and found.abs().max() < 0.5


def test_the_record_says_where_the_weights_came_from(weights: Path) -> None:
    assert published_vggface(weights, CLASSES).record["network"] == "vggface, vgg_face.pth"
    assert published_vggface(None, CLASSES).record["network"] == "vggface, random weights"


def test_a_file_of_another_layout_is_one_line(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(InvariantNetsError, match=r"other\.pth: not the weights of vggface.*lacks conv1_1\.weight"):
        published_vggface(tmp_path / "other.pth", CLASSES)
