"""PAIR: Perturbations to Advance Invariant Representations (Rudd et al. 2016, section 4.2.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from invariantnets.constraints.constraint import Constraint, layer_weights, mean_square
from invariantnets.data import Batch


class Pair(Constraint):
    """Euclidean loss on the difference between the views of a sample, at each named layer (figure 5).

    Half the squared difference, averaged over features, samples and all pairs of views. Written
    over the deviations from the mean view, whose cost is linear in the number of views: the mean
    of ``(a - b)²`` over pairs is ``2 / (V - 1)`` times the sum of squared deviations.

    Args:
        weights: layer → weight; 0 drops the layer.
        weight: multiplies all of them.
    """

    def __init__(self, weights: Mapping[str, float], weight: float = 1.0):
        self_weights = layer_weights(weights, "Pair")
        super().__init__(list(self_weights), weight, views=2)
        self.weights = self_weights

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar. Each layer is ``(B, V, …)``; 0 for V = 1."""
        terms = []
        for layer, weight in self.weights.items():
            x = layers[layer]
            if x.shape[1] == 2:  # training: one pass instead of three
                # Channels last, as the maps lie in memory: unbind's gradient is then written in the same order.
                first, second = x.movedim(2, -1).unbind(1)
                terms.append(weight * mean_square(first - second))
            else:
                scale = 2 * x.shape[1] / max(x.shape[1] - 1, 1)  # one view has no pair, and no deviation
                terms.append(weight * scale * mean_square(x - x.mean(1, keepdim=True)))
        return torch.stack(terms).sum()
