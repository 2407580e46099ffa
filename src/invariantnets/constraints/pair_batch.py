"""Distances within a class reduced over the whole batch: the extension that Rudd et al. (2016) ask for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from invariantnets.constraints.constraint import Constraint, layer_weights
from invariantnets.data import Batch


class PairBatch(Constraint):
    """Half the mean squared distance over all pairs of one class in the batch (section 5, last paragraph).

    The value is the one of ``Pair`` for each pair of images of a class, averaged over all such
    pairs, and so a weight means the same in both. It is computed from class means, whose cost is
    linear in the batch: in a class of n, the sum over ordered pairs of ``(a - b)²`` is ``2n`` times
    the sum of squared deviations.

    Args:
        weights: layer → weight; 0 drops the layer.
        weight: multiplies all of them.
        ramp: steps over which ``weight`` rises from 0.
    """

    def __init__(self, weights: Mapping[str, float], weight: float = 1.0, ramp: int = 0):
        self_weights = layer_weights(weights, "PairBatch")
        super().__init__(list(self_weights), weight, ramp=ramp)
        self.weights = self_weights

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar; 0 for a batch without two images of one class."""
        views = next(iter(layers.values())).shape[1]
        label = batch.label.repeat_interleave(views)
        _, group, count = label.unique(return_inverse=True, return_counts=True)
        pairs = (count * (count - 1)).sum().clamp(min=1)
        terms = []
        for layer, weight in self.weights.items():
            x = layers[layer].flatten(0, 1).flatten(1)
            mean = x.new_zeros(len(count), x.shape[1]).index_add(0, group, x) / count[:, None]
            deviation = (x - mean[group]).square().mean(1)
            terms.append(weight * (count[group] * deviation).sum() / pairs)
        return torch.stack(terms).sum()
