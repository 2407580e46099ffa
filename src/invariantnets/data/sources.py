"""Where upright images come from. Each source is a function that returns :class:`Images`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.errors import InvariantNetsError
from invariantnets.sizes import check_room

__all__ = ["digits", "torchvision_digits"]  # what a checkpoint may name

TORCHVISION = ("MNIST", "FashionMNIST", "KMNIST", "USPS", "EMNIST")


@dataclass(frozen=True)
class Images:
    """A labelled set of images and the division of it.

    Attributes:
        image: ``(N, C, H, W)`` uint8.
        label: ``(N,)`` int64.
        split: ``(N,)`` of ``train``, ``val``, ``test``.
    """

    image: Tensor
    label: Tensor
    split: np.ndarray

    def checksum(self) -> str:
        """SHA-256 over pixels, labels and division: what a result was measured on."""
        digest = hashlib.sha256()
        for part in (self.image.numpy(), self.label.numpy(), self.split.astype("S5")):
            digest.update(part.tobytes())
        return digest.hexdigest()


def hold_out(label: np.ndarray, size: int | float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a stratified division into (rest, held out), by image.

    Raises:
        InvariantNetsError: a class too small to be divided.
    """
    from sklearn.model_selection import train_test_split

    try:
        rest, held = train_test_split(np.arange(len(label)), test_size=size, random_state=seed, stratify=label)
    except ValueError as error:
        raise InvariantNetsError(f"cannot hold out {size} of {len(label)} images by class: {error}") from None
    return np.sort(rest), np.sort(held)


def digits(split_seed: int = 0) -> Images:
    """The 1,797 handwritten digits that ship with scikit-learn (UCI, 8×8), in MNIST's layout.

    They are upsampled to 20×20 and centred in 28×28, as MNIST's are, so that a rotation by 45°
    cuts no stroke. Held out by image: 25 % for test, then 20 % of the rest for validation.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    small = torch.from_numpy(data.images).float()[:, None] * (255 / 16)
    large = F.interpolate(small, size=(20, 20), mode="bilinear", align_corners=False)
    image = F.pad(large.round().to(torch.uint8), (4, 4, 4, 4))
    rest, test = hold_out(data.target, 0.25, split_seed)
    train, val = hold_out(data.target[rest], 0.2, split_seed)
    split = np.full(len(image), "train", dtype="U5")
    split[test], split[rest[val]] = "test", "val"
    return Images(image, torch.from_numpy(data.target).long(), split)


def torchvision_digits(
    name: str,
    root: str,
    size: int = 28,
    val_size: int = 5000,
    split_seed: int = 0,
    emnist_split: str | None = None,
    download: bool = True,
) -> Images:
    """MNIST, FashionMNIST, KMNIST, USPS or EMNIST through torchvision, with its official test set.

    Validation is a stratified ``val_size`` images of the official training set.

    Args:
        name: one of ``TORCHVISION``, the name of a class of ``torchvision.datasets``.
        root: torchvision's root.
        size: height and width; other sizes (USPS has 16) are resized.
        val_size: images held out of the training set.
        split_seed: of that choice.
        emnist_split: which of EMNIST's splits.
        download: whether files missing in ``root`` are fetched into it.

    Raises:
        InvariantNetsError: files that are missing and cannot be downloaded, or are corrupt.
    """
    from torchvision import datasets

    if name not in TORCHVISION:
        raise InvariantNetsError(f"data.source.name={name}: choose from {', '.join(TORCHVISION)}")
    options = {"split": emnist_split} if emnist_split else {}
    parts = []
    for train in (True, False):
        try:
            part = getattr(datasets, name)(root, train=train, download=download, **options)
            if len(part.data) != len(part.targets):
                raise ValueError(f"{len(part.data)} images but {len(part.targets)} labels")
            parts.append(part)
        except (OSError, RuntimeError, ValueError, AssertionError, LookupError, TypeError, EOFError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            fetch = "delete what is there and run where there is a network"
            if not download:
                reason = reason.partition(" You can use")[0]
                fetch = "let them be fetched: name the data in the command, as in data=rotated_mnist"
            folder = Path(root) / name / "raw" if name != "USPS" else Path(root)
            raise InvariantNetsError(
                f"{name}: no usable files in {folder.absolute()} ({reason}). Either name the folder that holds them, "
                f"with paths.data_dir=… or INVARIANTNETS_DATA, or {fetch}"
            ) from None
    image = torch.cat([torch.as_tensor(np.asarray(part.data)) for part in parts])[:, None].to(torch.uint8)
    label = torch.cat([torch.as_tensor(np.asarray(part.targets)) for part in parts]).long()
    if name == "EMNIST":  # stored transposed; and its letters are numbered from 1
        image = image.transpose(2, 3).contiguous()
        label = label - label.min()
    if image.shape[-2:] != (size, size):
        check_room(f"data.source.size={size}: {len(image):,} images", len(image) * 4 * size * size)
        image = F.interpolate(image.float(), size=(size, size), mode="bilinear").round().to(torch.uint8)
    first = len(parts[0])
    split = np.full(len(image), "train", dtype="U5")
    split[first:] = "test"
    split[hold_out(label[:first].numpy(), val_size, split_seed)[1]] = "val"
    return Images(image, label, split)
