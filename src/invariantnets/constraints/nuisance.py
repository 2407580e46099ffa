"""Constraints that are told the nuisance."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.constraints.constraint import Constraint
from invariantnets.constraints.rows import row_labels
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance


def encode(nuisance: Nuisance, values: Tensor) -> Tensor:
    """`Nuisance.encode` for tensors: ``(N,)`` → ``(N, K)``, on the device of the values."""
    if nuisance.kind == "continuous":
        return values[:, None]
    if nuisance.kind == "circular":
        radians = values.deg2rad()
        return torch.stack([radians.cos(), radians.sin()], 1)
    return F.one_hot(values.long(), len(nuisance.categories)).to(values.dtype)


def told(batch: Batch, name: str, owner: str) -> Tensor:
    """``(B · V,)`` numbers or codes of a nuisance, NaN where it is unknown.

    Raises:
        InvariantNetsError: the pictures were changed since it was known.
    """
    if name not in batch.nuisance:
        raise InvariantNetsError(
            f"{owner}: the jitter of training pictures changes their {name!r}, which is therefore not known: drop the "
            "term, or the jitter (jitter=none); of what has a side, data.jitter.mirror=0 is enough"
        )
    return batch.nuisance[name].flatten()


def quantile_groups(values: Tensor, strata: Tensor, groups: int) -> Tensor:
    """Codes 0..groups-1 of about equally many rows of each stratum; equal values are never parted.

    Args:
        values: ``(N,)``.
        strata: ``(N,)``.
        groups: how many.
    """
    same = strata[:, None] == strata
    smaller = (same & (values < values[:, None])).sum(1)
    return smaller * groups // same.sum(1)


class NuisanceConstraint(Constraint):
    """A constraint between features and a nuisance that the data know.

    Args:
        layers: the layers that the term needs.
        nuisance: its name.
        conditional: compare within each class only, so that a nuisance that goes with the class does
            not drag the class with it.
        weight: of the term.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(
        self, layers: Sequence[str], nuisance: str, conditional: bool = False, weight: float = 1.0, ramp: int = 0
    ):
        super().__init__(layers, weight, ramp=ramp)
        self.nuisance, self.conditional = nuisance, conditional
        self.known: Nuisance | None = None

    def connect(self, spec: DataSpec) -> None:
        """Look the nuisance up.

        Raises:
            InvariantNetsError: the data do not have it.
        """
        known = {nuisance.name: nuisance for nuisance in spec.nuisances}
        if self.nuisance not in known:
            raise InvariantNetsError(
                f"{type(self).__name__}: the data have no nuisance {self.nuisance!r} but {', '.join(known) or 'none'}: "
                "set model.constraints.<name>.nuisance"
            )
        self.known = known[self.nuisance]

    def described(self) -> Nuisance:
        """What the nuisance is.

        Raises:
            InvariantNetsError: `connect` was not called.
        """
        if self.known is None:
            raise InvariantNetsError(f"{type(self).__name__}: call connect(spec) before the first batch")
        return self.known

    def values(self, batch: Batch) -> Tensor:
        """``(B · V,)`` numbers or codes.

        Raises:
            InvariantNetsError: it is unknown for some image.
        """
        values = told(batch, self.nuisance, type(self).__name__)
        if torch.isnan(values).any():
            raise InvariantNetsError(
                f"{type(self).__name__}: the nuisance {self.nuisance!r} is unknown for some images; fill it, drop "
                "them, or set model.constraints.<name>.nuisance to another"
            )
        return values

    def encoded(self, batch: Batch) -> Tensor:
        """``(B · V, K)``, see `Nuisance.encode`."""
        return encode(self.described(), self.values(batch))

    def strata(self, batch: Batch) -> Tensor:
        """``(B · V,)`` what is compared with each other: each class if conditional, else everything."""
        label = row_labels(batch, batch.index.shape[1])
        return label if self.conditional else torch.zeros_like(label)


class GroupConstraint(NuisanceConstraint):
    """A distance between the features of images that differ in the nuisance.

    Categories are groups; numbers are grouped by their quantiles in the batch, or in each of its classes if
    conditional.

    Args:
        layer: whose features are compared.
        nuisance: its name.
        groups: how many, for a continuous or circular nuisance.
        conditional: compare groups within each class only.
        weight: of the term.
        ramp: steps over which the weight rises from 0.
    """

    def __init__(
        self,
        layer: str,
        nuisance: str,
        groups: int = 4,
        conditional: bool = False,
        weight: float = 1.0,
        ramp: int = 0,
    ):
        super().__init__([layer], nuisance, conditional, weight, ramp)
        if groups < 2:
            raise InvariantNetsError(f"{type(self).__name__}: groups={groups}: there must be two to compare")
        self.groups = groups

    def grouped(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """``(B · V,)`` group and stratum of each row; groups of different strata have different codes."""
        known, values, strata = self.described(), self.values(batch), self.strata(batch)
        if known.kind in ("categorical", "binary"):
            return strata * len(known.categories) + values.long(), strata
        values = values.remainder(360) if known.kind == "circular" else values
        return strata * self.groups + quantile_groups(values, strata, self.groups), strata
