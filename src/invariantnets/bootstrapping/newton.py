"""Steps of Newton's method for many squared-hinge SVMs at once, which share their negatives.

``B`` identities, ``M`` negatives, at most ``P`` positives of each, ``D`` features and a bias.
"""

from __future__ import annotations

import torch
from torch import Tensor

SEARCH_STEPS, PLANE_STEPS, CG_STEPS, CG_TOLERANCE = 3, 5, 50, 0.2
GATHERED = 6 << 20  # bytes of rows that conjugate gradients run on at a time: they should stay in the cache
SHAPES = 32  # numbers of rows are multiples of it
TINY = torch.finfo(torch.float32).tiny


def times(w: Tensor, x: Tensor) -> Tensor:
    """``(B, D), (B, P, D)`` → ``(B, P)`` scores: a row times a matrix, far faster than the matrix times a column."""
    return torch.bmm(w[:, None, :], x.transpose(1, 2))[:, 0]


def times_transposed(u: Tensor, x: Tensor) -> Tensor:
    """``(B, P), (B, P, D)`` → ``(B, D)`` weighted sums."""
    return torch.bmm(u[:, None, :], x)[:, 0]


def mean_row(total: Tensor, count: Tensor) -> Tensor:
    """``(B, D + 1)`` sums with any weights → their mean times √count, most of the Gram of so many rows."""
    return total * (count.sqrt() / total[:, -1:].clamp(min=TINY))


def first_step(gradient: Tensor, positives: Tensor, axes: Tensor, variances: Tensor, c: float) -> Tensor:
    """Newton's step from 0, where everything is within the margin, as if all positives were at their mean.

    The negatives' Gram is given by its eigenvectors, in columns, and eigenvalues.
    """

    def whiten(v: Tensor) -> Tensor:
        return (v @ axes / (1 + c * variances)) @ axes.T

    total = positives.sum(1)
    mean = mean_row(total, total[:, -1:])
    z, u = whiten(-gradient), whiten(mean)
    return z - u * (mean * z).sum(1, keepdim=True) / (1 / c + (mean * u).sum(1, keepdim=True))


def move_bias(step: Tensor, far: Tensor, d_far: Tensor, d_near: Tensor, live: Tensor, c: float) -> None:
    """Give a first step, and its scores, the length and the bias of least objective, by Newton in two dimensions.

    Least squares puts half of the negatives within the margin. With another bias as few are as in the end, which
    saves one whole Newton step in five.

    Args:
        step: ``(B, D + 1)``, changed in place, as its scores are.
        far: ``(B, M)`` scores at 0: -inf for those that do not count.
        d_far: ``(B, M)`` scores of the step.
        d_near: ``(B, P)`` scores of the step.
        live: ``(B, P)`` 1 for a positive, 0 for a row of zeros.
        c: twice the weight of the loss.
    """
    length, bias = step.new_ones(len(step), 1), step.new_zeros(len(step), 1)
    dd, db = (step * step).sum(1, keepdim=True), step[:, -1:]
    for _ in range(PLANE_STEPS):
        far_loss = torch.addcmul(far, length, d_far).add_(1 + bias).clamp_(min=0)
        near_loss = torch.addcmul(live - bias, length, d_near, value=-1).clamp_(min=0).mul_(live)
        slope = length * dd + bias * db + c * ((far_loss * d_far).sum(1, True) - (near_loss * d_near).sum(1, True))
        lift = length * db + bias + c * (far_loss.sum(1, True) - near_loss.sum(1, True))
        within, near = far_loss.sign_(), near_loss.sign_()
        flat = 1 + c * (within.sum(1, True) + near.sum(1, True))
        within, near = within.mul_(d_far), near.mul_(d_near)
        twist = db + c * (within.sum(1, True) + near.sum(1, True))
        bend = dd + c * (within.mul_(d_far).sum(1, True) + near.mul_(d_near).sum(1, True))
        scale = (bend * flat - twist * twist).clamp_(min=TINY)
        length, bias = length - (flat * slope - twist * lift) / scale, bias - (bend * lift - twist * slope) / scale
    step.mul_(length)[:, -1:] += bias
    d_far.mul_(length).add_(bias)
    d_near.mul_(length).addcmul_(bias, live)


def newton(
    gradient: Tensor, far: Tensor, near: Tensor, positives: Tensor, x: Tensor, means: Tensor, c: float
) -> Tensor:
    """Solves ``(I + c XᵀX) d = -gradient`` for each identity, X its images within the margin: where the masks are True.

    These are a few in a hundred of the negatives: they are gathered, for a few identities of about as many at a time.
    Rows may be coarse: the step is one of many, and the gradient is exact.

    Args:
        gradient: ``(B, D + 1)``.
        far: ``(B, M)`` which negatives.
        near: ``(B, P)`` which positives.
        positives: ``(B, P, D + 1)``.
        x: ``(M + 1, D + 1)`` negatives, and a row of zeros.
        means: ``(B, 2, D + 1)`` of negatives and of positives within the margin, times √ of their number.
        c: twice the weight of the loss.
    """
    step, counts = torch.empty_like(gradient), far.sum(1)
    gram = torch.bmm(means, means.transpose(1, 2)) + torch.eye(2, device=x.device) / c
    duals = torch.linalg.solve(gram, means)
    longest = _rounded_up(int(counts.max()) + positives.shape[1])
    size = max(1, GATHERED // (x.element_size() * x.shape[1] * longest))
    buffer = x.new_empty(min(size, len(step)) * longest, x.shape[1])
    for part in counts.argsort().split(size):
        rows = _gather(far[part], positives[part] * near[part, :, None], x, buffer)
        step[part] = _conjugate_gradients(rows, means[part], duals[part], -gradient[part], c)
    return step


def _rounded_up(rows: int) -> int:
    """Few different shapes: for each, a CPU compiles and keeps a kernel of its own."""
    return -(-rows // SHAPES) * SHAPES


def _gather(far: Tensor, positives: Tensor, x: Tensor, buffer: Tensor) -> Tensor:
    """``(B, K + P, D + 1)`` in the buffer: rows of ``x`` where the mask is True, its last to fill up, and positives."""
    identity, column = far.nonzero(as_tuple=True)
    counts = far.sum(1)
    place = torch.arange(len(column), device=x.device) - (counts.cumsum(0) - counts)[identity]
    index = column.new_full((len(far), _rounded_up(int(counts.max()) + positives.shape[1])), len(x) - 1)
    index[identity, place] = column
    rows = torch.index_select(x, 0, index.flatten(), out=buffer[: index.numel()]).view(*index.shape, x.shape[1])
    rows[:, -positives.shape[1] :] = positives
    return rows


def _conjugate_gradients(x: Tensor, means: Tensor, duals: Tensor, residual: Tensor, c: float) -> Tensor:
    """Solves ``(I + c XᵀX) d = residual``; preconditioned by ``I + c MᵀM``, M the means."""

    def precondition(v: Tensor) -> Tensor:
        along = (v[:, None] * means).sum(2, keepdim=True)
        return v - (along * duals).sum(1)

    direction = z = precondition(residual)
    step = torch.zeros_like(residual)
    energy = first = (residual * z).sum(1, keepdim=True)
    for _ in range(CG_STEPS):
        image = torch.add(direction, times_transposed(times(direction.to(x.dtype), x), x).to(z.dtype), alpha=c)
        length = energy / (direction * image).sum(1, keepdim=True).clamp_(min=TINY)
        step.addcmul_(length, direction)
        residual = torch.addcmul(residual, length, image, value=-1)
        z = precondition(residual)
        before, energy = energy, (residual * z).sum(1, keepdim=True)
        if bool((energy <= CG_TOLERANCE**2 * first).all()):
            break
        direction = torch.addcmul(z, energy / before.clamp(min=TINY), direction)
    return step


def line_search(w: Tensor, d: Tensor, far: Tensor, d_far: Tensor, near: Tensor, d_near: Tensor, c: float) -> Tensor:
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
