"""Networks out of ONNX files, against the same network in torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx as library
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_files import exported, small
from torch import Tensor

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import ModuleBackbone, OnnxBackbone, Preprocessing, onnx

SAID = {"mean": [0.4, 0.5, 0.6], "std": 0.25}


def pictures(count: int = 5, side: int = 20, channels: int = 3) -> Tensor:
    shape = (count, channels, side, side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(small(), tmp_path_factory.mktemp("onnx") / "small.onnx")


@torch.no_grad()
def test_every_layer_is_that_of_torch(file: Path) -> None:
    net = onnx(file, **SAID)
    own = ModuleBackbone(small(), Preprocessing(20, (0.4, 0.5, 0.6), (0.25,) * 3))

    expected = own.features(pictures(), ["input", "act", "down", "pool", "flat", "fc"])
    found = net.features(pictures(), net.layer_names)
    assert list(found) == net.layer_names and net.layer_names[0] == "input"
    shapes = [tuple(x.shape[1:]) for x in found.values()]
    assert shapes == [(3, 20, 20), (8, 10, 10), (16, 5, 5), (16, 1, 1), (16,)], "the last of each shape, in order"
    for (name, mine), theirs in zip(found.items(), ["input", "act", "down", "pool", "flat"], strict=True):
        torch.testing.assert_close(mine, expected[theirs], rtol=1e-5, atol=1e-5, msg=name)
    scores = net.features(pictures(), ["scores"])["scores"]
    torch.testing.assert_close(scores, expected["fc"], rtol=1e-5, atol=1e-5)
    assert net.embedding == net.layer_names[-1], "what the last Gemm reads"
    assert net.record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert net.record["preprocessing"]["mean"] == (0.4, 0.5, 0.6) and net.record["layout"] == "NCHW"


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_a_fixed_batch_is_filled_up(count: int, file: Path, tmp_path: Path) -> None:
    fixed, free = onnx(exported(small(), tmp_path / "four.onnx", batch=4), **SAID), onnx(file, **SAID)
    found = fixed.features(pictures(count), fixed.layer_names)
    for name, value in free.features(pictures(count), free.layer_names).items():
        assert len(value) == count
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_grey(tmp_path: Path) -> None:
    net = onnx(exported(small(1), tmp_path / "grey.onnx", channels=1), mean=0.5, std=0.5)
    own = ModuleBackbone(small(1), Preprocessing(20, (0.5,), (0.5,), channels="grey"))
    assert net.prepare == own.prepare, "the file takes one channel"
    for image in (pictures(channels=1), pictures(channels=3)):
        torch.testing.assert_close(
            net.features(image, ["scores"])["scores"], own.features(image, ["fc"])["fc"], rtol=1e-5, atol=1e-5
        )


@torch.no_grad()
def test_a_file_without_a_size_is_told_one(tmp_path: Path) -> None:
    path = exported(small(), tmp_path / "free.onnx", free=True)
    with pytest.raises(InvariantNetsError, match="does not say .* backbone.image_size=112"):
        onnx(path, **SAID)
    net = onnx(path, image_size=[24, 16], **SAID)
    assert net.features(pictures(), ["input"])["input"].shape == (5, 3, 24, 16)


WEIGHT = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)


def built(
    path: Path, tail: str = "", shape: tuple[int | str, ...] = ("n", 3, 2, 2), kind: int = TensorProto.FLOAT
) -> Path:
    """Cast → Flatten → MatMul → `tail`, as no exporter is needed to write it."""
    scale = numpy_helper.from_array(np.ones(6, np.float32), "one")
    nodes = [
        helper.make_node("Cast", ["x"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["numbers"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["linear"]),
    ]
    more = {
        "": [],
        "bias and softmax": [
            helper.make_node("Add", ["linear", "one"], ["biased"]), helper.make_node("Softmax", ["biased"], ["p"])],
        "normalised": [helper.make_node("LpNormalization", ["linear"], ["unit"], p=2)],
        "scaled": [helper.make_node("Mul", ["linear", "one"], ["scaled"])],
        "hidden": [helper.make_node("Relu", ["linear"], ["relu"]), helper.make_node("ReduceMean", ["relu"], ["mean"])],
        "by itself": [helper.make_node("Transpose", ["linear"], ["turned"]),
                      helper.make_node("MatMul", ["linear", "turned"], ["gram"])],
    }[tail]  # fmt: skip
    last = (more or nodes)[-1].output[0]
    graph = helper.make_graph(
        [*nodes, *more], "built", [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(WEIGHT, "weight"), scale],
    )  # fmt: skip
    library.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("tail", "embedding"),
    [("", "flat"), ("bias and softmax", "flat"), ("normalised", "unit"), ("scaled", "scaled"), ("hidden", "mean")],
)
def test_what_the_embedding_is(tail: str, embedding: str, tmp_path: Path) -> None:
    """Scores of classes are not it; what is normalised, scaled or worked on further is no score."""
    path = built(tmp_path / "built.onnx", tail)
    assert onnx(path, mean=0, std=1).embedding == embedding
    assert onnx(path, "linear", mean=0, std=1).embedding == "linear"


def test_bytes_are_given_as_they_are(tmp_path: Path) -> None:
    path = built(tmp_path / "bytes.onnx", shape=(2, 3, 2, 2), kind=TensorProto.UINT8)
    image = pictures(3, 2)
    found = onnx(path).features(image, ["linear"])["linear"]
    np.testing.assert_allclose(found, image.flatten(1).numpy().astype(np.float32) @ WEIGHT, rtol=1e-5)


def test_channels_last_and_blue_first(tmp_path: Path) -> None:
    net = onnx(built(tmp_path / "last.onnx", shape=("n", 2, 2, 3)), mean=0, std=1, scale=1, channels="bgr")
    image = pictures(3, 2)
    expected = image.flip(1).permute(0, 2, 3, 1).flatten(1).numpy().astype(np.float32) @ WEIGHT
    np.testing.assert_allclose(net.features(image, ["linear"])["linear"], expected, rtol=1e-5)
    assert net.record["layout"] == "NHWC"


def test_weights_in_a_file_beside_it(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "outside.onnx"
    library.save_model(library.load(file), path, save_as_external_data=True, location="outside.bin", size_threshold=0)
    one, two = (onnx(p, **SAID).features(pictures(), ["scores"])["scores"] for p in (file, path))
    assert torch.equal(one, two)
    (tmp_path / "outside.bin").unlink()
    with pytest.raises(InvariantNetsError, match="outside.onnx: its weights are in outside.bin, which is missing"):
        onnx(path, **SAID)


def damaged(file: Path, folder: Path, how: str) -> Path:
    path = folder / "it.onnx"
    data = file.read_bytes()
    if how == "names":
        model = library.load(file)
        model.graph.node[1].input[0] = "elsewhere"
        data = model.SerializeToString()
    if how == "operator":
        model = library.load(file)
        model.graph.node[1].op_type = "Rely"
        data = model.SerializeToString()
    if how == "two inputs":
        model = library.load(file)
        model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
        data = model.SerializeToString()
    if how in ("vector", "five channels", "integers", "unknown"):
        shape = {"vector": ("n", 12), "five channels": ("n", 5, 2, 2), "unknown": ("n", "c", "h", "w")}
        kind = TensorProto.INT64 if how == "integers" else TensorProto.FLOAT
        data = built(path, shape=shape.get(how, ("n", 3, 2, 2)), kind=kind).read_bytes()
    parts = {"empty": b"", "half": data[: len(data) // 2], "short": data[:-40], "text": b"name,age\nAnn,3\n" * 9}
    path.write_bytes(parts.get(how, data))
    return path


@pytest.mark.parametrize(
    ("how", "options", "message"),
    [
        ("empty", {}, "it.onnx: no ONNX file"),
        ("half", {}, "it.onnx: damaged, or no ONNX file"),
        ("short", {}, "it.onnx: damaged"),
        ("text", {}, "it.onnx: damaged, or no ONNX file"),
        ("names", {}, "it.onnx: damaged: nothing that it gives depends on the picture"),
        ("operator", {}, "it.onnx: damaged, or larger than 2 GB: ONNX Runtime cannot run it .*Rely"),
        ("two inputs", {}, r"it.onnx: has 2 inputs \(image, mask\)"),
        ("vector", {}, "it.onnx: its input x has 2 axes; pictures have four"),
        ("five channels", {}, r"it.onnx: takes neither 1 nor 3 channels \(\[None, 5, 2, 2\]\)"),
        ("unknown", {}, "it.onnx: its input is .*, so its layout is unknown: give backbone.layout=NCHW"),
        ("integers", {}, "it.onnx: its input x takes neither floats nor bytes"),
        ("", {"layout": "NHWC"}, "it.onnx: takes 20 channels as NHWC; pictures have 1 or 3"),
        ("", {"layout": "CHW"}, "backbone.layout=CHW: choose from NCHW, NHWC"),
        ("", {"mean": None}, r"an ONNX file does not say .* backbone.mean=\[0.485,0.456,0.406\]"),
        ("", {"std": None}, "does not say how its pictures are prepared: .* backbone.std="),
        ("", {"image_size": 32}, "it.onnx: takes pictures of 20×20; leave backbone.image_size out"),
        ("", {"channels": "grey", "mean": 0.5}, "it.onnx: takes 3 channels; backbone.channels=grey"),
        ("", {"embedding": "score"}, "there is no layer 'score' in this network; did you mean scores"),
        ("", {"embedding": "fc.weight"}, "there is no layer 'fc.weight'"),
    ],
)  # fmt: skip
def test_mistakes_are_said_in_one_line(
    how: str, options: dict[str, object], message: str, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvariantNetsError, match=message) as caught:
        onnx(damaged(file, tmp_path, how), **{**SAID, **options})
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvariantNetsError, match="none.onnx: there is no such file"):
        onnx(tmp_path / "none.onnx", **SAID)
    with pytest.raises(InvariantNetsError, match="backbone=onnx needs its file: backbone.path="):
        onnx()


def test_a_tensor_without_a_row_for_each_picture_is_refused(tmp_path: Path) -> None:
    net = onnx(built(tmp_path / "gram.onnx", "by itself"), "flat", mean=0, std=1)
    assert isinstance(net, OnnxBackbone)
    with pytest.raises(InvariantNetsError, match=r"layer 'turned' is float32 of shape \(6, 3\) for 3 pictures"):
        net.features(pictures(3, 2), ["turned"])
