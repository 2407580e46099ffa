"""An adversary that reads the nuisance, its gradient reversed (Ganin et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.backbones import Trainable
from invariantnets.constraints.nuisance import NuisanceConstraint
from invariantnets.constraints.rows import as_rows
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError


class _ScaleGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float | Tensor) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * grad, None


def scale_gradient(x: Tensor, factor: float | Tensor) -> Tensor:
    """``x``, with its gradient multiplied by ``factor``: -1 reverses it (Ganin et al. 2016, section 4.2).

    A tensor may be filled in until the gradient is asked for.
    """
    scaled: Tensor = _ScaleGradient.apply(x, factor)
    return scaled


class Adversary(NuisanceConstraint):
    """A network of one hidden layer learns to read the nuisance; the features learn to prevent it.

    A number or an angle is read by least squares from its encoding, centred and divided by its total
    standard deviation over the training images: the loss is 1 for an adversary that reads nothing, and
    1 − R² for any other. Categories are read by cross-entropy, in nats.

    The weight, and its ramp, are of the gradient that goes back to the network; the adversary itself
    always learns at full rate (Ganin et al. 2016, section 5.2), times ``lr_multiplier``. In training
    the term is the adversary's loss. In validation, where it helps to choose the best epoch, it is
    the weighted amount by which that loss is below chance: an adversary that reads well is a fault of
    the features, and one that reads worse than chance is no merit.

    That holds for the gradient too unless ``beyond_chance``: a squared error has no upper bound, and a
    network that gains by raising it further makes its features grow without end. In a batch in which the
    adversary reads nothing there is nothing more to gain.

    It is told the nuisance. Linear in the batch.

    Args:
        layer: whose features are read.
        embedding_dim: its width.
        nuisance: its name.
        outputs: columns of the encoded nuisance: 1 for a number, 2 for an angle, else its categories.
        hidden: width of the hidden layer.
        lr_multiplier: learning rate of the adversary relative to the network's.
        weight: of the reversed gradient.
        ramp: steps over which the weight rises from 0.
        beyond_chance: whether the network is rewarded for an adversary that reads worse than chance, as a gradient
            that is reversed and nothing else does (Ganin et al. 2016).

    Raises:
        InvariantNetsError: a layer of another width; from `connect`, a nuisance of other columns.
    """

    def __init__(
        self,
        layer: str,
        embedding_dim: int,
        nuisance: str,
        outputs: int = 1,
        hidden: int = 128,
        lr_multiplier: float = 1.0,
        weight: float = 1.0,
        ramp: int = 0,
        beyond_chance: bool = True,  # what checkpoints without the entry were trained with
    ):
        super().__init__([layer], nuisance, weight=weight, ramp=ramp)
        self.embedding_dim, self.outputs, self.lr_multiplier = embedding_dim, outputs, lr_multiplier
        self.beyond_chance = beyond_chance
        self.head = nn.Sequential(nn.Linear(embedding_dim, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(()))

    def connect(self, spec: DataSpec) -> None:
        """Look the nuisance up, and check that the adversary fits it."""
        super().connect(spec)
        known = self.described()
        columns = {"continuous": 1, "circular": 2}.get(known.kind, len(known.categories))
        if columns != self.outputs:
            raise InvariantNetsError(
                f"Adversary: {known.name} is {known.kind}, encoded in {columns} columns, not {self.outputs}: "
                f"set model.constraints.<name>.outputs={columns}"
            )

    @property
    def classifies(self) -> bool:
        """Whether the nuisance is a category."""
        return self.described().kind in ("categorical", "binary")

    @property
    def nothing_read(self) -> float:
        """The loss of an adversary that reads nothing."""
        return math.log(self.outputs) if self.classifies else 1.0

    @torch.no_grad()
    def prepare(self, teacher: Trainable | None, batches: Callable[[], Iterable[Batch]]) -> None:
        """Mean and spread of a numerical nuisance: one pass over the training images."""
        if self.classifies:
            return
        encoded = torch.cat([self.encoded(batch).double().cpu() for batch in batches()])
        mean = encoded.mean(0)
        spread = (encoded - mean).square().sum(1).mean().sqrt()
        if spread == 0:
            raise InvariantNetsError(f"Adversary: {self.nuisance} is the same for all training images; drop the term")
        self.mean.copy_(mean)
        self.scale.copy_(spread)

    def term(self, layers: dict[str, Tensor], batch: Batch, step: int | None = None) -> Tensor:
        """In training the adversary's loss, its gradient weighted on the way back; see the class for validation."""
        layer, weight = self.layers[0], self.weight_at(step)
        if self.training:
            loss: Tensor = self({layer: scale_gradient(layers[layer], weight)}, batch)
            return loss
        return weight * (self.nothing_read - self(layers, batch)).relu()

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar: the adversary's loss. ``layers[layer]``, ``(B, V, …)``, gets its gradient reversed."""
        layer = layers[self.layers[0]]
        reversal = layer.new_full((), -1.0)
        x = as_rows(scale_gradient(layer, reversal))
        if x.shape[1] != self.embedding_dim:
            raise InvariantNetsError(
                f"Adversary: {self.layers[0]} is {x.shape[1]} wide: set "
                f"model.constraints.<name>.embedding_dim={x.shape[1]}"
            )
        read = self.head(x).to(x.dtype)
        if self.classifies:
            loss = F.cross_entropy(read, self.values(batch).long())
        else:
            wanted = (self.encoded(batch) - self.mean) / self.scale
            loss = (read - wanted).square().sum(1).mean()
        if not self.beyond_chance:
            reversal.masked_fill_(loss.detach() >= self.nothing_read, 0.0)
        return loss
