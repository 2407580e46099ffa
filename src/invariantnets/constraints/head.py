"""A head of its own that reads the nuisance from features: what an adversary and its opposite have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.backbones import Trainable
from invariantnets.constraints.nuisance import NuisanceConstraint
from invariantnets.constraints.rows import as_rows
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError


class HeadConstraint(NuisanceConstraint):
    """A constraint with a head that learns to read the nuisance from one layer.

    A number or an angle is read by least squares from its encoding, centred and divided by its total
    standard deviation over the training images: the loss is 1 for a head that reads nothing, and
    1 − R² for any other. Categories are read by cross-entropy, in nats.

    Args:
        layer: whose features are read.
        embedding_dim: its width.
        nuisance: its name.
        outputs: columns of the encoded nuisance: 1 for a number, 2 for an angle, else its categories.
        head: ``(N, embedding_dim)`` → ``(N, outputs)``.
        lr_multiplier: learning rate of the head relative to the network's.
        weight: of the term.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(
        self,
        layer: str,
        embedding_dim: int,
        nuisance: str,
        outputs: int,
        head: nn.Module,
        lr_multiplier: float = 1.0,
        weight: float = 1.0,
        ramp: int = 0,
    ):
        super().__init__([layer], nuisance, weight=weight, ramp=ramp)
        self.embedding_dim, self.outputs, self.lr_multiplier, self.head = embedding_dim, outputs, lr_multiplier, head
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(()))

    def connect(self, spec: DataSpec) -> None:
        """Look the nuisance up, and check that the head fits it.

        Raises:
            InvariantNetsError: the data do not have it, or it has other columns.
        """
        super().connect(spec)
        known = self.described()
        columns = {"continuous": 1, "circular": 2}.get(known.kind, len(known.categories))
        if columns != self.outputs:
            raise InvariantNetsError(
                f"{type(self).__name__}: {known.name} is {known.kind}, encoded in {columns} columns, not "
                f"{self.outputs}: set model.constraints.<name>.outputs={columns}"
            )

    @property
    def classifies(self) -> bool:
        """Whether the nuisance is a category."""
        return self.described().kind in ("categorical", "binary")

    @property
    def nothing_read(self) -> float:
        """The loss of a head that reads nothing."""
        return math.log(self.outputs) if self.classifies else 1.0

    @torch.no_grad()
    def prepare(self, teacher: Trainable | None, batches: Callable[[], Iterable[Batch]]) -> None:
        """Mean and spread of a numerical nuisance: one pass over the training images.

        Raises:
            InvariantNetsError: all training images have it alike.
        """
        if self.classifies:
            return
        encoded = torch.cat([self.encoded(batch).double().cpu() for batch in batches()])
        mean = encoded.mean(0)
        spread = (encoded - mean).square().sum(1).mean().sqrt()
        if spread == 0:
            raise InvariantNetsError(
                f"{type(self).__name__}: {self.nuisance} is the same for all training images; drop the term"
            )
        self.mean.copy_(mean)
        self.scale.copy_(spread)

    def reading_loss(self, features: Tensor, batch: Batch) -> Tensor:
        """Scalar: the head's loss on ``(B, V, …)`` features.

        Raises:
            InvariantNetsError: they have another width.
        """
        x = as_rows(features)
        if x.shape[1] != self.embedding_dim:
            raise InvariantNetsError(
                f"{type(self).__name__}: {self.layers[0]} is {x.shape[1]} wide: set "
                f"model.constraints.<name>.embedding_dim={x.shape[1]}"
            )
        read = self.head(x).to(x.dtype)
        if self.classifies:
            return F.cross_entropy(read, self.values(batch).long())
        wanted = (self.encoded(batch) - self.mean) / self.scale
        return (read - wanted).square().sum(1).mean()
