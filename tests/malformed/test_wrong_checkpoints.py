"""Checkpoints that are none, are damaged, foreign or of another version; and resumes that would be another run."""

from __future__ import annotations

import copy
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_lines import start
from safetensors.torch import save_file

DAMAGED = "truncated or damaged, or no checkpoint; nothing of it was run; no other lies beside it: train it again"
FOREIGN = (
    "not written by invariantnets (it carries no configuration); to probe another network, use evaluate.py "
    "backbone=torchvision backbone.weights=<file>, or save its features and give features=<table>"
)
PICKLED = (
    "holds pickled objects beside tensors, or is no checkpoint; nothing of it was run. Load only checkpoints written "
    "by train.py"
)
PACKED = "not written by invariantnets (it is compressed, which ours never are)"
MISSING = "no such checkpoint; give ckpt_path=<run folder>/checkpoints/best.ckpt"
OTHER = "was written by another version of invariantnets"
FIT = "the weights do not fit the network of its own configuration"
Make = Callable[[Path, Path], object]  # where to write it, and a checkpoint that is right


@pytest.fixture(scope="session")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of three digits, trained for one epoch of two steps."""
    folder = tmp_path_factory.mktemp("right")
    start("train", folder, "data.classes=[0,1,2]", "data.num_classes=3")
    return folder / "run" / "checkpoints" / "last.ckpt"


def changed(change: Callable[[dict[str, Any]], object]) -> Make:
    def make(path: Path, right: Path) -> None:
        content = copy.deepcopy(torch.load(right, weights_only=True))
        change(content)
        torch.save(content, path)

    return make


def config(content: dict[str, Any]) -> dict[str, Any]:
    return content["invariantnets"]["config"]


def cut(share: float) -> Make:
    return lambda path, right: path.write_bytes(right.read_bytes()[: int(share * right.stat().st_size)])


def flipped(part: str) -> Make:
    """One bit in the middle of a part of the archive."""

    def make(path: Path, right: Path) -> None:
        data = bytearray(right.read_bytes())
        with zipfile.ZipFile(right) as archive:
            info = next(i for i in archive.infolist() if i.filename.endswith(part))
            name, extra = data[info.header_offset + 26], data[info.header_offset + 28 : info.header_offset + 30]
            start_of = info.header_offset + 30 + name + int.from_bytes(extra, "little")
        data[start_of + info.file_size // 2] ^= 0x10
        path.write_bytes(bytes(data))

    return make


def repacked(path: Path, right: Path) -> None:
    """Compressed, with one part swollen to 256 MB of zeros."""
    with zipfile.ZipFile(right) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for info in old.infolist():
            if not info.filename.endswith("data/0"):
                new.writestr(info.filename, old.read(info))
        with new.open("archive/data/0", "w", force_zip64=True) as part:
            for _ in range(1 << 8):
                part.write(bytes(1 << 20))


class Payload:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, ("ran",)


def scripted(path: Path, right: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have it exported
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))


FILES: dict[str, tuple[Make, str]] = {
    "empty": (lambda path, right: path.write_bytes(b""), DAMAGED),
    "text": (lambda path, right: path.write_text("hello\n" * 20), DAMAGED),
    "zeros": (lambda path, right: path.write_bytes(bytes(10_000)), DAMAGED),
    "half": (cut(0.5), DAMAGED),
    "all but a few bytes": (cut(0.9999), DAMAGED),
    "its head": (cut(0.001), DAMAGED),
    "a folder": (lambda path, right: path.mkdir(), MISSING.replace(";", " (it is a folder);")),
    "absent": (lambda path, right: None, MISSING),
    "a bit of a weight": (flipped("data/0"), "truncated or damaged (the bytes of "),
    "a bit of the pickle": (flipped("data.pkl"), "truncated or damaged (the bytes of "),
    "a zip bomb": (repacked, PACKED),
    "a plain zip": (lambda path, right: zipfile.ZipFile(path, "w").writestr("a.txt", "a"), "truncated or damaged ("),
    "weights of others": (lambda path, right: torch.save({"conv1.weight": torch.zeros(3)}, path), FOREIGN),
    "one tensor": (lambda path, right: torch.save(torch.zeros(3), path), FOREIGN),
    "lightning of others": (
        lambda path, right: torch.save({"state_dict": {}, "epoch": 1, "hyper_parameters": {}}, path),
        FOREIGN,
    ),
    "a tensor larger than memory": (
        lambda path, right: torch.save({"state_dict": {"a": torch.zeros(1).expand(10**11)}}, path),
        FOREIGN,
    ),
    "a module": (lambda path, right: torch.save(torch.nn.Linear(2, 2), path), PICKLED),
    "code": (lambda path, right: torch.save({"x": Payload()}, path), PICKLED),
    "code in a plain pickle": (lambda path, right: path.write_bytes(pickle.dumps(Payload())), DAMAGED),
    "the old format of torch": (
        lambda path, right: torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False),
        DAMAGED,
    ),
    "torchscript": (scripted, PACKED),
    "safetensors": (lambda path, right: save_file({"a": torch.zeros(2)}, path), DAMAGED),
    "no configuration": (
        changed(lambda c: c["invariantnets"].pop("config")),
        "its configuration has no part 'model'; use one written by train.py",
    ),
    "no choices": (
        changed(lambda c: config(c).pop("choices")),
        "its configuration has no part 'choices'; use one written by train.py",
    ),
    "a later format": (
        changed(lambda c: c["invariantnets"].update(format=9)),
        "written by another version (format 9, here 1); use the one that wrote it",
    ),
    "a key of a later version": (
        changed(lambda c: config(c)["model"]["backbone"].update(future=3)),
        f"{OTHER} (lenet() got an unexpected keyword argument 'future'); use the one that wrote it",
    ),
    "data of a later version": (
        changed(lambda c: config(c)["data"].update(future=3)),
        f"{OTHER} (BankedImages.__init__() got an unexpected keyword argument 'future'); use the one that wrote it",
    ),
    "data without a source": (
        changed(lambda c: config(c)["data"].pop("source")),
        f"{OTHER} (RotatedImages.__init__() missing 1 required positional argument: 'source'); use the one that wrote "
        "it",
    ),
    "a weight missing": (
        changed(lambda c: c["state_dict"].pop("backbone.layers.ip2.bias")),
        f'{FIT} (Missing key(s) in state_dict: "backbone.layers.ip2.bias".); use another checkpoint of the run',
    ),
    "a weight too many": (
        changed(lambda c: c["state_dict"].update({"backbone.layers.new.bias": torch.zeros(2)})),
        f'{FIT} (Unexpected key(s) in state_dict: "backbone.layers.new.bias".); use another checkpoint of the run',
    ),
    "a weight of another shape": (
        changed(lambda c: c["state_dict"].update({"backbone.layers.ip2.bias": torch.zeros(7)})),
        f"{FIT} (size mismatch for backbone.layers.ip2.bias: ",
    ),
    "weights that are not finite": (
        changed(lambda c: c["state_dict"]["backbone.layers.ip2.bias"].fill_(torch.nan)),
        "weights backbone.layers.ip2.bias are not finite; use an earlier checkpoint, or train anew",
    ),
    "a foreign target": (
        changed(lambda c: config(c)["model"]["backbone"].update(_target_="os.system")),
        "its configuration names os.system, which is outside invariantnets.backbones, ",
    ),
    "a target that is gone": (
        changed(lambda c: config(c)["model"]["backbone"].update(_target_="invariantnets.backbones.resnet")),
        "its target invariantnets.backbones.resnet does not exist here (",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_checkpoint_of_ours(said: Callable[..., str], tmp_path: Path, right: Path, name: str) -> None:
    make, line = FILES[name]
    make(tmp_path / "given.ckpt", right)
    found = said("evaluate", "ckpt_path={tmp}/given.ckpt")
    found = found.removeprefix("{tmp}/given.ckpt: ")
    assert found == line or (line[-1] in " (" and found.startswith(line))
    assert not (tmp_path / "ran").exists(), "nothing in it is run"


ANEW = ". Give what it was trained with, or start anew, without ckpt_path="
RESUMES: dict[str, tuple[str, str]] = {
    "model=pair_lenet": ("model=lenet", "model=pair_lenet"),
    "data=scaled_digits": ("data=rotated_digits", "data=scaled_digits"),
    "seed=5": ("seed=0", "seed=5"),
    "data.classes=[3,4,5]": ("data.classes=[0,1,2]", "data.classes=[3,4,5]"),
    "data.classes=[0,1] data.num_classes=2": ("data.num_classes=3", "data.num_classes=2"),
    "data.angles=[0,15]": ("data.angles=-45:45:15", "data.angles=[0,15]"),
    "data.batch_size=8": ("data.batch_size=64", "data.batch_size=8"),
    "model.optimizer.lr=0.5": ("model.optimizer.lr=0.01", "model.optimizer.lr=0.5"),
    "model.backbone.embedding_dim=7": ("model.backbone.embedding_dim=500", "model.backbone.embedding_dim=7"),
    "model.backbone.embedding_norm=8": ("model.backbone.embedding_norm=null", "model.backbone.embedding_norm=8"),
    "+constraint=hsic": (
        "no model.constraints.hsic",
        "model.constraints.hsic=invariantnets.constraints.Hsic",
    ),
    "optimizer@model.optimizer=adam": (
        "model.optimizer=torch.optim.SGD",
        "model.optimizer=torch.optim.Adam",
    ),
}


@pytest.mark.parametrize("change", RESUMES)
def test_a_run_is_not_continued_as_another(said: Callable[..., str], right: Path, change: str) -> None:
    was, now = RESUMES[change]
    given = {word.partition("=")[0] for word in change.split()}
    same = [word for word in ("data.classes=[0,1,2]", "data.num_classes=3") if word.partition("=")[0] not in given]
    line = said("train", f"ckpt_path={right}", "trainer.max_epochs=2", *same, *change.split())
    assert line == f"{right}: cannot be continued so: it was trained with {was}, this run has {now}{ANEW}"


THREE = ("data.classes=[0,1,2]", "data.num_classes=3")


def test_other_refusals_to_continue(said: Callable[..., str], tmp_path: Path, right: Path) -> None:
    changed(lambda c: c.pop("optimizer_states"))(tmp_path / "given.ckpt", right)
    assert said("train", "ckpt_path={tmp}/given.ckpt", *THREE) == (
        "{tmp}/given.ckpt: holds no optimizer_states, so that training cannot go on from it; evaluate.py can probe it, "
        "and model.init_from= start from its layers"
    )
    changed(lambda c: c["invariantnets"].update(data_checksum="0" * 64))(tmp_path / "given.ckpt", right)
    assert said("train", "ckpt_path={tmp}/given.ckpt", "trainer.max_epochs=2", *THREE) == (
        "{tmp}/given.ckpt: was trained on other images, labels or division than rotated_digits holds now; bring back "
        "those of then, or start anew, without ckpt_path="
    )


def test_a_resumed_run_writes_where_it_is_told(tmp_path: Path, right: Path) -> None:
    """Not where a checkpoint says: neither by the name of its file, nor by those of the best ones before."""

    def elsewhere(content: dict[str, Any]) -> None:
        config(content)["callbacks"]["checkpoint"]["filename"] = "../../evil"
        (state,) = (s for key, s in content["callbacks"].items() if "val/loss" in key and "best_k_models" in s)
        state.update(best_model_path=str(tmp_path / "kept"), best_k_models={str(tmp_path / "kept"): torch.tensor(9.0)})
        state.update(kth_best_model_path=str(tmp_path / "kept"), dirpath=str(tmp_path / "run" / "checkpoints"))

    (tmp_path / "kept").touch()
    changed(elsewhere)(tmp_path / "given.ckpt", right)
    start("train", tmp_path, f"ckpt_path={tmp_path / 'given.ckpt'}", "trainer.max_epochs=2")
    assert (tmp_path / "kept").exists() and not list(tmp_path.rglob("evil*"))
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()


def test_networks_to_start_from(said: Callable[..., str], tmp_path: Path, right: Path) -> None:
    (tmp_path / "text.ckpt").write_text("hello")
    assert said("train", "model.init_from={tmp}/text.ckpt") == f"{{tmp}}/text.ckpt: {DAMAGED}"
    assert said("train", "model.init_from={tmp}/absent") == f"{{tmp}}/absent: {MISSING}"
    line = said("train", f"model.init_from={right}", "model.backbone.embedding_dim=7", *THREE)
    assert line == (
        f"model.init_from={right}: its ip1 has {{'1.weight': (500, 800), '1.bias': (500,)}}, this network's "
        "{'1.weight': (7, 800), '1.bias': (7,)}; take it out of model.init_layers, or build both alike"
    )
    line = said("train", "model=mu_lenet", f"model.teacher={right}", "model.backbone.embedding_dim=9", *THREE)
    assert line == (
        "the teacher's ip1 is 500 wide, this network's 9: set model.backbone.embedding_dim=500 or give another teacher"
    )


LAYERS = "choose from input, conv1, pool1, conv2, pool2, ip1, ip2, or all"
ASKED = {
    "layers=nope": f"layers=nope: there is no such layer; {LAYERS}",
    "layers=[ip1,nope]": f"layers=nope: there is no such layer; {LAYERS}",
    "features=a.npz": (
        "say what to evaluate, one of ckpt_path=<checkpoint>, features=<table>, sweep=<multirun folder>, "
        "backbone=<network>; got ckpt_path and features"
    ),
    "release=/nowhere/x.safetensors": (
        "release=/nowhere/x.safetensors: no such file; a run leaves <run>/release/<layer>.safetensors"
    ),
    "release=leace release.nuisances=[nope]": "release.nuisances: there is no 'nope'; choose from angle",
    "data=synthetic_faces": "data.image_shape=[1, 28, 28]: the renderer draws [3, size, size]",
}


@pytest.mark.parametrize("words", ASKED)
def test_what_a_network_cannot_be_asked(said: Callable[..., str], right: Path, words: str) -> None:
    assert said("evaluate", f"ckpt_path={right}", *words.split()) == ASKED[words]
