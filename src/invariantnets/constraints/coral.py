"""Correlation alignment between nuisance groups (Sun and Saenko 2016)."""

from __future__ import annotations

from torch import Tensor

from invariantnets.constraints.nuisance import GroupConstraint
from invariantnets.constraints.rows import as_rows, deviations, distance_between_groups, or_one
from invariantnets.data import Batch


class Coral(GroupConstraint):
    """Squared difference ‖C_g − C_h‖² of the covariances of each two nuisance groups, averaged.

    Sun and Saenko (2016), equation 1, but divided by ‖C‖² of the pooled covariance within groups where
    they divide by 4D²: the value does not change when the features are scaled, and a weight means the same
    at every width. Pairs of groups count by the product of their degrees of freedom. It compares the
    shapes of the groups and not their means, which `Mmd` does.

    No D × D covariance is made: ⟨C_g, C_h⟩ is a sum of squared products of rows. It is therefore
    quadratic in the batch and linear in the width. It is told the nuisance, and the class if conditional.
    """

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar; 0 without two groups of two images to compare."""
        group, strata = self.grouped(batch)
        x = deviations(as_rows(layers[self.layers[0]]), group)
        _, member, count = group.unique(return_inverse=True, return_counts=True)
        freedom = (count - 1).to(x.dtype)
        products = (x @ x.T).square()
        pooled = products.sum() / freedom.sum().clamp(min=1).square()
        # A mean over n² products, times this, is a sum over (n - 1)².
        scale = (count / freedom.clamp(min=1))[member]
        kernel = products * scale[:, None] * scale
        return distance_between_groups(kernel, group, strata, freedom=1) / or_one(pooled)
