"""Softmax cross-entropy on the class scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.backbones import Trainable
from invariantnets.constraints.constraint import Constraint
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError


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

    def bind(self, backbone: Trainable) -> None:
        """See that the layer is that of the class scores.

        Raises:
            InvariantNetsError: it is another.
        """
        if self.layers[0] != backbone.classifier:
            raise InvariantNetsError(
                f"Softmax: the class scores of this network are its layer {backbone.classifier}, not {self.layers[0]}: "
                f"set model.constraints.<name>.layer={backbone.classifier}"
            )

    def connect(self, spec: DataSpec) -> None:
        """See that there is a score for each class.

        Raises:
            InvariantNetsError: there are more or fewer.
        """
        if self.num_classes != spec.num_classes:
            raise InvariantNetsError(
                f"Softmax: num_classes={self.num_classes}, but the data have {spec.num_classes} classes: set "
                "model.constraints.<name>.num_classes to that"
            )

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
