"""Linear models of many identities at once: they share their negatives, so that one product serves them all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SEARCH_STEPS, CG_STEPS, CG_TOLERANCE = 3, 50, 0.3
GATHERED = 3 << 20  # bytes of rows that conjugate gradients run on at a time: they should stay in the cache
TINY = torch.finfo(torch.float32).tiny


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
    conjugate gradients on the few images within the margin. Each step has the exact length: along a line
    the objective is piecewise quadratic.

    Args:
        c: weight of the loss against the squared norm; its meaning depends on the length of the features.
        tolerance: of the gradient, relative to the one at ``w = 0``. Of the 100 nearest neighbours, 1e-4 keeps 99 %
            or more with 2,000 to 10,000 negatives; 1e-3 keeps 87 to 97 %, at a third more speed.
        max_iter: Newton steps at most.
    """

    c: float = 1.0
    tolerance: float = 1e-4
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
        for iteration in range(self.max_iter + 1):
            far_loss, near_loss = (1 + far).clamp_(min=0), (1 - near).clamp_(min=0)
            gradient = weights + c * (far_loss @ x - _times_transposed(near_loss, positives))
            done = gradient.norm(dim=1) <= limit
            solved[index], met[index] = weights, done
            if iteration == self.max_iter or bool(done.all()):
                break
            if bool(done.any()):
                index, limit, weights, gradient, positives = (
                    part[~done] for part in (index, limit, weights, gradient, positives)
                )
                far, near, far_loss, near_loss = (part[~done] for part in (far, near, far_loss, near_loss))
            if iteration:
                step = _newton(gradient, far_loss > 0, near_loss > 0, positives, x, c)
            else:
                step = _first_step(gradient, positives, negatives, c)
            d_far, d_near = step @ x.T, _times(step, positives)
            length = _line_search(weights, step, far, d_far, near, d_near, c)
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


def _times(w: Tensor, x: Tensor) -> Tensor:
    """``(B, D), (B, P, D)`` → ``(B, P)`` scores: a row times a matrix, far faster than the matrix times a column."""
    return torch.bmm(w[:, None, :], x.transpose(1, 2))[:, 0]


def _times_transposed(u: Tensor, x: Tensor) -> Tensor:
    """``(B, P), (B, P, D)`` → ``(B, D)`` weighted sums."""
    return torch.bmm(u[:, None, :], x)[:, 0]


def _first_step(gradient: Tensor, positives: Tensor, negatives: Negatives, c: float) -> Tensor:
    """Newton's step from 0, where everything is within the margin, as if all positives were at their mean."""

    def whiten(v: Tensor) -> Tensor:
        return (v @ negatives.axes / (1 + c * negatives.variances)) @ negatives.axes.T

    mean = _mean_row(positives)
    z, u = whiten(-gradient), whiten(mean)
    return z - u * (mean * z).sum(1, keepdim=True) / (1 / c + (mean * u).sum(1, keepdim=True))


def _newton(gradient: Tensor, far: Tensor, near: Tensor, positives: Tensor, x: Tensor, c: float) -> Tensor:
    """Solves ``(I + c XᵀX) d = -gradient`` for each identity, X its images within the margin: where the masks are True.

    These are a few in a hundred of the negatives: they are gathered, for a few identities of about as many at a time.
    """
    step, counts = torch.empty_like(gradient), far.sum(1)
    none = torch.cat([x, x.new_zeros(1, x.shape[1])])
    longest = int(counts.max()) + positives.shape[1]
    size = max(1, GATHERED // (x.element_size() * x.shape[1] * longest))
    buffer = x.new_empty(min(size, len(step)) * longest, x.shape[1])
    for part in counts.argsort().split(size):
        rows = _gather(far[part], positives[part] * near[part, :, None], none, buffer)
        step[part] = _conjugate_gradients(rows, positives.shape[1], -gradient[part], c)
    return step


def _gather(far: Tensor, positives: Tensor, x: Tensor, buffer: Tensor) -> Tensor:
    """``(B, K + P, D + 1)`` in the buffer: rows of ``x`` where the mask is True, its last to fill up, and positives."""
    identity, column = far.nonzero(as_tuple=True)
    counts = far.sum(1)
    place = torch.arange(len(column), device=x.device) - (counts.cumsum(0) - counts)[identity]
    index = column.new_full((len(far), int(counts.max()) + positives.shape[1]), len(x) - 1)
    index[identity, place] = column
    rows = torch.index_select(x, 0, index.flatten(), out=buffer[: index.numel()]).view(*index.shape, x.shape[1])
    rows[:, -positives.shape[1] :] = positives
    return rows


def _mean_row(x: Tensor) -> Tensor:
    """``(B, K, D + 1)`` → ``(B, D + 1)``: the rows' mean times the root of their number, most of their Gram."""
    total = _times_transposed(x.new_ones(x.shape[:2]), x)
    return total / total[:, -1:].clamp(min=1).sqrt()


def _conjugate_gradients(x: Tensor, positives: int, residual: Tensor, c: float) -> Tensor:
    """Solves ``(I + c XᵀX) d = residual``; preconditioned by ``I + c mᵀm``, the means of negatives and of positives."""
    means = torch.stack([_mean_row(x[:, :-positives]), _mean_row(x[:, -positives:])], 1)
    gram = torch.bmm(means, means.transpose(1, 2)) + torch.eye(2, device=x.device) / c
    dual = torch.linalg.solve(gram, means)

    def precondition(v: Tensor) -> Tensor:
        return v - _times_transposed(_times(v, means), dual)

    direction = z = precondition(residual)
    step = torch.zeros_like(residual)
    energy = first = (residual * z).sum(1, keepdim=True)
    for _ in range(CG_STEPS):
        image = torch.add(direction, _times_transposed(_times(direction, x), x), alpha=c)
        length = energy / (direction * image).sum(1, keepdim=True).clamp_(min=TINY)
        step.addcmul_(length, direction)
        residual = torch.addcmul(residual, length, image, value=-1)
        z = precondition(residual)
        before, energy = energy, (residual * z).sum(1, keepdim=True)
        if bool((energy <= CG_TOLERANCE**2 * first).all()):
            break
        direction = torch.addcmul(z, energy / before.clamp(min=TINY), direction)
    return step


def _line_search(w: Tensor, d: Tensor, far: Tensor, d_far: Tensor, near: Tensor, d_near: Tensor, c: float) -> Tensor:
    """``(B, 1)`` lengths that minimise the objective along ``d``, by Newton's method in one dimension."""
    length = w.new_ones(len(w), 1)
    wd, dd = (w * d).sum(1, keepdim=True), (d * d).sum(1, keepdim=True)
    for _ in range(SEARCH_STEPS):
        far_loss = torch.addcmul(far, length, d_far).add_(1).clamp_(min=0)
        near_loss = torch.addcmul(near, length, d_near).neg_().add_(1).clamp_(min=0)
        slope = (far_loss * d_far).sum(1, keepdim=True) - (near_loss * d_near).sum(1, keepdim=True)
        bend = far_loss.sign_().mul_(d_far).mul_(d_far).sum(1, keepdim=True)
        bend += near_loss.sign_().mul_(d_near).mul_(d_near).sum(1, keepdim=True)
        length = length - (wd + length * dd + c * slope) / (dd + c * bend).clamp_(min=TINY)
    return length
