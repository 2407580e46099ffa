"""A network and a few digits, as what is inspected."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from invariantnets import FeatureTable
from invariantnets.analysis import Material
from invariantnets.data import RotatedImages
from invariantnets.data.sources import digits
from invariantnets.inspection import Inspection, Specimen
from invariantnets.randomness import torch_rng
from invariantnets.results.result import Result


class Plain(nn.Module):
    """Functions of pixels as they are, as layers."""

    layer_names, embedding, classifier = ("input", "a"), "a", None

    def __init__(self, function: Callable[[Tensor], Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)
        self.requires_grad_(False)

    def features(self, image: Tensor, names: Collection[str]) -> dict[str, Tensor]:
        return {"a": self.function(image.float())}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch_rng(seed)) - 0.4


def bytes_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch_rng(seed), dtype=torch.uint8)


def three_digits() -> RotatedImages:
    """Three classes in three rotations."""
    found = RotatedImages(digits, 3, [1, 28, 28], [-40.0, 0.0, 40.0], classes=[0, 1, 2])
    found.setup()
    return found


def looked(network: Any, images: RotatedImages, look: Inspection, kept: dict[str, Any] | None = None) -> list[Result]:
    """What an inspection finds, beside a table that says nothing."""
    split = ["train", "val", "test"] * 2
    table = FeatureTable.from_arrays({network.embedding: np.eye(6)}, label=[0, 0, 0, 1, 1, 1], split=split)
    keep = {} if kept is None else kept
    material = Material(table, network.embedding, keep=keep.__setitem__)
    return look(Specimen(material, network, images, list(network.layer_names)))
