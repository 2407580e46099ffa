"""The inverse contrastive loss between images alike and unlike in a nuisance (Akash et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.constraints.nuisance import NuisanceConstraint
from invariantnets.constraints.rows import as_rows
from invariantnets.data import Batch
from invariantnets.errors import InvariantNetsError


class Icl(NuisanceConstraint):
    """Images that differ in the nuisance are pulled together, those that share its value are pushed apart.

    A contrastive loss turned round (Akash, Lokhande, Ravi and Singh, AAAI 2021), d the distance of two features:
    unlike pairs cost d², like pairs exp(``reach`` − ``rate`` · d), a margin without an edge.

    Categories, as in ``icl`` of the authors' ``mnist_rot_exp.py``: the costs are averaged over the pairs of each two of
    C groups, and summed over all ordered pairs of groups and, C − 1 times, over each group with itself. Numbers, as in
    ``icl_loss`` of their ``continuous_extraneous_exp.py``: two that differ by at most ``near`` are alike; the mean over
    all pairs. A row is paired with itself there, and so here: a constant without a gradient.

    From the code that the paper names (github.com/adityakumarakash/ICL), not from its text, which was not at hand.
    Ours: the sum over groups is divided by C (C − 1), so that a weight means the same however many values a batch has
    (their λ of 50 beside a class term of 100, with five angles, is a weight of 10); C counts the values that are there,
    where they count those that could be; ``near`` is in the unit of the nuisance, and angles are compared round the
    circle; the loss within each class (``conditional``), of which each pair of groups counts alike.

    The distances are those of the features as they are: unlike the other terms it changes when they are scaled. It is
    told the nuisance, and the class if conditional; it is quadratic in the batch.

    Args:
        layer: whose features are compared.
        nuisance: its name.
        reach: log of what two like images in one place cost (``icl_a``).
        rate: by how much that falls with their distance, in log per unit of it (``icl_b``).
        near: two numbers no further apart count as alike, in their own unit; categories do not use it.
        conditional: within each class only.
        weight: of the term.
        ramp: steps over which the weight rises from 0.

    Raises:
        InvariantNetsError: a ``rate`` that is not positive, or a negative ``near``.
    """

    def __init__(
        self,
        layer: str,
        nuisance: str,
        reach: float = 1.0,
        rate: float = 0.5,
        near: float = 5.0,
        conditional: bool = False,
        weight: float = 1.0,
        ramp: int = 0,
    ):
        super().__init__([layer], nuisance, conditional, weight, ramp)
        if not rate > 0:
            raise InvariantNetsError(f"Icl: rate={rate}: like images are pushed apart only by a rate above 0")
        if not near >= 0:
            raise InvariantNetsError(
                f"Icl: near={near}: give the difference up to which two numbers are alike, 0 or more"
            )
        self.reach, self.rate, self.near = reach, rate, near

    def forward(self, layers: dict[str, Tensor], batch: Batch) -> Tensor:
        """Scalar; of categories, a class with a single value of the nuisance adds 0."""
        x, strata, values = as_rows(layers[self.layers[0]]), self.strata(batch), self.values(batch)
        # Not by products of rows: the root of what rounding leaves of a distance of 0 has no gradient to speak of.
        distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
        pull, push = distance.square(), (self.reach - self.rate * distance).exp()
        known = self.described()
        if known.kind in ("categorical", "binary"):
            return _between_groups(pull, push, strata * len(known.categories) + values.long(), strata)
        apart = (values[:, None] - values).abs()
        if known.kind == "circular":
            apart = apart.remainder(360)
            apart = apart.minimum(360 - apart)
        together = strata[:, None] == strata
        return (push.where(apart <= self.near, pull) * together).sum() / together.sum()


def _between_groups(pull: Tensor, push: Tensor, group: Tensor, stratum: Tensor) -> Tensor:
    """Mean over pairs of groups of one stratum of what pulls them together and pushes each of them apart."""
    _, member, count = group.unique(return_inverse=True, return_counts=True)
    average = F.one_hot(member, len(count)).to(pull.dtype) / count
    of_group = stratum.new_zeros(len(count)).scatter(0, member, stratum)
    pairs = (of_group[:, None] == of_group).to(pull.dtype)
    pairs = pairs - pairs.diagonal().diag()
    unlike, like = average.T @ pull @ average, (average.T @ push @ average).diagonal()
    return ((pairs * unlike).sum() + (pairs.sum(1) * like).sum()) / pairs.sum().clamp(min=1)
