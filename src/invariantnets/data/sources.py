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

__all__ = ["digits", "glyphs", "torchvision_digits"]  # what a checkpoint may name

# Of each ten images of a class of glyphs.
_TENTHS = ("train",) * 7 + ("val",) + ("test",) * 2
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


def glyphs(classes: int, images: int, first: int = 0, draw_seed: int = 0) -> Images:
    """Characters of many scripts, drawn from the fonts that matplotlib brings along: a class is a character.

    No class is another's, or its own, shape turned by up to 90° (``invariantnets.data.glyph_classes``). An image is
    a class in some font, with a thickness, slant, size, place and bend of its own (``invariantnets.data.glyphs``).
    The classes have one order, so that the first ten are among the first hundred; of each ten images of a class seven
    are to train on, one is to validate on and two are to test on. The images of a class hang on its place in that
    order, on their number and on ``draw_seed`` alone.

    Args:
        classes: how many, numbered from 0.
        images: how many of all classes together, shared out evenly; what cannot be is left out.
        first: where in the order they begin.
        draw_seed: of the images.

    Raises:
        InvariantNetsError: more classes than there are, fewer than ten images of each, or more than memory holds.
    """
    from invariantnets.data.glyph_classes import characters
    from invariantnets.data.glyphs import SIDE, draw

    known, each = characters(), images // classes
    if first + classes > len(known):
        raise InvariantNetsError(
            f"data.source.classes={classes} from data.source.first={first} on: there are {len(known):,} classes of "
            f"glyphs; give {len(known) - first:,} at most"
            if first < len(known)
            else f"data.source.first={first}: there are {len(known):,} classes of glyphs, from 0 on"
        )
    if each < len(_TENTHS):
        raise InvariantNetsError(
            f"data.source.images={images:,} of {classes:,} classes are {each} of each: give {len(_TENTHS)} of each at "
            f"least, {len(_TENTHS) * classes:,} in all, of which {_TENTHS.count('train')} in ten are to train on"
        )
    check_room(f"data.source.images={images:,}", classes * each * SIDE**2)
    image = torch.empty(classes * each, 1, SIDE, SIDE, dtype=torch.uint8)
    for number in range(classes):
        place = first + number
        image[number * each : (number + 1) * each] = draw(known[place], place, each, draw_seed)
    split = np.tile(np.resize(np.array(_TENTHS), each), classes)
    return Images(image, torch.arange(classes).repeat_interleave(each), split)


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
