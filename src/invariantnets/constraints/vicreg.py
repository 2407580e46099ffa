"""The two terms of VICReg that keep features alive and different (Bardes et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from invariantnets.constraints.constraint import Constraint
from invariantnets.data import Batch


class VicReg(Constraint):
    """Variance and covariance terms of Bardes et al. (2022), equations 1 to 4; the invariance term is `Pair`.

    Variance: each feature's standard deviation is pushed up to γ by a hinge. Covariance: the squared
    covariances between different features, summed and divided by their number. Both per view, as in
    the paper, and averaged over the views. It is told nothing; linear in the batch, quadratic in the
    width.

    Args:
        layer: whose features are meant.
        variance: weight of the variance term.
        covariance: weight of the covariance term; the paper's is 1/25 of the other.
        gamma: the standard deviation that is enough.
        epsilon: added to the variance, so that its root has a gradient.
        weight: multiplies both.
        ramp: steps over which ``weight`` rises from 0.
    """

    def __init__(
        self,
        layer: str,
        variance: float = 1.0,
        covariance: float = 0.04,
        gamma: float = 1.0,
        epsilon: float = 1e-4,
        weight: float = 1.0,
        ramp: int = 0,
    ):
        super().__init__([layer], weight, ramp=ramp)
        self.variance, self.covariance, self.gamma, self.epsilon = variance, covariance, gamma, epsilon

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar. ``layers[layer]`` is ``(B, V, …)``; no covariance for B = 1."""
        x = layers[self.layers[0]].flatten(2).transpose(0, 1)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x = x - x.mean(1, keepdim=True)
        views, samples, width = x.shape
        covariance = x.mT @ x / max(samples - 1, 1)
        own = covariance.diagonal(dim1=1, dim2=2)
        hinge = (self.gamma - (own + self.epsilon).sqrt()).relu().mean()
        others = (covariance - own.diag_embed()).square().sum() / (views * width)
        return self.variance * hinge + self.covariance * others
