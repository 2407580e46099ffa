"""Images at known rotation angles: the data of section 4 of Rudd et al. (2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from invariantnets.data.batch import Batch, DataSpec, Nuisance, parse_range
from invariantnets.data.rotation import rotation_bank
from invariantnets.data.sampling import EpochSampler, Pairs, Request
from invariantnets.data.sources import Images
from invariantnets.errors import InvariantNetsError


@dataclass(frozen=True)
class Bank(Dataset[Batch]):
    """Every image of a split at every angle, held as bytes and fetched by one indexing operation.

    Attributes:
        image: ``(N, A, C, H, W)`` uint8.
        label: ``(N,)`` int64.
        angle: ``(A,)`` float32, degrees.
        first_source: number of the first image, so that sources are unique over splits.
    """

    image: Tensor
    label: Tensor
    angle: Tensor
    first_source: int

    def __len__(self) -> int:
        return len(self.label)

    def to(self, device: torch.device) -> Bank:
        """The same bank on another device: then batches are fetched there too."""
        return Bank(self.image.to(device), self.label.to(device), self.angle.to(device), self.first_source)

    def __getitem__(self, rows: Request) -> Batch:
        image, angle = rows.image.to(self.label.device), rows.angle.to(self.label.device)
        return Batch(
            image=self.image[image, angle],
            label=self.label[image[:, 0]],
            index=image * len(self.angle) + angle,
            source=image + self.first_source,
            nuisance={"angle": self.angle[angle]},
        )


class InOrder:
    """Sampler for evaluation: every image once, at all its angles as the views of one sample."""

    def __init__(self, images: int, angles: int, batch_size: int, rank: int = 0, world: int = 1):
        self.images, self.angles, self.batch_size, self.rank, self.world = images, angles, batch_size, rank, world

    def __len__(self) -> int:
        return -(-len(range(self.rank, self.images, self.world)) // self.batch_size)

    def __iter__(self) -> Iterator[Request]:
        for image in torch.arange(self.rank, self.images, self.world).split(self.batch_size):
            yield Request(image[:, None].expand(-1, self.angles), torch.arange(self.angles).expand(len(image), -1))


class RotatedImages(pl.LightningDataModule):
    """Training: random angles. Validation and test: every image at every angle.

    The division is by image, so that no rotation of a training image is ever tested on.

    Args:
        source: returns the upright images.
        num_classes: labels must lie in ``0 .. num_classes - 1``.
        image_shape: ``(C, H, W)`` the source must give.
        angles: degrees counter-clockwise, a list or ``start:stop:step``.
        batch_size: images per training batch and process (times ``views``).
        epoch_batches: training batches between two validations.
        views: images per training sample; more than one for pair constraints.
        pairs: what the other views are, ``same_image`` or ``same_class``.
        seed: of the training stream.
        on_device: keep the banks on the training device.

    Raises:
        InvariantNetsError: labels or shapes other than declared.
    """

    def __init__(
        self,
        source: Callable[[], Images],
        num_classes: int,
        image_shape: Sequence[int],
        angles: Sequence[float] | str,
        batch_size: int = 64,
        epoch_batches: int = 500,
        views: int = 1,
        pairs: Pairs = "same_image",
        seed: int = 0,
        on_device: bool = False,
    ):
        super().__init__()
        channels, height, width = image_shape
        self.spec = DataSpec((channels, height, width), num_classes, (Nuisance("angle", "continuous", "°"),))
        self.source, self.angles = source, parse_range(angles, "data.angles")
        self.batch_size, self.epoch_batches, self.views, self.pairs = batch_size, epoch_batches, views, pairs
        self.seed, self.on_device = seed, on_device
        self.checksum: str | None = None
        self._images: Images | None = None
        self._banks: dict[str, Bank] = {}

    def setup(self, stage: str | None = None) -> None:
        """Load the images once, check them against the declaration."""
        if self._images is None:
            images = self.source()
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
            self.checksum, self._images = images.checksum(), images

    def bank(self, split: str) -> Bank:
        """The rotated images of ``train``, ``val`` or ``test``; made on first use and kept."""
        self.setup()
        assert self._images is not None
        if split not in self._banks:
            first = {"train": 0, "val": 1, "test": 2}[split] * len(self._images.label)
            rows = torch.from_numpy(self._images.split == split)
            image = rotation_bank(self._images.image[rows], self.angles)
            bank = Bank(image, self._images.label[rows], torch.tensor(self.angles), first)
            self._banks[split] = bank.to(self._device()) if self.on_device else bank
        return self._banks[split]

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")

    def _share(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Random angles, ``views`` at a time."""
        bank = self.bank("train")
        rank, world = self._share()
        sampler = EpochSampler(
            bank.label.cpu().numpy(), len(self.angles), self.batch_size, self.epoch_batches,
            self.views, self.pairs, self.seed, rank, world,
        )  # fmt: skip
        return _loader(bank, sampler)

    def loader(self, split: str, batch_size: int = 128) -> DataLoader[Batch]:
        """Every image of a split at every angle, in order (``V`` = number of angles)."""
        bank = self.bank(split)
        return _loader(bank, InOrder(len(bank), len(self.angles), batch_size, *self._share()))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation images at every angle."""
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test images at every angle."""
        return self.loader("test")


def _loader(bank: Bank, sampler: EpochSampler | InOrder) -> DataLoader[Batch]:
    # A generator of its own: DataLoader otherwise draws from the global one at every epoch.
    return DataLoader(bank, sampler=sampler, batch_size=None, generator=torch.Generator().manual_seed(0))
