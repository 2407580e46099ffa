"""Linear models of many identities at once: they share their negatives, so that one product serves them all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invariantnets.bootstrapping.newton import (
    first_step,
    line_search,
    mean_row,
    move_bias,
    newton,
    times,
    times_transposed,
)
from invariantnets.bootstrapping.precision import coarse_type

COARSE_STEPS = 10  # Newton steps from coarse rows; what is not solved then is too ill-conditioned for them


def with_bias(x: Tensor) -> Tensor:
    """A last feature of 1, whose weight is the bias (regularised with the others, as LIBLINEAR does)."""
    return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], -1)


@dataclass(frozen=True)
class Negatives:
    """Images that every identity is told from, and what need be computed of them only once.

    Attributes:
        x: ``(M, D + 1)`` features with their bias.
        owner: ``(M,)`` int64 identity of each image: it is no negative of its own identity.
        gram: ``(D + 1, D + 1)`` float64 sum of outer products.
        variances: ``(D + 1,)`` its eigenvalues.
        axes: ``(D + 1, D + 1)`` its eigenvectors, in columns.
    """

    x: Tensor
    owner: Tensor
    gram: Tensor
    variances: Tensor
    axes: Tensor

    @classmethod
    def of(cls, features: Tensor, owner: Tensor) -> Negatives:
        """Of ``(M, D)`` features and their ``(M,)`` identities."""
        x = with_bias(features.float())
        gram = x.double().T @ x.double()
        variances, axes = torch.linalg.eigh(gram)
        return cls(x, owner, gram, variances.clamp_(min=0).float(), axes.float())


@dataclass(frozen=True)
class Svm:
    """One squared-hinge SVM per identity: min ½‖w‖² + C Σ max(0, 1 - y w·x)², by Newton's method.

    The problem that ``LinearSVC(loss="squared_hinge")`` solves. Scores of all identities come from one
    product with the negatives. The first step is closed, from their Gram; later Newton systems are solved by
    conjugate gradients on the few images within the margin, in bfloat16 where that is faster: gradients, and so
    the solution, are float32's. Each step has the exact length: along a line the objective is piecewise quadratic.

    Args:
        c: weight of the loss against the squared norm; its meaning depends on the length of the features.
        tolerance: of the gradient, relative to the one at ``w = 0``. Of the 100 nearest neighbours, 5e-5 keeps 99 % or
            more on features of faces, 1e-4 98 %, and 1e-3 79 %, at half as much speed again.
        max_iter: Newton steps at most.
    """

    c: float = 1.0
    tolerance: float = 5e-5
    max_iter: int = 50

    def __call__(self, positives: Tensor, identity: Tensor, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """Fit.

        Args:
            positives: ``(B, P, D + 1)`` images with their bias; rows of zeros fill up.
            identity: ``(B,)`` int64, compared with the negatives' owner.
            negatives: shared by all.

        Returns:
            ``(B, D + 1)`` weights, the bias last, and ``(B,)`` whether they met the tolerance.
        """
        x, c = negatives.x, 2 * self.c
        solved, met = positives.new_zeros(len(positives), x.shape[1]), torch.zeros_like(identity, dtype=torch.bool)
        limit = self.tolerance * c * (positives.sum(1) - x.sum(0)).norm(dim=1)
        # Scores. An identity's own images among the negatives are beyond any margin, and stay there.
        far, near = positives.new_zeros(len(positives), len(x)), positives.new_zeros(positives.shape[:2])
        far.masked_fill_(identity[:, None] == negatives.owner, -torch.inf)
        weights, index = solved.clone(), torch.arange(len(positives), device=x.device)
        rows = torch.cat([x, x.new_zeros(1, x.shape[1])]).to(coarse_type(x.device.type))
        for iteration in range(self.max_iter + 1):
            far_loss, near_loss = (1 + far).clamp_(min=0), (1 - near).clamp_(min=0)
            pull, push = far_loss @ x, times_transposed(near_loss, positives)
            gradient = weights + c * (pull - push)
            done = gradient.norm(dim=1) <= limit
            solved[index], met[index] = weights, done
            if iteration == self.max_iter or bool(done.all()):
                break
            if bool(done.any()):
                index, limit, weights, gradient, positives, pull, push = (
                    part[~done] for part in (index, limit, weights, gradient, positives, pull, push)
                )
                far, near, far_loss, near_loss = (part[~done] for part in (far, near, far_loss, near_loss))
            if iteration == COARSE_STEPS:
                rows = torch.cat([x, x.new_zeros(1, x.shape[1])])
            if iteration:
                far_mask, near_mask = far_loss > 0, near_loss * positives[:, :, -1] > 0
                means = torch.stack([mean_row(pull, far_mask.sum(1, True)), mean_row(push, near_mask.sum(1, True))], 1)
                step = newton(gradient, far_mask, near_mask, positives.to(rows.dtype), rows, means, c)
            else:
                step = first_step(gradient, positives, negatives.axes, negatives.variances, c)
            d_far, d_near = step @ x.T, times(step, positives)
            if not iteration:
                move_bias(step, far, d_far, d_near, positives[:, :, -1], c)
            length = line_search(weights, step, far, d_far, near, d_near, c)
            weights.addcmul_(length, step)
            far.addcmul_(length, d_far)
            near.addcmul_(length, d_near)
        return solved, met


@dataclass(frozen=True)
class ClosedForm:
    """Whitened class means: an approximation of :class:`Svm` that has other neighbours.

    The mean of an identity less that of the negatives, whitened by the negatives' covariance (Fisher's
    discriminant). Much cheaper, and not its equal: of the 100 nearest neighbours it misses a quarter to two thirds.

    Args:
        shrinkage: from 0, the covariance as it is, to 1, a multiple of the identity matrix.
    """

    shrinkage: float = 0.5

    def __call__(self, positives: Tensor, identity: Tensor, negatives: Negatives) -> tuple[Tensor, Tensor]:
        """As :meth:`Svm.__call__`; the bias puts the boundary midway, and all of them meet the tolerance."""
        gram = negatives.gram / len(negatives.owner)
        mean = gram[-1, :-1]
        covariance = gram[:-1, :-1] - torch.outer(mean, mean)
        sphere = covariance.trace() / len(mean) * torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
        sums = positives.sum(1).double()
        means = sums[:, :-1] / sums[:, -1:]
        shrunk = (1 - self.shrinkage) * covariance + self.shrinkage * sphere
        normals = torch.linalg.solve(shrunk, means - mean, left=False)
        bias = -(normals * (means + mean)).sum(1, keepdim=True) / 2
        return torch.cat([normals, bias], 1).float(), torch.ones_like(identity, dtype=torch.bool)
