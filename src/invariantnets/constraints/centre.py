"""Class scatter: the centre loss in a form that shrinking cannot lower."""

from __future__ import annotations

from torch import Tensor

from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.rows import as_rows, deviations, or_one, row_labels
from invariantnets.data import Batch


class Centre(Constraint):
    """Share of the batch's variance that lies within classes: tr S_W / tr S_T, in [0, 1].

    The distance to the centre of the class (Wen et al. 2016, equation 2), the centres being the
    means of the batch. By itself that distance is least when all features are 0; divided by the total
    scatter S_T = S_W + S_B it does not change when the features are scaled, and falls only as the
    classes move apart relative to their own spread. (tr S_W / tr S_B is a monotone function of it, but
    has no bound where training starts.) It is told the class, and is linear in the batch.

    Args:
        layer: whose features are compared.
        weight: of the term.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(self, layer: str, weight: float = 1.0, ramp: int = 0):
        super().__init__([layer], weight, ramp=ramp)

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar; 1 for a batch of one class, 0 for equal features."""
        layer = layers[self.layers[0]]
        x = as_rows(layer)
        within = deviations(x, row_labels(batch, layer.shape[1])).square().sum()
        return within / or_one((x - x.mean(0)).square().sum())
