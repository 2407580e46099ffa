"""Linear SVMs of many attributes, folds and weights of the loss at once: one product with their rows serves all.

Each is what ``LinearSVC(dual=False, class_weight="balanced")`` finds: the least of ½‖w‖² + ½b² + C Σ sᵢ hᵢ², with the
hinge hᵢ = max(0, 1 - yᵢ(w·xᵢ + b)) and sᵢ inverse to how frequent the side of a row is (Rudd et al. 2016, section 3.1);
the intercept is regularised with the weights. By Newton's method, its systems solved by conjugate gradients in the axes
of the Gram matrix, where that of the rows within the margin is nearly diagonal; one value of C starts from where the
last ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invariantnets.statistics.moments import BLOCK_ROWS, Moments, project

__all__ = ["Svms", "fit_balanced", "weights_of"]

NEWTON_STEPS, CG_STEPS, SEARCH_STEPS = 40, 40, 4
# Of the preconditioned gradient, against that at 0: of 1,000 rows it leaves fewer than one on the other side.
TOLERANCE, CG_TOLERANCE = 2e-4, 0.1
SCORES = 1 << 24  # rows times SVMs at a time
TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Svms:
    """One for each C and column.

    Attributes:
        weights: ``(C, D, M)`` of the features as they are, less ``origin``.
        bias: ``(C, M)``.
        origin: ``(D,)``.
    """

    weights: np.ndarray
    bias: np.ndarray
    origin: np.ndarray

    def scores(self, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """``(C, len(rows), M)``, above 0 where the attribute is said to be there."""
        penalties, dims, count = self.weights.shape
        flat = self.weights.transpose(1, 0, 2).reshape(dims, -1)
        found = project(features, flat, rows, origin=self.origin).reshape(len(rows), penalties, count)
        return found.transpose(1, 0, 2) + self.bias[:, None]


def weights_of(present: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Weights of the rows that a column is fitted to, inverse to how frequent their side is; 0 of all others.

    Args:
        present: ``(N,)`` bool.
        fitted: ``(N,)`` bool.

    Returns:
        ``(N,)`` float32, n / (2 × the rows of a side), as ``class_weight="balanced"``.
    """
    found = np.zeros(len(present), np.float32)
    for side in (present & fitted, ~present & fitted):
        if side.any():
            found[side] = fitted.sum() / (2 * side.sum())
    return found


def fit_balanced(
    features: np.ndarray, known: Moments, present: np.ndarray, weights: np.ndarray, penalties: Sequence[float]
) -> Svms:
    """Fit all of them.

    Args:
        features: ``(N, D)``; each is standardised by ``known`` before it is fitted to, so that C means the same of all.
        known: their moments.
        present: ``(M, N)`` bool, whether the attribute is there.
        weights: ``(M, N)`` float32 of `weights_of`.
        penalties: values of C, ascending.
    """
    live = known.live
    scale = 1 / known.x_std[live]
    variances, axes = np.linalg.eigh(known.xx[np.ix_(live, live)] * np.outer(scale, scale))
    turn = np.zeros((len(live), len(scale)))
    turn[live] = scale[:, None] * axes
    rows = np.empty((len(features), len(scale) + 1), np.float32)
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        rows[block, :-1] = (features[block] - known.x_mean) @ turn
    rows[:, -1] = 1
    x = torch.from_numpy(rows)
    spread = torch.from_numpy(np.append(np.maximum(variances, 0), len(rows))).float()
    size = max(1, SCORES // len(rows))
    parts = [
        _fit(x, spread, torch.from_numpy(present[i : i + size]), torch.from_numpy(weights[i : i + size]), penalties)
        for i in range(0, len(present), size)
    ]
    found = torch.cat(parts, 1).double().numpy()
    return Svms(np.einsum("de,cme->cdm", turn, found[:, :, :-1]), found[:, :, -1], known.x_mean)


def _fit(x: Tensor, spread: Tensor, present: Tensor, weights: Tensor, penalties: Sequence[float]) -> Tensor:
    """``(C, M, D + 1)`` weights in the axes of ``x``, the bias last."""
    sign = present.float().mul_(2).sub_(1)
    path, w = [], x.new_zeros(len(sign), x.shape[1])
    for c in penalties:
        w = _newton(x, spread, sign, weights, w, 2 * float(c))
        path.append(w)
    return torch.stack(path)


def _newton(x: Tensor, spread: Tensor, sign: Tensor, weight: Tensor, start: Tensor, c: float) -> Tensor:
    """From ``(M, D + 1)`` weights to those of least objective; ``c`` is twice C."""
    solved, index, w = start.clone(), torch.arange(len(start)), start
    margin = sign * (w @ x.T)
    at_zero = (weight * sign) @ x  # the gradient there, but for −c: it says what is small
    limit = TOLERANCE**2 * _energy(at_zero * c, spread, weight.sum(1, keepdim=True), c)
    for _ in range(NEWTON_STEPS):
        loss = (1 - margin).clamp_(min=0)
        inside = weight * (loss > 0)
        gradient = w - c * ((inside * loss).mul_(sign) @ x)
        going = (_energy(gradient, spread, inside.sum(1, keepdim=True), c) > limit)[:, 0]
        solved[index] = w
        if not bool(going.any()):
            break
        if not bool(going.all()):
            index, w, gradient, limit = (part[going] for part in (index, w, gradient, limit))
            margin, inside, sign, weight = (part[going] for part in (margin, inside, sign, weight))
        step = _conjugate_gradients(x, spread, inside, gradient, c)
        moved = (step @ x.T).mul_(sign)
        length = _line_search(w, step, margin, moved, weight, c)
        w = torch.addcmul(w, length, step)
        margin.addcmul_(length, moved)
    solved[index] = w
    return solved


def _diagonal(spread: Tensor, total: Tensor, c: float) -> Tensor:
    """Of the Hessian, if the rows within the margin were as all: ``total`` is the sum of their weights."""
    return 1 + c * total * (spread / spread[-1])


def _energy(gradient: Tensor, spread: Tensor, total: Tensor, c: float) -> Tensor:
    """``(M, 1)`` how far the objective is from its least, about and twice."""
    return (gradient**2 / _diagonal(spread, total, c)).sum(1, keepdim=True)


def _conjugate_gradients(x: Tensor, spread: Tensor, inside: Tensor, gradient: Tensor, c: float) -> Tensor:
    """Solves ``(I + c Xᵀ diag(inside) X) d = -gradient`` for each."""
    inverse = 1 / _diagonal(spread, inside.sum(1, keepdim=True), c)
    residual = -gradient
    direction = z = inverse * residual
    step = torch.zeros_like(residual)
    energy = first = (residual * z).sum(1, keepdim=True)
    for _ in range(CG_STEPS):
        image = torch.add(direction, (direction @ x.T).mul_(inside) @ x, alpha=c)
        length = energy / (direction * image).sum(1, keepdim=True).clamp_(min=TINY)
        step.addcmul_(length, direction)
        residual = torch.addcmul(residual, length, image, value=-1)
        z = inverse * residual
        before, energy = energy, (residual * z).sum(1, keepdim=True)
        if bool((energy <= CG_TOLERANCE**2 * first).all()):
            break
        direction = torch.addcmul(z, energy / before.clamp(min=TINY), direction)
    return step


def _line_search(w: Tensor, step: Tensor, margin: Tensor, moved: Tensor, weight: Tensor, c: float) -> Tensor:
    """``(M, 1)`` lengths of least objective along a step, where it is piecewise quadratic, by Newton."""
    length = w.new_ones(len(w), 1)
    across, along = (w * step).sum(1, keepdim=True), (step * step).sum(1, keepdim=True)
    for _ in range(SEARCH_STEPS):
        loss = torch.addcmul(margin, length, moved).neg_().add_(1).clamp_(min=0)
        part = weight * moved
        slope = across + length * along - c * (part * loss).sum(1, keepdim=True)
        bend = along + c * (part.mul_(moved).mul_(loss > 0)).sum(1, keepdim=True)
        change = slope / bend.clamp(min=TINY)
        length = length - change
        if bool((change.abs() <= 1e-3 * length.abs()).all()):
            break
    return length
