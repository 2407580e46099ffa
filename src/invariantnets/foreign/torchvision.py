"""Networks of torchvision."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torchvision import models

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.module_backbone import ModuleBackbone
from invariantnets.foreign.preprocessing import declared
from invariantnets.foreign.weights import filled


def torchvision(
    name: str = "resnet18",
    weights: str | Path | None = None,
    embedding: str | None = None,
    image_size: int | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    num_classes: int = 1000,
    seed: int = 0,
) -> ModuleBackbone:
    """A network of torchvision for classification, by its name there. Nothing is ever downloaded.

    Args:
        name: one of ``torchvision.models.list_models(module=torchvision.models)``.
        weights: file of a ``state_dict``; None: random weights.
        embedding: the layer that is probed; None: what the classifier reads.
        image_size: side that pictures are resized to; None: that of torchvision's own weights for the network.
        mean: of red, green and blue, of 0–1; None: that of torchvision's own weights.
        std: likewise.
        num_classes: of the weights.
        seed: of random weights.

    Raises:
        InvariantNetsError: an unknown name or layer, a size that the network does not take, or a file that is
            missing, damaged, or of another network.
    """
    known = models.list_models(module=models)
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 3) or known[:3])
        raise InvariantNetsError(
            f"backbone.name={name}: torchvision has no such network; did you mean {near}? It has {len(known)}"
        )
    usual = models.get_model_weights(name).DEFAULT.transforms()
    size = image_size or usual.crop_size[0]
    prepare = declared(
        size,
        usual.mean if mean is None else mean,
        usual.std if std is None else std,
        usual.interpolation.value,
    )
    # Those whose parameters depend on the size of the picture are told it.
    sizes: dict[str, dict[str, Any]] = {"vit": {"image_size": size}, "maxvit": {"input_size": (size, size)}}
    told = sizes.get(name.split("_")[0], {})
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of two networks, about the default of their random weights
        torch.manual_seed(seed)
        try:
            network = models.get_model(name, weights=None, num_classes=num_classes, **told)
        except (AssertionError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InvariantNetsError(
                f"{name} is not made for pictures of {size}×{size} ({reason}); choose another backbone.image_size"
            ) from None
    record = {"library": "torchvision", "name": name, **filled(network, name, weights, seed)}
    twin = partial(torchvision, name, None, embedding, image_size, mean, std, num_classes, seed)
    return ModuleBackbone(network, prepare, embedding, record, untrained=twin if weights else None)
