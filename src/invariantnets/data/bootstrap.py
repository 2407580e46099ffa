"""Some people of a pool, under labels of their own: what semantic bootstrapping trains on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from invariantnets.data.banked import Bank, BankedImages, Stream
from invariantnets.data.batch import DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.files import replacing
from invariantnets.nuisance import SPLITS

if TYPE_CHECKING:
    from typing_extensions import Unpack

By = Literal["hyperplanes", "random", "instances"]


@dataclass(frozen=True)
class Subset(Bank):
    """Some images of another bank, which stay where they are.

    Attributes:
        row: ``(N,)`` int64, those of the images. ``label`` and ``nuisance`` have ``N`` rows as well.
    """

    row: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def to(self, device: torch.device) -> Bank:
        """A bank of these images alone, on another device."""
        return Bank(self.stored[self.row], self.label, self.nuisance, self.first_source, self.group).to(device)

    def pixels(self, image: Tensor, variant: Tensor) -> Tensor:
        """Of some of these images."""
        return self.stored[self.row[image], variant]


@dataclass(frozen=True)
class Pictures:
    """The pictures of a pool that were chosen, and whose they are said to be.

    Attributes:
        row: ``(N,)`` int64, in the pool's ``train`` or ``val``.
        split: ``(N,)`` of ``train`` and ``val``.
        identity: ``(N,)`` int64, the pool's label that the picture carries, which may be a wrong one.
    """

    row: np.ndarray
    split: np.ndarray
    identity: np.ndarray

    @property
    def identities(self) -> np.ndarray:
        """``(U,)`` int64, ascending: who is trained on. Number ``i`` of them gets label ``i``."""
        return np.unique(self.identity[self.split == "train"])

    def save(self, path: Path) -> None:
        """Write a parquet table with a row for each.

        Raises:
            InvariantNetsError: it cannot be written, or the disk is full.
        """
        try:
            with replacing(path) as file:
                pd.DataFrame(vars(self)).to_parquet(file, write_page_checksum=True)
        except OSError as error:
            raise InvariantNetsError(f"{path}: cannot be written ({error.strerror}); free the disk") from error


def load_pictures(path: Path) -> Pictures:
    """Read what :meth:`Pictures.save` wrote.

    Raises:
        InvariantNetsError: it is missing or damaged.
    """
    try:
        if path.is_dir():  # else every file below would be looked at
            raise IsADirectoryError("it is a folder")
        table = pd.read_parquet(path, page_checksum_verification=True)
        return Pictures(*(table[name].to_numpy() for name in ("row", "split", "identity")))
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise InvariantNetsError(
            f"data.pictures={path}: cannot be read ({reason}); train.py writes it, beside the run's checkpoints"
        ) from None


class SelectedFaces(BankedImages):
    """Pictures chosen out of a pool; ``test`` is the pool's own.

    The people chosen are numbered anew, from 0, and those of ``test`` after them. Nothing of the pool is copied:
    its images are read where they lie. How pictures are chosen, once there is a network to choose by,
    ``invariantnets.look_alikes`` says; the arguments from ``features_from`` to ``folder`` are its knobs.

    Args:
        pool: the people to choose from (``train``, ``val``), and those to test on.
        image_shape: of the pool.
        num_classes: how many people were chosen; 0 before they are.
        pictures: the table of those that were chosen; None before.
        features_from: the checkpoint that they are chosen with.
        by: ``hyperplanes``, ``random`` or ``instances``.
        seeds: people drawn at random.
        neighbours: people that each seed selects, itself included.
        negatives: pictures that each person is told from.
        label_noise: share of the pool's training pictures that carry the name of somebody else in the pool.
        choice_seed: of all that is drawn.
        folder: where features, hyperplanes and selection are kept.
        **stream: how training batches are made, see :class:`~invariantnets.data.BankedImages`.

    Raises:
        InvariantNetsError: an unknown ``by``, a share outside [0, 1), or another image shape than the pool's.
    """

    def __init__(
        self,
        pool: BankedImages,
        image_shape: Sequence[int],
        num_classes: int = 0,
        pictures: str | None = None,
        features_from: str = "",
        by: By = "hyperplanes",
        seeds: int = 12,
        neighbours: int = 50,
        negatives: int = 2000,
        label_noise: float = 0.0,
        choice_seed: int = 0,
        folder: str = "",
        **stream: Unpack[Stream],
    ):
        if by not in get_args(By):
            raise InvariantNetsError(f"data.by={by}: choose {', '.join(get_args(By))}")
        if not 0 <= label_noise < 1:
            raise InvariantNetsError(f"data.label_noise={label_noise}: must lie in [0, 1)")
        if tuple(image_shape) != pool.spec.image_shape:
            raise InvariantNetsError(
                f"data.image_shape={list(image_shape)}, but the pool's images are {list(pool.spec.image_shape)}"
            )
        super().__init__(DataSpec(pool.spec.image_shape, num_classes, pool.spec.nuisances), **stream)
        self.pool, self.pictures, self.features_from, self.folder = pool, pictures, features_from, Path(folder)
        self.by, self.seeds, self.neighbours, self.negatives = by, seeds, neighbours, negatives
        self.label_noise, self.choice_seed = label_noise, choice_seed
        self._chosen: Pictures | None = None

    def prepare_data(self) -> None:
        """The pool's, in one process of a machine."""
        self.pool.prepare_data()

    def load(self) -> str:
        """Set up the pool and read which of its pictures were chosen.

        Raises:
            InvariantNetsError: none were, another number of people than declared, or pictures that the pool lacks.
        """
        self.pool.setup()
        if self.pictures is None:
            raise InvariantNetsError("data=bootstrap: no pictures have been chosen; train.py does it before it trains")
        self._chosen = load_pictures(Path(self.pictures))
        if (people := len(self._chosen.identities)) != self.spec.num_classes:
            raise InvariantNetsError(
                f"data.num_classes={self.spec.num_classes}, but {self.pictures} shows {people} people"
            )
        for split in ("train", "val"):
            rows, size = self._rows(split), len(self.pool.bank(split))
            if len(rows) and not 0 <= rows.min() <= rows.max() < size:
                raise InvariantNetsError(
                    f"data.pictures={self.pictures}: row {rows.max()} of {split} is none of the pool's {size}; it was "
                    "made for another pool"
                )
        digest = hashlib.sha256(str(self.pool.checksum).encode())
        for values in (self._chosen.row, self._chosen.identity, self._chosen.split.astype("S5")):
            digest.update(values.tobytes())
        return digest.hexdigest()

    @property
    def chosen(self) -> Pictures:
        """The pictures to train and validate on."""
        assert self._chosen is not None, "setup() comes first"
        return self._chosen

    def _rows(self, split: str) -> np.ndarray:
        return self.chosen.row[self.chosen.split == split]

    def make_bank(self, split: str) -> Bank:
        """The chosen images of ``train`` or ``val``, under their new labels, or the pool's ``test``."""
        bank = self.pool.bank(split)
        first = sum(len(self._rows(s)) for s in SPLITS[: SPLITS.index(split)])
        if split == "test":
            label = bank.label + self.spec.num_classes - self.pool.spec.num_classes
            return replace(bank, label=label, first_source=first)
        label = np.searchsorted(self.chosen.identities, self.chosen.identity[self.chosen.split == split])
        row = torch.from_numpy(self._rows(split))
        nuisance = {name: values[row] for name, values in bank.nuisance.items()}
        group = None if bank.group is None else bank.group[row]
        return Subset(bank.stored, torch.from_numpy(label), nuisance, first, group, row=row)

    def identities(self, split: str) -> tuple[str, ...] | None:
        """Names of the people; of ``train``, both of those that labels name and of those who are on the pictures."""
        names = self.pool.identities(split)
        if names is None or split == "test":
            return names
        shown = self.pool.bank(split).label[torch.from_numpy(self._rows(split))].numpy()
        return tuple(names[i] for i in np.union1d(shown, self.chosen.identities).tolist())

    def listed(self, split: str) -> np.ndarray | None:
        """Who each picture is said to show, once the pictures are chosen; of ``test``, as the pool says."""
        if split == "test":
            return self.pool.listed(split)
        names = self.pool.identities("train")
        if self._chosen is None or names is None:
            return None
        return np.array(names)[self._chosen.identity[self._chosen.split == split]]

    def names(self, split: str) -> np.ndarray | None:
        """The pool's."""
        names = self.pool.names(split)
        return names if names is None or split == "test" else names[self._rows(split)]
