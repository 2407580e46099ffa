"""Supervised contrastive loss (Khosla et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.rows import as_rows, row_labels
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError


class SupCon(Constraint):
    """L_out of Khosla et al. (2020), equation 2: pull images of a class together, against all others.

    Every image of the batch, each view, is an anchor; all others of its class are its positives.
    The cosine similarity to each positive, over the temperature, is the score of a softmax over all
    other images. It is told the class and nothing of the nuisance, and is quadratic in the batch.

    Args:
        layer: whose features are compared, each scaled to length 1.
        temperature: of the softmax.
        weight: of the term.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(self, layer: str, temperature: float = 0.1, weight: float = 1.0, ramp: int = 0):
        super().__init__([layer], weight, ramp=ramp)
        if temperature <= 0:
            raise InvariantNetsError(f"SupCon: temperature={temperature} must be positive")
        self.temperature = temperature

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar, in nats, averaged over anchors with a positive; 0 without any."""
        layer = layers[self.layers[0]]
        x, label = F.normalize(as_rows(layer), dim=1), row_labels(batch, layer.shape[1])
        itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
        scores = (x @ x.T / self.temperature).masked_fill(itself, torch.finfo(x.dtype).min)
        positive = (label[:, None] == label) & ~itself
        count = positive.sum(1)
        per_anchor = -(scores.log_softmax(1) * positive).sum(1) / count.clamp(min=1)
        return per_anchor.sum() / (count > 0).sum().clamp(min=1)
