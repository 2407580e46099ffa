"""The Siamese network of DeepFace (Taigman et al. 2014, section 4.2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.rows import as_rows, row_labels
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError

# Where learning starts: of rendered faces, Σ |a - b| / √D is about 0.3 within a person and 0.6 between two.
START, MIDDLE = 20.0, 0.45


class Siamese(Constraint):
    """Do two images show one person? Cross-entropy of a logistic unit on Σ αᵢ |aᵢ - bᵢ|, of all pairs of the batch.

    The two networks of the paper are one that sees both images. Pairs of one person and pairs of two count half each,
    however many of either there are. Features are scaled to length 1 before, as those are that the paper compares. It
    is told the class; quadratic in the batch, times the width of the layer.

    Args:
        layer: whose features are compared.
        embedding_dim: its width, D.
        lr_multiplier: learning rate of α and of the unit's bias relative to the network's.
        weight: of the term.
        ramp: steps over which the weight rises from 0.

    Attributes:
        alpha: ``(D,)``, of |a - b|, learned.
        bias: of the unit: the distance at which it is undecided, learned.
    """

    def __init__(self, layer: str, embedding_dim: int, lr_multiplier: float = 1.0, weight: float = 1.0, ramp: int = 0):
        super().__init__([layer], weight, ramp=ramp)
        self.lr_multiplier = lr_multiplier
        self.alpha = nn.Parameter(torch.full((embedding_dim,), START / math.sqrt(embedding_dim)))
        self.bias = nn.Parameter(torch.tensor(START * MIDDLE))

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar, in nats; of a batch without pairs of one kind, the mean of the other's. 0 for a single image.

        Raises:
            InvariantNetsError: a layer of another width.
        """
        layer = layers[self.layers[0]]
        x, label = F.normalize(as_rows(layer), dim=1), row_labels(batch, layer.shape[1])
        if x.shape[1] != len(self.alpha):
            raise InvariantNetsError(
                f"Siamese: {self.layers[0]} has {x.shape[1]} features, not {len(self.alpha)}: set "
                f"model.constraints.<name>.embedding_dim={x.shape[1]}"
            )
        i, j = torch.triu_indices(len(x), len(x), 1, device=x.device)
        same = label[i] == label[j]
        scores = self.bias - (x[i] - x[j]).abs() @ self.alpha
        losses = [F.softplus(-scores[same]), F.softplus(scores[~same])]
        means = [loss.mean() for loss in losses if len(loss)]
        return torch.stack(means).mean() if means else x.sum() * 0

    def chance(self) -> float:
        """The entropy of a coin."""
        return math.log(2)
