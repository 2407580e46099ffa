"""Kernel ridge regression of many targets at once, exact or on landmarks, at every penalty of a path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.blas import dsyrk

from invariantnets.statistics.moments import BLOCK_ROWS

__all__ = ["Kernel", "KernelPath", "fit_kernel_ridge"]

# Share of the mean of the diagonal that is added to the landmarks' own matrix: below it is the rounding of float32.
JITTER = 1e-7
# So many numbers of a kernel matrix at a time.
BLOCK_NUMBERS = 2**22
Name = Literal["rbf", "quadratic"]


class Kernel(NamedTuple):
    """A kernel and its width.

    Attributes:
        name: ``rbf``: ``exp(-‖x - z‖²/size)``; ``quadratic``: ``(1 + x·z/size)²``, whose features are all products of
            two coordinates, their squares and themselves.
        size: in squared units of the coordinates, above 0.
    """

    name: Name
    size: float

    def __call__(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """``(N, R)`` and ``(M, R)`` → ``(N, M)``, in the precision of the coordinates."""
        k = x @ z.T
        if self.name == "quadratic":
            k /= self.size
            k += 1
            return np.square(k, out=k)
        k *= 2
        k -= np.einsum("nr,nr->n", x, x)[:, None]
        k -= np.einsum("nr,nr->n", z, z)
        k /= self.size
        return np.exp(np.minimum(k, 0, out=k), out=k)

    def slopes(self, x: np.ndarray, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The gradient of ``k(x, z) @ weights`` in each row of ``x``, ``(N, R)``; ``weights`` is ``(M,)``."""
        weights = weights.astype(x.dtype)
        if self.name == "quadratic":
            return ((x @ z.T / self.size + 1) * weights) @ z * (2 / self.size)
        k = self(x, z) * weights
        return (k @ z - k.sum(1, keepdims=True) * x) * (2 / self.size)


@dataclass(frozen=True)
class KernelPath:
    """Regressors of T targets at L penalties: ``k(x, points) @ weights + mean``.

    Attributes:
        kernel: theirs.
        points: ``(M, R)`` rows they were fitted to, or landmarks.
        weights: ``(L, M, T)``.
        mean: ``(T,)``.
        bounds: ``(2, T)`` of predictions, half as far again as the targets reach: no row far out counts for all others.
    """

    kernel: Kernel
    points: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    bounds: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """``(N, R)`` → ``(L, N, T)``."""
        return np.concatenate([found for _, found in self._blocks(x)], 1)

    def errors(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """``(L, T)`` sums of squared errors."""
        total = np.zeros((len(self.weights), y.shape[1]))
        for block, found in self._blocks(x):
            total += ((found - y[block]) ** 2).sum(1)
        return total

    def at(self, penalty: Sequence[int]) -> KernelPath:
        """Each target at a penalty of its own, of the path's: one is left."""
        weights = np.stack([self.weights[at, :, column] for column, at in enumerate(penalty)], -1)
        return replace(self, weights=weights[None])

    def _blocks(self, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        penalties, count, width = self.weights.shape
        flat = self.weights.transpose(1, 0, 2).reshape(count, -1)
        step = max(1, BLOCK_NUMBERS // max(count, penalties * width))
        for start in range(0, max(len(x), 1), step):
            block = slice(start, start + step)
            found = (self.kernel(x[block], self.points) @ flat).reshape(-1, penalties, width).transpose(1, 0, 2)
            yield block, np.clip(found + self.mean, *self.bounds)

    def relevance(self, x: np.ndarray, penalty: int, targets: Sequence[int]) -> np.ndarray:
        """``(R, R)`` mean outer product of the gradients of some targets, as in recursive feature machines.

        Directions that have nothing to do with the targets, and drown the others in every distance, have none
        (Radhakrishnan, Beaglehole, Pandit & Belkin 2024).
        """
        total = np.zeros((x.shape[1], x.shape[1]), np.float64)
        for target in targets:
            slopes = self.kernel.slopes(x, self.points, self.weights[penalty, :, target])
            total += slopes.T @ slopes
        return total / len(x)


def fit_kernel_ridge(
    kernel: Kernel, x: np.ndarray, y: np.ndarray, penalties: Sequence[float], landmarks: int | None = None
) -> KernelPath:
    """Minimise ‖y - ȳ - f‖²/n + λ t ‖f‖², t being the mean of ``k(x, x)``, at every λ.

    Beyond ``landmarks`` rows f is a sum of kernels at the first rows alone (Nyström; Williams & Seeger 2001, Rudi,
    Camoriano & Rosasco 2015). Products are made in the precision of ``x``, sums over rows and solutions in float64.

    Args:
        kernel: which.
        x: ``(N, R)`` coordinates, in random order.
        y: ``(N, T)`` targets.
        penalties: L times λ, above 0.
        landmarks: M; None: every row is one, the exact solution.
    """
    mean, low, high = y.mean(0), y.min(0), y.max(0)
    bounds = np.stack([low - (high - low) / 2, high + (high - low) / 2])
    if landmarks is None or len(x) <= landmarks:
        return KernelPath(kernel, x, _exact(kernel, x, y - mean, penalties), mean, bounds)
    weights = _nystroem(kernel, x, y - mean, penalties, landmarks)
    return KernelPath(kernel, x[:landmarks], weights, mean, bounds)


def _exact(kernel: Kernel, x: np.ndarray, y: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
    # In float32 its small eigenvalues would be noise, some of them below zero.
    x = x.astype(np.float64)
    k = kernel(x, x)
    diagonal = np.diag(k).copy()
    found = np.empty((len(penalties), *y.shape))
    for at, penalty in enumerate(penalties):
        # A Cholesky factor costs a thirtieth of the eigenvectors.
        np.fill_diagonal(k, diagonal + penalty * diagonal.sum())
        found[at] = cho_solve(cho_factor(k, lower=True, check_finite=False), y, check_finite=False)
    return found


def _nystroem(kernel: Kernel, x: np.ndarray, y: np.ndarray, penalties: Sequence[float], count: int) -> np.ndarray:
    points = x[:count]
    own = kernel(points.astype(np.float64), points.astype(np.float64))
    size = float(np.diag(own).mean())
    own[np.diag_indices(count)] += JITTER * size
    factor = np.linalg.cholesky(own)
    products, moments = np.zeros((count, count), order="F"), np.zeros((count, y.shape[1]))
    for start in range(0, len(x), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        # In float32 the sums would hold the small eigenvalues, which are half of what is read, as noise.
        k = kernel(x[block], points).astype(np.float64)
        products = dsyrk(1, k.T, beta=1, c=products, lower=1, overwrite_c=1)
        moments += k.T @ y[block]
    products += np.tril(products, -1).T
    # In coordinates in which the landmarks' matrix is 1, the penalty is a number on the diagonal.
    half = solve_triangular(factor, products, lower=True, check_finite=False)
    white = solve_triangular(factor, half.T, lower=True, check_finite=False)
    moments = solve_triangular(factor, moments, lower=True, check_finite=False)
    # Rounding leaves eigenvalues below zero, where a Cholesky factor ends; of landmarks these cost no more.
    variances, axes = np.linalg.eigh((white + white.T) / 2)
    shrunk = np.maximum(variances, 0)[:, None] + np.asarray(penalties)[:, None, None] * size * len(x)
    found = axes @ (axes.T @ moments / shrunk)
    flat = found.transpose(1, 0, 2).reshape(count, -1)
    flat = solve_triangular(factor, flat, lower=True, trans=1, check_finite=False)
    return flat.reshape(count, len(penalties), -1).transpose(1, 0, 2)
