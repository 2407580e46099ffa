"""An adversary that reads the nuisance, its gradient reversed (Ganin et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from invariantnets.constraints.head import HeadConstraint
from invariantnets.data import Batch


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


class Adversary(HeadConstraint):
    """A network of one hidden layer learns to read the nuisance; the features learn to prevent it.

    What its loss is, `HeadConstraint` says: 1 − R² for a number or an angle, cross-entropy for categories.

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
        head = nn.Sequential(nn.Linear(embedding_dim, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        super().__init__(layer, embedding_dim, nuisance, outputs, head, lr_multiplier, weight, ramp)
        self.beyond_chance = beyond_chance

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
        loss = self.reading_loss(scale_gradient(layer, reversal), batch)
        if not self.beyond_chance:
            reversal.masked_fill_(loss.detach() >= self.nothing_read, 0.0)
        return loss
