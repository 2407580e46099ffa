"""Images held as bytes in one array, and the data module around it: the base of all data sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypedDict

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from invariantnets.data.batch import Batch, DataSpec
from invariantnets.data.jitter import Jitter, jittered
from invariantnets.data.sampling import EpochSampler, OtherViews, Request
from invariantnets.errors import InvariantNetsError


def shifted(image: Tensor, shift: Tensor) -> Tensor:
    """Each picture moved by its own number of pixels; its border is repeated where nothing was.

    Args:
        image: ``(…, C, H, W)``.
        shift: ``(…, 2)`` int64, down and right.
    """
    height, width = image.shape[-2:]
    row = (torch.arange(height, device=image.device) - shift[..., :1]).clamp_(0, height - 1)
    column = (torch.arange(width, device=image.device) - shift[..., 1:]).clamp_(0, width - 1)
    moved = image.gather(-2, row[..., None, :, None].expand_as(image))
    return moved.gather(-1, column[..., None, None, :].expand_as(image))


class Pixels(Protocol):
    """Images as they are held, ``(N, A, C, H, W)`` uint8: a tensor, or what is indexed like one."""

    @property
    def shape(self) -> torch.Size:
        """``(N, A, C, H, W)``."""

    def __getitem__(self, index: Any, /) -> Tensor: ...


@dataclass(frozen=True)
class Bank(Dataset[Batch]):
    """Every image of a split in all its variants, held as bytes and fetched by one indexing operation.

    Attributes:
        stored: ``(N, A, C, H, W)`` uint8, perhaps in a file. The ``A`` variants of an image are
            made from it (the angles of a digit); a photograph has one.
        label: ``(N,)`` int64.
        nuisance: name → ``(N, A)`` float32, perhaps expanded views.
        first_source: number of the first image, so that sources are unique over splits.
        group: ``(N,)`` int64 what images have in common, the video of a frame: that is their source, then.
    """

    stored: Pixels
    label: Tensor
    nuisance: Mapping[str, Tensor] = field(default_factory=dict)
    first_source: int = 0
    group: Tensor | None = None

    def __len__(self) -> int:
        return len(self.label)

    @property
    def image(self) -> Tensor:
        """All of them, ``(N, A, C, H, W)`` uint8, perhaps memory-mapped. Of a cache every image is checked first."""
        return self.stored[:]

    @property
    def variants(self) -> int:
        """``A``, the number of variants of each image."""
        return self.stored.shape[1]

    def to(self, device: torch.device) -> Bank:
        """The same bank on another device: then batches are fetched there too."""
        nuisance = {name: values.to(device) for name, values in self.nuisance.items()}
        group = None if self.group is None else self.group.to(device)
        return replace(self, stored=self.image.to(device), label=self.label.to(device), nuisance=nuisance, group=group)

    def pixels(self, image: Tensor, variant: Tensor) -> Tensor:
        """``(…, C, H, W)`` uint8 of images and variants by number, both ``(…)``."""
        return self.stored[image, variant]

    def __getitem__(self, rows: Request) -> Batch:
        image, variant = rows.image.to(self.label.device), rows.variant.to(self.label.device)
        pixels = self.pixels(image, variant)
        if rows.shift is not None:
            pixels = shifted(pixels, rows.shift.to(pixels.device))
        if rows.jitter is not None:
            pixels = jittered(pixels, rows.jitter.to(pixels.device))
        return Batch(
            image=pixels,
            label=self.label[image[:, 0]],
            index=image * self.variants + variant,
            source=(image if self.group is None else self.group[image]) + self.first_source,
            nuisance={name: values[image, variant] for name, values in self.nuisance.items()},
        )


class InOrder:
    """Sampler for evaluation: every image once, with all its variants as the views of one sample."""

    def __init__(self, images: int, variants: int, batch_size: int, rank: int = 0, world: int = 1):
        self.images, self.variants, self.batch_size, self.rank, self.world = images, variants, batch_size, rank, world

    def __len__(self) -> int:
        return -(-len(range(self.rank, self.images, self.world)) // self.batch_size)

    def __iter__(self) -> Iterator[Request]:
        share = torch.arange(self.images)[self.rank :: self.world]
        for start in range(0, len(share), self.batch_size):
            image = share[start : start + self.batch_size]
            yield Request(image[:, None].expand(-1, self.variants), torch.arange(self.variants).expand(len(image), -1))


class Stream(TypedDict, total=False):
    """What every data set takes: how training batches are made. See :class:`BankedImages`."""

    batch_size: int
    epoch_batches: int
    views: int
    pairs: OtherViews
    seed: int
    on_device: bool
    shift: int
    jitter: Jitter | None


class BankedImages(pl.LightningDataModule, ABC):
    """Training: random images and variants. Validation and test: every image in all its variants.

    Rows of ``train`` and ``val`` carry labels ``0 .. num_classes - 1``; ``val`` holds other images
    of the same classes. Where people are divided (:meth:`identities`), those of ``test`` are others,
    numbered from ``num_classes`` on. A split may be empty: a set that is only ever tested on.

    A subclass says how its files are read (:meth:`load`) and how a split is made from them
    (:meth:`make_bank`).

    Args:
        spec: image shape, classes and nuisances.
        batch_size: images per training batch and process (times ``views``).
        epoch_batches: training batches between two validations.
        views: images per training sample; more than one for constraints that compare images.
        pairs: what the other views are, ``same_image`` or ``same_class``.
        seed: of the training stream.
        on_device: keep the banks on the training device.
        shift: training pictures are moved by up to so many pixels, each by its own.
        jitter: what else is done to training pictures, each by its own draws, after that; None is nothing. Their
            batches then hold only the nuisances that it spares.

    Attributes:
        checksum: of images, labels and division, once set up: what a result was measured on.
    """

    def __init__(
        self,
        spec: DataSpec,
        batch_size: int = 64,
        epoch_batches: int = 500,
        views: int = 1,
        pairs: OtherViews = "same_image",
        seed: int = 0,
        on_device: bool = False,
        shift: int = 0,
        jitter: Jitter | None = None,
    ):
        super().__init__()
        self.spec = spec
        self.batch_size, self.epoch_batches, self.views, self.pairs = batch_size, epoch_batches, views, pairs
        self.seed, self.on_device, self.shift, self.jitter = seed, on_device, shift, jitter
        self.checksum: str | None = None
        self._banks: dict[str, Bank] = {}

    @abstractmethod
    def load(self) -> str:
        """Read what the banks are made from, check it against the declaration, return its checksum."""

    @abstractmethod
    def make_bank(self, split: str) -> Bank:
        """The images of ``train``, ``val`` or ``test``. Called once each, after :meth:`load`."""

    def identities(self, split: str) -> tuple[str, ...] | None:
        """Names of the people in a split, for data that are divided by person; None for others."""
        return None

    def listed(self, split: str) -> np.ndarray | None:
        """``(N,)`` who each image of a split shows, where that is known before one is read; None where it is not."""
        return None

    def names(self, split: str) -> np.ndarray | None:
        """``(N,)`` unique names of a split's images, which lists of pairs refer to; None if they have none."""
        return None

    def landmarks(self, split: str, image: Tensor) -> np.ndarray | None:
        """Where the points of a face are in some images of a split, known exactly; None where they are not.

        Args:
            split: ``train``, ``val`` or ``test``.
            image: ``(n,)`` int64 numbers of images in its bank.

        Returns:
            ``(n, 68, 2)`` float64, x and y in pixels of the picture in iBUG's order; pixel centres are whole numbers.
        """
        return None

    def class_names(self) -> tuple[str | int, ...]:
        """What the classes are called, in the order of their numbers; empty if by no other name."""
        return ()

    def portraits(self, label: np.ndarray) -> Tensor:
        """A picture of each of some classes that are trained on, to show them by: ``(N, C, H, W)`` uint8."""
        bank = self.bank("train")
        known, row = np.unique(bank.label.cpu().numpy(), return_index=True)
        return bank.stored[torch.from_numpy(row[np.searchsorted(known, label)]), 0]

    def setup(self, stage: str | None = None) -> None:
        """Load once.

        Raises:
            InvariantNetsError: a person in both ``train`` and ``test``; or what the data set raises.
        """
        if self.checksum is None:
            checksum = self.load()
            self.guard()
            self.checksum = checksum

    def guard(self) -> None:
        """See that nobody is both trained and tested on.

        Raises:
            InvariantNetsError: naming some of those who are.
        """
        shared = sorted(set(self.identities("train") or ()) & set(self.identities("test") or ()))
        if shared:
            named = ", ".join(shared[:3]) + (", …" if len(shared) > 3 else "")
            raise InvariantNetsError(
                f"{len(shared)} people are in both train and test ({named}): the test would be of people trained on. "
                "Move each to one of the two, or declare a closed set with data.division=image"
            )

    def bank(self, split: str) -> Bank:
        """The images of ``train``, ``val`` or ``test``; made on first use and kept."""
        self.setup()
        if split not in self._banks:
            bank = self.make_bank(split)
            self._banks[split] = bank.to(self._device()) if self.on_device else bank
        return self._banks[split]

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")

    def _share(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Random images and variants, ``views`` at a time.

        Raises:
            InvariantNetsError: data without images to train on, or to choose the best epoch with.
        """
        for split in ("train", "val"):
            if not len(self.bank(split)):
                raise InvariantNetsError(
                    f"these data have no {split} images: training needs train and val. A set that is all test is for "
                    "evaluate.py"
                )
        bank = self.bank("train")
        if self.jitter is not None:
            spared = {n.name for n in self.spec.nuisances if self.jitter.spares(n)}
            bank = replace(bank, nuisance={name: x for name, x in bank.nuisance.items() if name in spared})
        rank, world = self._share()
        sampler = EpochSampler(
            bank.label.cpu().numpy(), bank.variants, self.batch_size, self.epoch_batches,
            self.views, self.pairs, self.seed, rank, world, self.shift, self.jitter,
        )  # fmt: skip
        return _loader(bank, sampler)

    def loader(self, split: str, batch_size: int = 128) -> DataLoader[Batch]:
        """Every image of a split in order, its variants as views (``V`` = number of variants)."""
        bank = self.bank(split)
        return _loader(bank, InOrder(len(bank), bank.variants, batch_size, *self._share()))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation images in all their variants."""
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test images in all their variants."""
        return self.loader("test")


def _loader(bank: Bank, sampler: EpochSampler | InOrder) -> DataLoader[Batch]:
    # A generator of its own: DataLoader otherwise draws from the global one at every epoch.
    return DataLoader(bank, sampler=sampler, batch_size=None, generator=torch.Generator().manual_seed(0))
