"""The pictures that a network is shown in an inspection, and how it is held meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from invariantnets.data import Bank
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import reading
from invariantnets.inspection.inspection import Specimen
from invariantnets.randomness import numpy_rng

__all__ = ["Shown", "batches", "looking", "show", "show_at"]


@dataclass(frozen=True)
class Shown:
    """Pictures of a split, one of each image.

    Attributes:
        bank: they are in.
        image: ``(n,)`` int64 number of each image in the bank, ascending.
        variant: ``(n,)`` int64 which of its variants.
        label: ``(n,)`` int64.
        nuisance: name → ``(n,)`` float64, NaN where it is not known.
    """

    bank: Bank
    image: Tensor
    variant: Tensor
    label: np.ndarray
    nuisance: Mapping[str, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return len(self.image)

    def pixels(self, rows: slice | np.ndarray | Tensor) -> Tensor:
        """``(b, C, H, W)`` uint8 on the CPU."""
        return self.bank.pixels(self.image[rows], self.variant[rows])


def show(specimen: Specimen, most: int, stream: int, split: str = "test") -> Shown:
    """Draw images, and of each a variant: of an image in all its rotations one of them.

    Args:
        specimen: whose images.
        most: images; fewer if there are not so many.
        stream: of random numbers, an inspection's own.
        split: which.

    Raises:
        InvariantNetsError: the split holds no image.
    """
    bank = specimen.images.bank(split)
    if not len(bank):
        raise InvariantNetsError(f"there is no image in split {split!r} to show to the network")
    rng = numpy_rng(specimen.material.seed, stream)
    image = torch.from_numpy(np.sort(rng.permutation(len(bank))[:most]).astype(np.int64))
    return show_at(bank, image, torch.from_numpy(rng.integers(0, bank.variants, len(image))))


def show_at(bank: Bank, image: Tensor, variant: Tensor) -> Shown:
    """These variants of these images, both ``(n,)``."""
    known = {name: values[image, variant].numpy().astype(np.float64) for name, values in bank.nuisance.items()}
    return Shown(bank, image, variant, bank.label[image].numpy(), known)


@contextmanager
def looking(specimen: Specimen) -> Iterator[torch.device]:
    """The network is in evaluation mode on its device for as long as it is looked into, and then as it was.

    Its parameters ask for no gradient meanwhile: those of the pixels are what inspections take.
    """
    parameters = list(specimen.network.parameters()) if isinstance(specimen.network, torch.nn.Module) else []
    asked = [p.requires_grad for p in parameters]
    try:
        for p in parameters:
            p.requires_grad_(False)
        with reading(specimen.network, specimen.device) as device:
            yield torch.device(device)
    finally:
        for p, was in zip(parameters, asked, strict=True):
            p.requires_grad_(was)


def batches(shown: Shown, device: torch.device, size: int = 64) -> Iterator[tuple[slice, Tensor]]:
    """Rows, and their pictures ``(b, C, H, W)`` uint8 on the device."""
    for start in range(0, len(shown), size):
        rows = slice(start, min(start + size, len(shown)))
        yield rows, shown.pixels(rows).to(device)
