"""The Hilbert–Schmidt independence criterion between features and a nuisance (Gretton et al. 2005)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from invariantnets.constraints.nuisance import NuisanceConstraint
from invariantnets.constraints.rows import as_rows, deviations, or_one, rbf, squared_distances
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError


class Hsic(NuisanceConstraint):
    """The biased estimator tr(KHLH) / (n - 1)² (Gretton et al. 2005, definition 2); 0 for independence.

    ``kernel="rbf"``: Gaussian kernels on features and encoded nuisance, their width the median
    distance; sees every dependence and is quadratic in the batch. ``kernel="linear"``: the squared
    covariances between features and encoded nuisance, each divided by its total standard deviation; sees
    only what a linear probe sees and is linear in the batch. Neither changes when the features are scaled.

    Conditional: the criterion of each class, averaged over the images. It is told the nuisance, and the
    class if conditional.

    Args:
        layer: whose features are compared.
        nuisance: its name.
        kernel: ``rbf`` or ``linear``.
        conditional: within each class only.
        weight: of the term.
        ramp: steps over which the weight rises from 0.

    Raises:
        InvariantNetsError: another kernel.
    """

    def __init__(
        self,
        layer: str,
        nuisance: str,
        kernel: Literal["rbf", "linear"] = "rbf",
        conditional: bool = False,
        weight: float = 1.0,
        ramp: int = 0,
    ):
        super().__init__([layer], nuisance, conditional, weight, ramp)
        if kernel not in ("rbf", "linear"):
            raise InvariantNetsError(f"Hsic: kernel={kernel!r}; choose rbf or linear")
        self.kernel = kernel

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar; a class of one image adds 0."""
        x, strata = as_rows(layers[self.layers[0]]), self.strata(batch)
        y = self.encoded(batch).to(x.dtype)
        return (_rbf_hsic if self.kernel == "rbf" else _linear_hsic)(x, y, strata)


def _share(count: Tensor, dtype: torch.dtype) -> Tensor:
    """Weight of the trace of a stratum of ``count`` rows: its share of the rows over (count - 1)²."""
    share = count.to(dtype) / count.sum() / (count - 1).clamp(min=1).square()
    return share * (count > 1)


def _rbf_hsic(x: Tensor, y: Tensor, strata: Tensor) -> Tensor:
    same = strata[:, None] == strata
    pairs = same & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
    # The nuisance has few columns, and values that repeat: its distances of 0 must be exactly 0.
    between = (y[:, None] - y).square().sum(-1)
    hk = deviations(rbf(squared_distances(x), pairs) * same, strata)
    hl = deviations(rbf(between, pairs) * same, strata)
    _, member, count = strata.unique(return_inverse=True, return_counts=True)
    diagonal = (hk * hl.T).sum(1)  # tr(KHLH) = tr(HK · HL)
    return (_share(count, x.dtype)[member] * diagonal).sum()


def _linear_hsic(x: Tensor, y: Tensor, strata: Tensor) -> Tensor:
    x, y = (_of_unit_variance(deviations(z, strata)) for z in (x, y))
    _, member, count = strata.unique(return_inverse=True, return_counts=True)
    products = (x[:, :, None] * y[:, None]).flatten(1)
    covariance = x.new_zeros(len(count), products.shape[1]).index_add(0, member, products)
    return (_share(count, x.dtype) * covariance.square().sum(1)).sum()


def _of_unit_variance(x: Tensor) -> Tensor:
    return x / or_one(x.square().sum(1).mean()).sqrt()
