"""VGG-Face (Parkhi et al. 2015), its weights out of a file."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from invariantnets.backbones.convolutional import VGGFACE_MEAN
from invariantnets.foreign.module_backbone import ModuleBackbone
from invariantnets.foreign.preprocessing import declared
from invariantnets.foreign.weights import filled

SIDE, TRAINED_AT = 224, 256  # pixels: what is cut out of the middle of what pictures are resized to


def published_vggface(
    weights: str | Path | None = None,
    num_classes: int = 2622,
    embedding: str = "relu7",
    crop: float | None = SIDE / TRAINED_AT,
    seed: int = 0,
) -> ModuleBackbone:
    """VGG-16 of faces, read at its layers ``conv1_1``, ``relu1_1`` … ``relu7``, ``fc8``. Nothing is ever downloaded.

    Args:
        weights: file of a ``state_dict`` with the names ``conv1_1.weight`` … ``fc8.bias``, of a network that reads red,
            green and blue of 0 to 255 less `VGGFACE_MEAN`; None: random weights.
        num_classes: width of fc8.
        embedding: the layer that is probed.
        crop: fraction of the picture that is kept, its middle; None: the whole.
        seed: of random weights.

    Raises:
        InvariantNetsError: an unknown layer, or a file that is missing, damaged, or of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network((64, 128, 256, 512, 512), 4096, num_classes)
    prepare = declared(SIDE, VGGFACE_MEAN, 1.0, crop=crop, scale=1.0)
    record = {"library": "invariantnets", "name": "vggface", **filled(network, "vggface", weights, seed)}
    twin = partial(published_vggface, None, num_classes, embedding, crop, seed) if weights else None
    return ModuleBackbone(network, prepare, embedding, record, untrained=twin)


def _network(filters: Sequence[int], width: int, num_classes: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = 3
    for block, (count, deep) in enumerate(zip(filters, (2, 2, 3, 3, 3), strict=True), 1):
        for place in range(1, deep + 1):
            layers[f"conv{block}_{place}"] = nn.Conv2d(before, count, 3, padding=1)
            layers[f"relu{block}_{place}"] = nn.ReLU()
            before = count
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    before *= (SIDE // 32) ** 2
    for i in (6, 7):
        layers |= {f"fc{i}": nn.Linear(before, width), f"relu{i}": nn.ReLU(), f"dropout{i}": nn.Dropout()}
        before = width
    layers["fc8"] = nn.Linear(width, num_classes)
    return nn.Sequential(layers)
