"""Softmax cross-entropy on the class scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.constraints.constraint import Constraint
from invariantnets.data import Batch


class Softmax(Constraint):
    """Cross-entropy of the first view (PAIR, figure 5 of Rudd et al. 2016); of all views in evaluation.

    Args:
        layer: the class scores.
        num_classes: their number.
        weight: of the term.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(self, layer: str, num_classes: int, weight: float = 1.0, ramp: int = 0):
        super().__init__([layer], weight, ramp=ramp)
        self.num_classes = num_classes

    def chance(self) -> float:
        """The entropy of equal scores."""
        return math.log(self.num_classes)

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar, in nats. ``layers[layer]`` is ``(B, V, num_classes)``."""
        scores = layers[self.layers[0]]
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if self.training:
            return F.cross_entropy(scores[:, 0], batch.label)
        return F.cross_entropy(scores.flatten(0, 1), batch.label.repeat_interleave(scores.shape[1]))
