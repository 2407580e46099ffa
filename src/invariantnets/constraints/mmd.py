"""Maximum mean discrepancy between nuisance groups (Gretton et al. 2012)."""

from __future__ import annotations

import torch
from torch import Tensor

from invariantnets.constraints.nuisance import GroupConstraint
from invariantnets.constraints.rows import as_rows, distance_between_groups, rbf, squared_distances
from invariantnets.data import Batch


class Mmd(GroupConstraint):
    """MMD² between the features of each two nuisance groups (Gretton et al. 2012, equation 5), averaged.

    The biased estimate, with a Gaussian kernel whose width is the median distance; pairs of groups
    count by the product of their sizes. It is told the nuisance, and the class if conditional; it is
    quadratic in the batch.
    """

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar; 0 without two groups to compare."""
        x = as_rows(layers[self.layers[0]])
        group, strata = self.grouped(batch)
        pairs = (strata[:, None] == strata) & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        return distance_between_groups(rbf(squared_distances(x), pairs), group, strata)
