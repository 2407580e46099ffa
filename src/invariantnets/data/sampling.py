"""Which images make which training batch: a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from invariantnets.data.jitter import Jitter
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import numpy_rng

OtherViews = Literal["same_image", "same_class"]


@dataclass(frozen=True)
class Request:
    """The rows of one batch: numbers of images and of their variants, each ``(B, V)`` int64.

    ``shift`` is how far each picture is moved, ``(B, V, 2)`` int64 pixels down and right; ``jitter`` what else is done
    to it, ``(B, V, 7)``, see `jittered`. None is not at all.
    """

    image: Tensor
    variant: Tensor
    shift: Tensor | None = None
    jitter: Tensor | None = None


class EpochSampler(Sampler[Request]):
    """Batches of an endless shuffled stream, cut into epochs of ``batches``.

    Batch ``t`` holds the positions ``[tB, (t+1)B)`` of an endless row of permutations of the images,
    so that every image is seen once before any is seen again whatever the length of an epoch. The
    permutations, the variants, the shifts and the jitter depend on ``(seed, number)`` alone: an interrupted run
    that starts again at an epoch sees the stream it would have seen, and no generator need be saved.

    Args:
        label: ``(N,)`` class of each image.
        variants: number of variants of each image to draw from (the angles of a digit).
        batch_size: images per batch and process.
        batches: batches per epoch.
        views: images per sample.
        pairs: what the other views are: other variants of the same image, or other images of the class.
        seed: of the stream.
        rank, world: this process's share of every batch.
        shift: each picture is moved by up to so many pixels either way.
        jitter: how much else is done to each; None is nothing.

    Raises:
        InvariantNetsError: more views of an image than variants, a class with a single image where
            pairs of one class are asked for, or a negative shift.
    """

    def __init__(
        self,
        label: np.ndarray,
        variants: int,
        batch_size: int,
        batches: int,
        views: int = 1,
        pairs: OtherViews = "same_image",
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        shift: int = 0,
        jitter: Jitter | None = None,
    ):
        if shift < 0:
            raise InvariantNetsError(f"data.shift={shift}: give the pixels that pictures are moved by at most, or 0")
        if pairs not in ("same_image", "same_class"):
            raise InvariantNetsError(f"pairs={pairs}: choose same_image or same_class")
        if pairs == "same_image" and views > variants:
            raise InvariantNetsError(
                f"views={views} of one image need {views} variants of it (data.angles=, values= or vary=), but these "
                f"data have {variants}; or use pairs=same_class"
            )
        counts = np.bincount(label)
        if views > 1 and pairs == "same_class" and (counts == 1).any():
            lone = int(np.flatnonzero(counts == 1)[0])
            raise InvariantNetsError(
                f"pairs=same_class needs two images per class, but class {lone} has one; "
                "use pairs=same_image or drop the class"
            )
        self.label, self.variants, self.batch_size, self.batches = label, variants, batch_size, batches
        self.views, self.pairs, self.seed, self.rank, self.world = views, pairs, seed, rank, world
        self.shift, self.jitter, self.epoch = shift, jitter, 0
        # Images grouped by class, and where each image stands in its group.
        self._by_class = np.argsort(label, kind="stable")
        self._start = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._count = counts
        self._place = np.empty(len(label), np.int64)
        self._place[self._by_class] = np.arange(len(label)) - self._start[label[self._by_class]]

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def epoch_rows(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and variant numbers of a whole epoch over all processes, each ``(batches · B · world, V)``."""
        total = self.batches * self.batch_size * self.world
        first, size = epoch * total, len(self.label)
        passes = range(first // size, (first + total - 1) // size + 1)
        stream = np.concatenate([numpy_rng(self.seed, 0, number).permutation(size) for number in passes])
        anchor = stream[first - passes[0] * size :][:total]
        rng = numpy_rng(self.seed, 1, epoch)
        if self.pairs == "same_image":
            variant = rng.random((total, self.variants)).argsort(1)[:, : self.views]  # all different
            return np.repeat(anchor[:, None], self.views, 1), variant
        variant = rng.integers(self.variants, size=(total, self.views))
        group = self.label[anchor]
        count = self._count[group][:, None]
        step = 1 + np.floor(rng.random((total, self.views - 1)) * (count - 1)).astype(np.int64)  # never the anchor
        other = self._by_class[self._start[group][:, None] + (self._place[anchor][:, None] + step) % count]
        return np.concatenate([anchor[:, None], other], 1), variant

    def epoch_shifts(self, epoch: int) -> np.ndarray | None:
        """What goes with `epoch_rows`: ``(batches · B · world, V, 2)`` int64, or None without shifts."""
        if not self.shift:
            return None
        rows = self.batches * self.batch_size * self.world
        return numpy_rng(self.seed, 2, epoch).integers(-self.shift, self.shift + 1, (rows, self.views, 2))

    def epoch_jitter(self, epoch: int) -> np.ndarray | None:
        """What goes with `epoch_rows`: ``(batches · B · world, V, 7)`` float32, or None without jitter."""
        if self.jitter is None:
            return None
        rows = self.batches * self.batch_size * self.world
        return self.jitter.draws(numpy_rng(self.seed, 3, epoch), (rows, self.views))

    def __iter__(self) -> Iterator[Request]:
        image, variant = self.epoch_rows(self.epoch)
        changes = {"shift": self.epoch_shifts(self.epoch), "jitter": self.epoch_jitter(self.epoch)}
        columns = {"image": image, "variant": variant, **{k: rows for k, rows in changes.items() if rows is not None}}
        every = {name: torch.from_numpy(rows) for name, rows in columns.items()}
        for step in range(self.batches):
            start = (step * self.world + self.rank) * self.batch_size
            yield Request(**{name: rows[start : start + self.batch_size] for name, rows in every.items()})
