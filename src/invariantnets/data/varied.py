"""Images that vary in one nuisance or several, all of them known."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from string import ascii_letters
from typing import TYPE_CHECKING

import numpy as np
import torch

from invariantnets.data.banked import Bank, BankedImages, Stream
from invariantnets.data.batch import DataSpec, parse_range
from invariantnets.data.perturbation import PERTURBATIONS, Steps, variant_bank
from invariantnets.data.sources import Images
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS, Kind, Nuisance
from invariantnets.randomness import numpy_rng

if TYPE_CHECKING:
    from typing_extensions import Unpack

HALF_TURN = 180
_KINDS = ("continuous", "circular", "categorical")
_STREAM = 141  # of which variant each image is seen in


class VariedImages(BankedImages):
    """Training: random values of the nuisances. Validation and test: every image at every combination of values.

    With ``one_each`` every image of all splits is seen at one combination only, drawn once, in training, too.

    The division is by image, so that no variant of a training image is ever tested on. Several nuisances are applied
    in the order of ``PERTURBATIONS``, whatever the order in which they are given; variants are numbered with the last
    one's values changing fastest.

    Args:
        source: returns the images as they are.
        num_classes: labels must lie in ``0 .. num_classes - 1``.
        image_shape: ``(C, H, W)`` the source must give.
        nuisance: what varies, one of ``PERTURBATIONS``.
        values: of the nuisance, in its unit, a list or ``start:stop:step``.
        classes: the source's classes that are kept, numbered anew in this order; None keeps all.
        train_images: no more than so many of the training images, drawn with the seed; None keeps all.
        vary: several nuisances in place of one: name → values; one that is None does not vary.
        kinds: of what varies, ``continuous``, ``circular`` or ``categorical``. Unsaid, angles over more than half a
            turn are circular: of 170° and -170° neither is far from the other. Categories are the values, in order.
        one_each: each image at one combination of values, drawn at random; it depends on the image's place in the
            source and on ``draw_seed`` alone, and neither on its split nor on what else is kept.
        draw_seed: of that draw.
        test_values: of one nuisance, values at which every test image is seen, in place of its own; None: as the
            others.
        **stream: how training batches are made, see :class:`BankedImages`.

    Attributes:
        values: name → values of all that varies, in the order in which it is applied.
        test_values: the same of the test split, where it is another.

    Raises:
        InvariantNetsError: an unknown nuisance, both or neither of ``nuisance`` and ``vary``, labels or shapes other
            than declared, a class that the source lacks, more variants than the machine's memory holds, views of an
            image that has one variant, or test values without a name.
    """

    def __init__(
        self,
        source: Callable[[], Images],
        num_classes: int,
        image_shape: Sequence[int],
        nuisance: str | None = None,
        values: Sequence[float] | str | None = None,
        classes: Sequence[int] | None = None,
        train_images: int | None = None,
        vary: Mapping[str, Sequence[float] | str | None] | None = None,
        kinds: Mapping[str, Kind] | None = None,
        one_each: bool = False,
        draw_seed: int = 0,
        test_values: Sequence[float] | str | None = None,
        **stream: Unpack[Stream],
    ):
        self.values = _one(nuisance, values) if vary is None else _several(vary, nuisance)
        channels, height, width = image_shape
        described = _described(self.values, kinds or {})
        self.test_values = None if test_values is None else _tested(described, self.values, test_values)
        spec = DataSpec((channels, height, width), num_classes, described)
        super().__init__(spec, **stream)
        self.source, self.classes, self.train_images = source, classes, train_images
        self.one_each, self.draw_seed = one_each, draw_seed
        if one_each and self.views > 1 and self.pairs == "same_image":
            raise InvariantNetsError(
                f"data.one_each=true: each image is seen at one {' and '.join(self.values)}, so that it has no "
                f"{self.views} views; say data.pairs=same_class"
            )
        self._images: Images | None = None
        self._cell = np.zeros(0, np.int64)  # which combination each image is seen at, where it is one

    def load(self) -> str:
        """Load the images once, check them against the declaration."""
        every = self.source()
        rows, images = self._kept(every)
        self._cell = numpy_rng(self.draw_seed, _STREAM).integers(self._variants(), size=len(every.label))[rows]
        if tuple(images.image.shape[1:]) != self.spec.image_shape:
            raise InvariantNetsError(
                f"the images are {tuple(images.image.shape[1:])}, but data.image_shape says {self.spec.image_shape}"
            )
        low, high = int(images.label.min()), int(images.label.max())
        if low < 0 or high >= self.spec.num_classes:
            raise InvariantNetsError(
                f"labels run from {low} to {high}, but data.num_classes={self.spec.num_classes} allows 0 to "
                f"{self.spec.num_classes - 1}"
            )
        if self.classes is not None and len(self.classes) != self.spec.num_classes:
            raise InvariantNetsError(
                f"data.num_classes={self.spec.num_classes}, but data.classes names {len(self.classes)}: give "
                f"data.num_classes={len(self.classes)}"
            )
        channels, height, width = self.spec.image_shape
        moved = [v for values in (self.values, self.test_values or {}) for v in values.get("translation", ())]
        for name, side in (("shift", self.shift), *(("values", abs(v)) for v in moved)):
            if side >= min(height, width):
                raise InvariantNetsError(f"data.{name}: {side:g} pixels move images of {height}×{width} out of sight")
        self._refuse_too_many(images)
        self._images = images
        return images.checksum()

    def _variants(self) -> int:
        return math.prod(map(len, self.values.values()))

    def _refuse_too_many(self, images: Images) -> None:
        tested = self.test_values or {}
        variants = max([1 if self.one_each else self._variants(), *map(len, tested.values())])
        size, memory = images.image.numel() * variants, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if size > memory:
            raise InvariantNetsError(
                f"data: {len(images.label):,} images in {variants:,} variants each ({', '.join(self.values)}) take "
                f"{size / 1e9:,.1f} GB, of {memory / 1e9:,.1f} GB of memory; give fewer values, or data.train_images="
            )

    def _kept(self, images: Images) -> tuple[np.ndarray, Images]:
        """Those of the wanted classes and, of the training images, so many as are wanted; and which they are."""
        label, kept = images.label.numpy(), np.arange(len(images.label))
        if self.classes is not None:
            if not self.classes or len(set(self.classes)) < len(self.classes):
                raise InvariantNetsError(f"data.classes: give one class or more, each once; got {list(self.classes)}")
            if lacking := sorted(set(self.classes) - set(label.tolist())):
                known = ", ".join(map(str, np.unique(label)))
                raise InvariantNetsError(f"data.classes: the source has no class {lacking[0]}; it has {known}")
            kept = np.flatnonzero(np.isin(label, self.classes))
            number = {old: new for new, old in enumerate(self.classes)}
            label = np.array([number[old] for old in label[kept].tolist()])
            images = Images(images.image[kept], torch.from_numpy(label), images.split[kept])
        train = np.flatnonzero(images.split == "train")
        if self.train_images is None or self.train_images >= len(train):
            return kept, images
        surplus = numpy_rng(self.seed, 7).permutation(train)[self.train_images :]
        rows = np.setdiff1d(np.arange(len(images.label)), surplus)
        return kept[rows], Images(images.image[rows], images.label[rows], images.split[rows])

    def class_names(self) -> tuple[str | int, ...]:
        """Their numbers in the source, where some of its classes were left out."""
        return tuple(self.classes or ())

    def listed(self, split: str) -> np.ndarray | None:
        """The class of each image, once they are loaded."""
        return (
            None if self._images is None else self._images.label[torch.from_numpy(self._images.split == split)].numpy()
        )

    def make_bank(self, split: str) -> Bank:
        """Every image of a split at every combination of values; at its own alone, where it has one."""
        assert self._images is not None
        first = SPLITS.index(split) * len(self._images.label)
        of_split = self._images.split == split
        rows = torch.from_numpy(of_split)
        values = self.test_values if split == "test" and self.test_values else self.values
        steps = [(PERTURBATIONS[name].apply, some) for name, some in values.items()]
        cells = self._cells(values)
        upright = self._images.image[rows]
        if self.one_each and values is self.values:
            cell = torch.from_numpy(self._cell[of_split])
            image = _drawn(upright, steps, cell)
            nuisance = {name: column[cell][:, None] for name, column in cells.items()}
        else:
            image = variant_bank(upright, steps)
            nuisance = {name: column.expand(len(image), -1) for name, column in cells.items()}
        return Bank(image, self._images.label[rows], nuisance, first)

    def _cells(self, values: Mapping[str, Sequence[float]]) -> dict[str, torch.Tensor]:
        """Name → its value in every combination of all, ``(A,)``; the codes of categories."""
        columns = torch.tensor(list(itertools.product(*values.values()))).T
        found = dict(zip(values, columns, strict=True))
        for nuisance in self.spec.nuisances:
            if nuisance.kind == "categorical":
                known = torch.tensor(sorted(self.values[nuisance.name]))
                found[nuisance.name] = torch.searchsorted(known, found[nuisance.name]).to(known.dtype)
        return found


def _drawn(images: torch.Tensor, steps: Steps, cell: torch.Tensor) -> torch.Tensor:
    """Each image in one variant of its own, ``(N, 1, C, H, W)``."""
    bank = torch.empty(len(images), 1, *images.shape[1:], dtype=torch.uint8)
    for number, values in enumerate(itertools.product(*(some for _, some in steps))):
        rows = torch.nonzero(cell == number).flatten()
        alone = [(apply, [value]) for (apply, _), value in zip(steps, values, strict=True)]
        bank[rows] = variant_bank(images[rows], alone)
    return bank


def _described(values: Mapping[str, Sequence[float]], kinds: Mapping[str, Kind]) -> tuple[Nuisance, ...]:
    """What varies, of the kind that is said, or that its values need."""
    if unknown := [name for name, kind in kinds.items() if name not in values or kind not in _KINDS]:
        has = ", ".join(values)
        raise InvariantNetsError(f"data.kinds.{unknown[0]}: choose {', '.join(_KINDS[:-1])} or {_KINDS[-1]}, of {has}")
    found = []
    for name, some in values.items():
        nuisance = PERTURBATIONS[name].nuisance
        wraps = nuisance.unit == "°" and max(some) - min(some) > HALF_TURN
        kind = kinds.get(name, "circular" if wraps else nuisance.kind)
        names = tuple(f"{value:g}{nuisance.unit.rstrip(ascii_letters)}" for value in sorted(some))  # "45°", "2"
        found.append(replace(nuisance, kind=kind, categories=names if kind == "categorical" else ()))
    return tuple(found)


def _tested(
    described: Sequence[Nuisance], values: Mapping[str, Sequence[float]], given: Sequence[float] | str
) -> dict[str, list[float]]:
    """The values that the test images are seen at."""
    if len(described) > 1:
        raise InvariantNetsError(f"data.test_values: of one nuisance alone, and these vary in {', '.join(values)}")
    (nuisance,) = described
    key = "data.test_angles" if nuisance.name == "angle" else "data.test_values"
    found = _seen(nuisance.name, parse_range(given, key), key)
    new = [value for value in found if value not in values[nuisance.name]]
    if nuisance.kind == "categorical" and new:
        raise InvariantNetsError(
            f"{key}: {new[0]:g} has no name among the categories ({', '.join(nuisance.categories)}), which are what is "
            f"trained on: say data.kinds={{{nuisance.name}: continuous}}"
        )
    return {nuisance.name: found}


def _one(nuisance: str | None, values: Sequence[float] | str | None) -> dict[str, list[float]]:
    if nuisance is None or values is None:
        raise InvariantNetsError("data: say what varies, by data.nuisance= and data.values=, or by data.vary={…}")
    _refuse_unknown(nuisance, f"data.nuisance={nuisance}")
    return {nuisance: _seen(nuisance, parse_range(values, "data.values"), "data.values")}


def _several(vary: Mapping[str, Sequence[float] | str | None], nuisance: str | None) -> dict[str, list[float]]:
    for name in vary:
        _refuse_unknown(name, f"data.vary.{name}")
    given = {name: vary[name] for name in PERTURBATIONS if vary.get(name) is not None}
    if nuisance is not None or not given:
        raise InvariantNetsError("data.vary: give one nuisance or more with values, and no data.nuisance beside it")
    return {
        name: _seen(name, parse_range(values, where := f"data.vary.{name}"), where)
        for name, values in given.items()
        if values is not None
    }


def _seen(name: str, values: list[float], where: str) -> list[float]:
    """The values, if something can be seen at each."""
    low, high = PERTURBATIONS[name][2:]
    for value in values:
        if not low <= value <= high:
            raise InvariantNetsError(
                f"{where}: {name} {value:g} leaves nothing to see; give values from {low} to {high}"
            )
    return values


def _refuse_unknown(name: str, where: str) -> None:
    if name not in PERTURBATIONS:
        raise InvariantNetsError(f"{where}: choose from {', '.join(PERTURBATIONS)}")


class RotatedImages(VariedImages):
    """Images at known angles: the data of section 4 of Rudd et al. (2016). Other arguments are those of `VariedImages`.

    Args:
        angles: degrees counter-clockwise, a list or ``start:stop:step``.
        test_angles: those at which every test image is seen, in place of its own; None: as the others.
    """

    def __init__(
        self,
        source: Callable[[], Images],
        num_classes: int,
        image_shape: Sequence[int],
        angles: Sequence[float] | str,
        classes: Sequence[int] | None = None,
        train_images: int | None = None,
        kinds: Mapping[str, Kind] | None = None,
        one_each: bool = False,
        draw_seed: int = 0,
        test_angles: Sequence[float] | str | None = None,
        **stream: Unpack[Stream],
    ):
        values = parse_range(angles, "data.angles")
        super().__init__(
            source, num_classes, image_shape, "angle", values, classes, train_images, kinds=kinds,
            one_each=one_each, draw_seed=draw_seed, test_values=test_angles, **stream,
        )  # fmt: skip
