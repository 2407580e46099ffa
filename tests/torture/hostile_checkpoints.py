"""Checkpoints that would run code, look outside, write elsewhere or fill the machine."""

from __future__ import annotations

import copy
import os
import pickle
import random
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from trial import Trial
from yard import Yard, yard

__all__ = ["content", "trials"]

HUGE = 10**12
FORMAT = {"pytorch-lightning_version": "2.6.0", "epoch": 1, "global_step": 2}
CONFIG: dict[str, Any] = {
    "model": {
        "_target_": "invariantnets.module.InvariantNet",
        "backbone": {"_target_": "invariantnets.backbones.lenet", "image_shape": [1, 28, 28], "embedding_dim": 8},
        "constraints": {
            "softmax": {"_target_": "invariantnets.constraints.Softmax", "layer": "ip2", "num_classes": 10}
        },
        "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.01},
    },
    "data": {
        "_target_": "invariantnets.data.RotatedImages",
        "source": {"_target_": "invariantnets.data.sources.digits", "_partial_": True},
        "num_classes": 10,
        "image_shape": [1, 28, 28],
        "angles": [0, 15],
    },
    "choices": {"model": "lenet", "data": "rotated_digits"},
    "paths": {"data_dir": "data", "cache_dir": "cache", "output_dir": "/nowhere/run"},
}
FACES = {
    "_target_": "invariantnets.data.FacesTable",
    "table": "{home}/secret.csv",
    "root": "{home}/pictures",
    "num_classes": 2,
    "image_shape": [1, 28, 28],
    "cache_dir": "{home}/cache",
}
Content = dict[str, Any]
Change = Callable[[Content, Yard], object]  # of what a checkpoint holds


@cache
def weights() -> dict[str, torch.Tensor]:
    """Of the network of the configuration."""
    return dict(instantiate(CONFIG["model"], _convert_="all").state_dict())


def content() -> Content:
    """What a checkpoint of ours holds, as far as it matters here."""
    ours = {"format": 1, "config": copy.deepcopy(CONFIG), "wandb_id": None, "identities": []}
    training = {"optimizer_states": [], "lr_schedulers": [], "loops": {}, "callbacks": {}}
    return {**FORMAT, **training, "state_dict": {k: x.clone() for k, x in weights().items()}, "invariantnets": ours}


def filled(node: Any, place: Yard) -> Any:
    """With the paths of the yard in it."""
    if isinstance(node, dict):
        return {key: filled(value, place) for key, value in node.items()}
    return node.replace("{home}", str(place.home)) if isinstance(node, str) else node


def at(key: str, value: Any) -> Change:
    """The value of a dotted key of the configuration."""

    def change(found: Content, place: Yard) -> None:
        *parts, last = key.split(".")
        node = found["invariantnets"]["config"]
        for part in parts:
            node = node.setdefault(part, {})
        node[last] = filled(value, place)

    return change


def both(*changes: Change) -> Change:
    return lambda found, place: [change(found, place) for change in changes]


class Runs:
    """What calls something when it is unpickled."""

    def __init__(self, call: Callable[..., object], *given: object):
        self.call, self.given = call, given

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call, self.given


def call(target: str, /, **given: Any) -> dict[str, Any]:
    return {"_target_": target, **given}


def put(key: str, value: Callable[[Yard], Any]) -> Change:
    return lambda found, place: found.__setitem__(key, value(place))


def ours(**changes: Any) -> Change:
    return lambda found, place: found["invariantnets"].update(changes)


def weight(change: Callable[[torch.Tensor], torch.Tensor], name: str = "backbone.layers.ip2.bias") -> Change:
    return lambda found, place: found["state_dict"].update({name: change(found["state_dict"][name])})


def nested(depth: int) -> Any:
    node: Any = 1
    for _ in range(depth):
        node = {"a": node}
    return node


def laughs() -> Any:
    node: Any = [1]
    for _ in range(60):
        node = [node, node]
    return node


def endless(found: Content, place: Yard) -> None:
    node = found["invariantnets"]["config"]["data"]
    node["x"] = node


def link(name: str, target: str) -> Change:
    return lambda found, place: (place.work / name).symlink_to(target.format(home=place.home))


def giant(key: str, repeats: bool) -> Change:
    """A layer of 10¹² units, of weights that are there as often as one number is read again, or not at all."""

    def change(found: Content, place: Yard) -> None:
        at(key, HUGE)(found, place)
        for name, shape in (("ip1.1.weight", (HUGE, 800)), ("ip1.1.bias", (HUGE,)), ("ip2.weight", (10, HUGE))):
            found["state_dict"][f"backbone.layers.{name}"] = torch.zeros(1).expand(shape if repeats else 1)

    return change


EVIL: dict[str, tuple[Change, str]] = {
    "a call in a pickle": (put("x", lambda at: Runs(os.mkdir, str(at.canary))), "holds pickled objects"),
    "a shell in a pickle": (put("x", lambda at: Runs(subprocess.call, ["touch", str(at.canary)])), "pickled objects"),
    "eval in a pickle": (put("x", lambda at: Runs(eval, f"open({str(at.canary)!r}, 'w')")), "pickled objects"),
    "getattr in a pickle": (put("x", lambda at: Runs(getattr, "", "upper")), "pickled objects"),
    "torch.load in a pickle": (put("x", lambda at: Runs(torch.load, str(at.home / "secret.txt"))), "pickled objects"),
    "10 TB of bytes in a pickle": (put("x", lambda at: Runs(bytearray, 10**13)), "damaged"),
    "a call among the weights": (
        lambda found, at: found["state_dict"].update(x=Runs(os.mkdir, str(at.canary))),
        "pickled objects",
    ),
    "os.system": (at("model.backbone", call("os.system", command="touch ../canary")), "names os.system"),
    "builtins.exec": (at("data.source", call("builtins.exec", _partial_=True)), "names builtins.exec"),
    "positional arguments": (at("data.source", call("os.mkdir", _args_=["../canary"])), "_args_"),
    "a positional table": (at("data", call("invariantnets.data.FacesTable", _args_=["a", "b"])), "_args_"),
    "what is not made at once": (at("model._recursive_", False), "_recursive_"),
    "what is converted otherwise": (at("data._convert_", "none"), "_convert_"),
    "an interpolation": (at("data.angles", "${oc.env:HOME}"), "interpolation"),
    "an interpolation that makes a target": (at("model.x", [["${oc.create:{_target_:os.getcwd}}"]]), "interpolation"),
    "an interpolation as a key": (at("data.vary", {"${oc.env:HOME}": [1]}), "interpolation"),
    "a missing value": (at("data.angles", "???"), "???"),
    "a private function": (at("data.source", call("invariantnets.data.faces_table._read", path="x")), "_read"),
    "what a module imported": (at("data.source", call("invariantnets.data.sources.Path")), "sources.Path"),
    "a module's module": (at("data.source", call("invariantnets.data.sources.hashlib.new")), "hashlib.new"),
    "a method of a class": (at("data.source", call("invariantnets.data.SyntheticFaces.load")), "SyntheticFaces.load"),
    "what Lightning adds": (at("data", call("invariantnets.data.Lfw.load_from_checkpoint")), "load_from_checkpoint"),
    "the cache": (at("data.source", call("invariantnets.data.cache.cached_images", folder="../canary")), "names"),
    "a file of ours": (at("data.source", call("invariantnets.files.write_atomically", path="../canary")), "names"),
    "torchscript": (at("model.backbone", call("invariantnets.foreign.torchscript", path="a.pt")), "torchscript"),
    "a module of anybody's": (at("model.backbone", call("invariantnets.foreign.module", target="a:b")), "names"),
    "a trainer": (at("model.optimizer", call("pytorch_lightning.Trainer", default_root_dir="../canary")), "Trainer"),
    "hydra itself": (at("model.backbone", call("hydra.utils.instantiate", config={})), "names hydra"),
    "torch.optim and on": (at("model.optimizer", call("torch.optim.sgd.torch.load", f="x")), "names"),
    "data as a network": (at("model.backbone", FACES), "FacesTable"),
    "a constraint as the network": (at("model", CONFIG["model"]["constraints"]["softmax"]), "is no InvariantNet"),
    "a function as data": (at("data", CONFIG["data"]["source"]), "is no BankedImages"),
    "a table elsewhere": (at("data", FACES), "paths.allow="),
    "pictures elsewhere": (at("data", {**FACES, "table": "a.csv"}), "data.root="),
    "a table by way of ..": (at("data", {**FACES, "table": "../home/secret.csv", "root": "."}), "paths.allow="),
    "a table by way of ~": (at("data", {**FACES, "table": "~/secret.csv", "root": "."}), "paths.allow="),
    "a table by a link": (
        both(link("mine.csv", "{home}/secret.csv"), at("data", {**FACES, "table": "mine.csv", "root": "."})),
        "paths.allow=",
    ),
    "pictures by a link": (
        both(link("mine", "{home}"), at("data", {**FACES, "table": "mine/x", "root": "mine"})),
        "allow",
    ),
    "a loop of links": (
        both(link("a", "b"), link("b", "a"), at("data", {**FACES, "table": "a", "root": "."})),
        "data.",
    ),
    "a path with a zero": (at("data", {**FACES, "table": "a\0b", "root": "."}), "paths.allow="),
    "a path that is a number": (at("data", {**FACES, "table": 3, "root": "."}), "another version"),
    "a folder said to be the data's": (
        both(at("data", FACES), at("paths.data_dir", "{home}")),
        "no such file",
    ),
    "a folder said to be the run's": (both(at("data", FACES), at("paths.output_dir", "{home}")), "paths.allow="),
    "faces of LFW elsewhere": (
        at("data", call("invariantnets.data.Lfw", root=".", images="../home", image_shape=[1, 28, 28], cache_dir="x")),
        "data.images=",
    ),
    "CelebA at the root": (
        at("data", call("invariantnets.data.CelebA", root="/", image_shape=[1, 28, 28], cache_dir="x")),
        "data.root=",
    ),
    "a pool elsewhere": (
        at("data", call("invariantnets.data.SelectedFaces", pool=FACES, image_shape=[1, 28, 28], pictures="a")),
        "paths.allow=",
    ),
    "chosen pictures elsewhere": (
        at("data", call("invariantnets.data.SelectedFaces", pool={}, image_shape=[1, 28, 28], pictures="{home}/a")),
        "data.pictures=",
    ),
    "a download": (
        at(
            "data.source",
            call("invariantnets.data.sources.torchvision_digits", _partial_=True, name="MNIST", root="data"),
        ),
        "name the data in the command",
    ),
    "a download into a home": (
        at("data.source", call("invariantnets.data.sources.torchvision_digits", name="USPS", root="~")),
        "data.root=",
    ),
    "10¹² units, of one number": (giant("model.backbone.embedding_dim", True), "larger than the file"),
    "10¹² units, without weights": (giant("model.backbone.embedding_dim", False), "do not fit"),
    "10¹² classes": (at("model.backbone.num_classes", HUGE), "do not fit"),
    "images of 10¹² pixels": (at("model.backbone.image_shape", [1, 10**6, 10**6]), "do not fit"),
    "a size that is no number": (at("model.backbone.embedding_dim", "many"), "another version"),
    "a size below nothing": (at("model.backbone.num_classes", -5), "another version"),
    "other images than the network's": (at("data.image_shape", [1, 9999, 9999]), "its network reads images"),
    "10¹² people": (
        at(
            "data",
            call(
                "invariantnets.data.SyntheticFaces",
                num_classes=2**20,
                images_per_identity=2**20,
                image_shape=[3, 28, 28],
            ),
        ),
        "of memory",
    ),
    "10¹² angles": (at("data.angles", "0:1000000000:0.001"), "at most"),
    "weights that repeat themselves": (weight(lambda x: torch.zeros(1).expand(HUGE)), "larger than the file"),
    "weights that overlap": (
        lambda found, at: found["state_dict"].update(
            {f"x{i}": found["state_dict"]["backbone.layers.ip1.1.weight"].view(-1) for i in range(3000)}
        ),
        "larger than the file",
    ),
    "sparse weights": (
        weight(lambda x: torch.sparse_coo_tensor(torch.empty(1, 0), [], (HUGE,), check_invariants=False)),
        "not written out",
    ),
    "weights without numbers": (weight(lambda x: x.to("meta")), "not written out"),
    "weights that are text": (lambda found, at: found["state_dict"].update(a="b"), "of other types"),
    "weights that are a list": (put("state_dict", lambda at: [1]), "of other types"),
    "a configuration without a bottom": (at("model.x", nested(200)), "levels"),
    "a configuration in itself": (endless, "levels"),
    "a configuration that unfolds": (at("method", laughs()), "values"),
    "a configuration of 10⁶ values": (at("data.angles", list(range(10**6))), "values"),
    "a letter of 10⁷ letters": (at("method", "x" * 10**7), "letters"),
    "tensors in the configuration": (at("data.angles", torch.zeros(3)), "a Tensor"),
    "a number of 300 digits": (at("seed", 1 << 1000), "a int"),
    "people who are numbers": (ours(identities=[1, 2]), "of other types"),
    "choices that are numbers": (at("choices", {"model": 1, "data": 2}), "of other types"),
    "paths that are a list": (at("paths", [1]), "of other types"),
    "a configuration that is a list": (ours(config=[1]), "no part"),
}


def refused(change: Change, said: str, folder: Path, rng: random.Random) -> None:
    """evaluate.py stops with one line that says what of it."""
    with yard(folder) as place:
        found = content()
        change(found, place)
        torch.save(found, place.work / "given.ckpt")
        line = place.program("evaluate", "ckpt_path=given.ckpt")
        assert said in line, f"the line does not say {said!r}: {line}"


def zipped(name: str, data: bytes, said: str, folder: Path, rng: random.Random) -> None:
    """The same of a checkpoint with another file in its archive."""
    with yard(folder) as place:
        torch.save(content(), place.work / "given.ckpt")
        with zipfile.ZipFile(place.work / "given.ckpt", "a") as archive:
            archive.writestr(name, data)
        place.program("evaluate", "ckpt_path=given.ckpt", ok=not said)


def raw(data: bytes, folder: Path, rng: random.Random) -> None:
    """The same of bytes."""
    with yard(folder) as place:
        (place.work / "given.ckpt").write_bytes(data)
        place.program("evaluate", "ckpt_path=given.ckpt")


def first_in(key: str, folder: Path, rng: random.Random) -> None:
    """train.py stops, given it as a network to start from."""
    with yard(folder) as place:
        found = content()
        at("model.backbone", call("os.mkdir", path="../canary"))(found, place)
        torch.save(found, place.work / "given.ckpt")
        words = ["data=bootstrap", "model=deepface_mini"] if key.startswith("data") else ["evaluate=false"]
        line = place.program("train", f"{key}=given.ckpt", *words, "data.epoch_batches=1", "trainer.max_epochs=1")
        assert "names os.mkdir" in line, line


def trials() -> list[Trial]:
    """All of them, in a fixed order."""
    kind = "hostile checkpoint"
    found = [Trial(name, kind, partial(refused, change, said)) for name, (change, said) in EVIL.items()]
    found += [
        Trial("a plain pickle", kind, partial(raw, pickle.dumps(Runs(os.mkdir, "../canary")))),
        Trial("a pickle of protocol 0", kind, partial(raw, b"cos\nsystem\n(S'touch ../canary'\ntR.")),
        Trial("an ordered dictionary", kind, partial(raw, pickle.dumps(OrderedDict(a=1)))),
        Trial("a start from it", kind, partial(first_in, "model.init_from")),
        Trial("a teacher", kind, partial(first_in, "model.teacher")),
        Trial("look-alikes by it", kind, partial(first_in, "data.features_from")),
    ]
    return found
