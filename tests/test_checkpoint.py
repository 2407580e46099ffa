from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from invariantnets.checkpoint import load_checkpoint, load_model
from invariantnets.errors import InvariantNetsError
from invariantnets.module import InvariantNet
from invariantnets.trust import check_targets, targets

CONFIG: dict[str, Any] = {
    "model": {
        "_target_": "invariantnets.module.InvariantNet",
        "backbone": {"_target_": "invariantnets.backbones.lenet", "image_shape": [1, 16, 16], "embedding_dim": 8},
        "constraints": {
            "softmax": {"_target_": "invariantnets.constraints.Softmax", "layer": "ip2", "num_classes": 10}
        },
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.01},
        "scheduler": {"_target_": "invariantnets.module.inverse_decay", "_partial_": True},
    },
    "data": {
        "_target_": "invariantnets.data.RotatedImages",
        "source": {"_target_": "invariantnets.data.sources.digits", "_partial_": True},
        "num_classes": 10,
        "image_shape": [1, 28, 28],
        "angles": [0, 15],
    },
    "choices": {"model": "lenet", "data": "rotated_digits"},
}


def make_model() -> InvariantNet:
    torch.manual_seed(0)
    return instantiate(CONFIG["model"], _convert_="all")


def contents(**changes: Any) -> dict[str, Any]:
    """What Lightning saves, as far as it matters here."""
    ours = {"format": 1, "config": copy.deepcopy(CONFIG), "wandb_id": None}
    return {"state_dict": make_model().state_dict(), "epoch": 3, "invariantnets": ours, **changes}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "best.ckpt"


def refused(path: Path) -> str:
    with pytest.raises(InvariantNetsError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def test_a_network_comes_back_as_it_was(path: Path) -> None:
    model, image = make_model().eval(), torch.randint(256, (4, 3, 1, 16, 16), dtype=torch.uint8)
    torch.save(contents(), path)
    loaded, config = load_model(path)
    assert config == CONFIG and loaded.config == CONFIG and not loaded.training
    for name, x in model.layers(image, model.backbone.layer_names).items():
        assert torch.equal(loaded.layers(image, [name])[name], x)


def test_missing(path: Path) -> None:
    assert "no such checkpoint; give ckpt_path=" in refused(path)
    assert "no such checkpoint" in refused(path.parent)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_truncated(path: Path, share: float) -> None:
    torch.save(contents(), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "nothing of it was run" in (message := refused(path)) or "truncated or damaged" in message


def test_of_a_damaged_one_the_newest_beside_it_is_named(path: Path) -> None:
    path.write_bytes(b"")
    for age, name in enumerate(("last.ckpt", "older.ckpt")):
        (other := path.with_name(name)).write_bytes(b"")
        os.utime(other, (1000 - age, 1000 - age))
    assert refused(path).endswith(f"try ckpt_path={path.with_name('last.ckpt')} in its place")


@pytest.mark.parametrize("start", range(0, 1000, 50))
def test_overwritten_bytes_never_end_in_another_error(path: Path, start: int) -> None:
    torch.save(contents(), path)
    data = bytearray(path.read_bytes())
    data[start : start + 8] = b"\x93R.)\x85\xff}]"
    path.write_bytes(bytes(data))
    try:
        load_checkpoint(path)  # some bytes are padding
    except InvariantNetsError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    "foreign",
    [
        {"weight": torch.zeros(3)},
        torch.zeros(3),
        [1, 2],
        {"state_dict": {}, "epoch": 3, "pytorch-lightning_version": "2.6.6", "hyper_parameters": {}},
        {"invariantnets": {}},
    ],
    ids=["plain weights", "tensor", "list", "another Lightning module", "no weights"],
)
def test_foreign(path: Path, foreign: object) -> None:
    torch.save(foreign, path)
    assert "not written by invariantnets" in (message := refused(path)) and "features=<table>" in message


@pytest.mark.parametrize("content", [b"hello", b"\x80\x02N.", b"PK\x03\x04" + b"x" * 100])
def test_no_checkpoint_at_all(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("ours", [None, [], {}, {"config": None}, {"config": {"model": {}}}, {"config": {"model": 1}}])
def test_a_configuration_without_its_parts(path: Path, ours: object) -> None:
    torch.save(contents(invariantnets=ours), path)
    assert "its configuration has no part" in refused(path)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.proof,)


@pytest.mark.parametrize("protocol", [None, 2, 4], ids=["zip", "plain pickle 2", "plain pickle 4"])
@pytest.mark.parametrize("place", ["beside", "inside", "alone"])
def test_a_pickled_payload_never_runs(path: Path, protocol: int | None, place: str) -> None:
    proof = path.with_name("proof")
    payload = Payload(proof)
    content = {"beside": contents(extra=payload), "inside": contents(invariantnets=payload), "alone": payload}[place]
    if protocol is None:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol))
    assert "nothing of it was run" in refused(path)
    assert not proof.exists()
    _ = torch.load(path, weights_only=False) if protocol is None else pickle.loads(path.read_bytes())
    assert proof.exists(), "the payload does work where it is run"


EVIL = [
    "os.system",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "torch.optim.sgd.torch.load",
    "torch.optimum.anything",
    "torch.optim",
    "invariantnets.data.sources.hashlib",
    "invariantnets.data.sources.hashlib.new",
    "invariantnets.data.sources.Path",
    "invariantnets.data.sources.np.load",
    "invariantnets.data.banked.pl.Trainer",
    "invariantnets.module.pl.utilities.cloud_io.torch.load",
    "invariantnets.data.RotatedImages.load_from_checkpoint",
    "invariantnets.data.sources.digits.__globals__",
    "invariantnets.data.sources.digits.__class__",
    "invariantnets.data.sources.digits.__builtins__",
    "invariantnets.data.no_such_thing",
    "invariantnets.database.anything",
    "invariantnets.run.train",
    "invariantnets.files.write_atomically",
    "",
    "${oc.env:HOME}",
]


@pytest.mark.parametrize("target", EVIL)
@pytest.mark.parametrize("where", ["model", "backbone", "list", "data"])
def test_targets_outside_the_allow_list_are_refused(path: Path, target: str, where: str) -> None:
    content = contents()
    config, node = content["invariantnets"]["config"], {"_target_": target, "_args_": ["true"]}
    if where == "model":
        config["model"] = node
    elif where == "data":
        config["data"]["source"] = node
    elif where == "backbone":
        config["model"]["backbone"] = node
    else:
        config["model"]["extra"] = [{"deep": [node]}]
    torch.save(content, path)
    message = refused(path)
    assert "configuration" in message or f"target {target} does not exist here" in message


@pytest.mark.parametrize(
    "text",
    ["${oc.create:{_target_:os.system,_args_:[true]}}", "${oc.decode:'{a: 1}'}", "${a}", "x${oc.env:HOME}"],
)
def test_interpolations_are_refused(path: Path, text: str) -> None:
    """``oc.create`` makes a node with a target of which nothing is seen before it is called."""
    content = contents()
    content["invariantnets"]["config"]["model"]["backbone"]["embedding"] = [{"a": text}]
    torch.save(content, path)
    assert "interpolation" in refused(path)


def test_every_target_of_ours_is_trusted() -> None:
    check_targets(CONFIG, "config")
    assert len(list(targets(CONFIG))) == 7


@pytest.mark.parametrize("change", ["narrower", "missing", "unexpected"])
def test_weights_that_do_not_fit(path: Path, change: str) -> None:
    content = contents()
    if change == "narrower":
        content["invariantnets"]["config"]["model"]["backbone"]["embedding_dim"] = 7
    elif change == "missing":
        del content["state_dict"]["backbone.layers.ip2.bias"]
    else:
        content["state_dict"]["backbone.layers.ip3.bias"] = torch.zeros(3)
    torch.save(content, path)
    assert "the weights do not fit the network of its own configuration" in refused(path)
