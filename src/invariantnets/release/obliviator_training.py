"""How an `Obliviator` is fitted: hidden layers by gradients, projections by eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.randomness import torch_rng

__all__ = ["dependence", "projection", "train"]

# Of the published code (schemas.py, configs/defaults.py, configs/factory.py), for a class that is told.
HIDDEN, BETAS, DECAY = 512, (0.85, 0.995), 0.01
TAU_Z, TAU_X, TAU_Y = 0.05, 0.01, 2.0  # what the hidden layer is to keep, against 1 for what it is to lose
EVP_Z, EVP_X, EVP_Y = 1.0, 0.2, 2.0  # the same of the projections
LEAST_WIDTH, LEAST_WIDTH_X, LEAST_WIDTH_Z, LEAST_WIDTH_Y = 1.5, 2.5, 1.0, 1.0  # of kernels
SMOOTHER, SMOOTHER_X = 1.5, 1.25  # times the median distance, in training and of the features as they come
TOLERANCE_FIRST, TOLERANCE = 3e-5, 1e-5  # eigenvalues below this share of the largest have no direction
UNTOLD_FIRST, UNTOLD = 1e-3, 5e-5  # the same where no class is told
# Ours: about their steps (five epochs of 250,000 rows in batches of 32,768), of few rows each, at ten times their rate:
# at theirs HSIC hardly fell on the 7,539 rows of our digits.
STEPS, BATCH, RATE, MEDIAN_ROWS = 60, 512, 5e-3, 1000


def dependence(a: Tensor, b: Tensor) -> Tensor:
    """The root of HSIC over the number of products: that of the mean squared covariance of the columns.

    ``a.shape[1] * b.shape[1] * dependence² = tr(K H L H) / N²`` (Gretton et al. 2005, biased), K and L being the inner
    products of the rows.

    Args:
        a: ``(N, A)``.
        b: ``(N, B)``.
    """
    return ((a - a.mean(0)).T @ (b - b.mean(0)) / len(a)).square().mean().sqrt()


def projection(waves: Tensor, erased: Tensor, kept: Sequence[tuple[float, Tensor]], tolerance: float) -> Tensor:
    """Axes in which waves have no covariance with what is erased, and most with what is kept.

    Eigenvectors, in the nullspace of the covariance with what is erased, of the sum of squared covariances with each
    that is kept, over its largest eigenvalue, times its weight.

    Args:
        waves: ``(N, M)``.
        erased: ``(N, S)``.
        kept: weights and ``(N, ·)``; an empty list: the variance of the waves themselves.
        tolerance: of eigenvalues, of the largest.

    Returns:
        ``(M, K)`` float64, orthonormal columns, largest eigenvalue first; at least one.
    """
    x = (waves - waves.mean(0)).double()
    cross = x.T @ (erased - erased.mean(0)).double() / len(x)
    basis, sizes, _ = torch.linalg.svd(cross, full_matrices=True)
    rank = int((sizes > 1e-5 * sizes[0]).sum()) if len(sizes) else 0
    null = basis[:, rank:]
    if kept:
        total = torch.zeros(null.shape[1], null.shape[1], dtype=torch.float64)
        for weight, y in kept:
            covariance = (y - y.mean(0)).double().T @ x / len(x) @ null
            squared = covariance.T @ covariance
            total += weight * squared / (torch.linalg.matrix_norm(squared, 2) + 1e-12)
    else:
        total = null.T @ (x.T @ x / len(x)) @ null
    values, vectors = torch.linalg.eigh(total)
    large = (values > tolerance * values[-1]).flip(0)
    return null @ vectors.flip(1)[:, : max(1, int(large.sum()))]


def train(
    x: np.ndarray, erased: np.ndarray, kept: np.ndarray | None, rounds: int, features: int, key: tuple[int, int]
) -> dict[str, np.ndarray]:
    """The steps of `obliviator.morph`.

    Args:
        x: ``(N, D)`` float32, about their mean.
        erased: ``(N, S)`` indicators of the nuisances.
        kept: ``(N, C)`` of the class; None: not told.
        rounds: after the first projection.
        features: of the kernels, an even number of which is taken.
        key: of random numbers.

    Returns:
        The tensors of each step, float32.
    """
    rng = torch_rng(*key)
    first, s = torch.from_numpy(x), torch.from_numpy(erased).float()
    y = None if kept is None else _of_classes(torch.from_numpy(kept).float(), rng)
    told = [] if y is None else [(EVP_Y, y)]
    waves = _Waves(first, SMOOTHER_X * _median(first, rng), features, rng)
    phi = waves(first)
    tolerance = UNTOLD_FIRST if y is None else TOLERANCE_FIRST
    axes = projection(phi, s, [(EVP_X, phi), *told] if told else [], tolerance)
    steps = {"frequencies_0": waves.frequencies, "mean_0": phi.mean(0), "axes_0": axes.float()}
    x_now = z = _unit((phi - phi.mean(0)) @ axes.float())
    for i in range(1, rounds + 1):
        before = [_Waves(x_now, max(_median(x_now, rng), LEAST_WIDTH_X), features, rng)(x_now)]
        weights = [TAU_X]
        if i > 1:
            before.append(_Waves(z, max(_median(z, rng), LEAST_WIDTH_Z), features, rng)(z))
            weights.append(TAU_Z)
        layer, bias = _hidden(
            z, s, [*zip(weights, before, strict=True), *([] if y is None else [(TAU_Y, y)])], features, rng
        )
        w = _unit(F.silu(z @ layer + bias))
        waves = _Waves(w, max(_median(w, rng), LEAST_WIDTH), features, rng)
        phi = waves(w)
        pairs = [*zip((EVP_X, EVP_Z)[: len(before)], before, strict=True), *told]
        axes = projection(phi, s, pairs, UNTOLD if y is None else TOLERANCE)
        own = {"weights": layer, "bias": bias, "frequencies": waves.frequencies, "mean": phi.mean(0)}
        steps |= {f"{name}_{i}": tensor for name, tensor in {**own, "axes": axes.float()}.items()}
        if i == 2:  # as they do: from here on what is to be kept is what the first round left
            x_now = z
        z = _unit((phi - phi.mean(0)) @ axes.float())
    return {name: tensor.numpy() for name, tensor in steps.items()}


class _Waves:
    """Random Fourier features of a Gaussian kernel of some width."""

    def __init__(self, like: Tensor, width: float, features: int, rng: torch.Generator):
        drawn = torch.randn(like.shape[1], features // 2, generator=rng)
        self.frequencies = drawn / (width if width > 0 else 1.0)

    def __call__(self, x: Tensor) -> Tensor:
        phase = x @ self.frequencies
        return torch.cat([phase.sin(), phase.cos()], 1) / self.frequencies.shape[1] ** 0.5


def _hidden(
    z: Tensor, erased: Tensor, kept: Sequence[tuple[float, Tensor]], features: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weights ``(D, HIDDEN)`` and bias of a layer that loses what is erased, and keeps what is kept."""
    reach = z.shape[1] ** -0.5  # as torch begins a linear layer
    layer, bias = ((2 * torch.rand(*shape, generator=rng) - 1) * reach for shape in ((z.shape[1], HIDDEN), (HIDDEN,)))
    layer.requires_grad_()
    bias.requires_grad_()
    solver = torch.optim.NAdam([layer, bias], RATE, BETAS, weight_decay=DECAY, decoupled_weight_decay=True)
    for _ in range(STEPS):
        rows = torch.randperm(len(z), generator=rng)[:BATCH]
        w = _unit(F.silu(z[rows] @ layer + bias))
        width = max(SMOOTHER * _median(w.detach(), rng), LEAST_WIDTH)
        phi = _Waves(w, width, features, rng)(w)
        loss = dependence(phi, erased[rows])
        for weight, other in kept:
            loss = loss - weight * dependence(phi, other[rows])
        solver.zero_grad()
        loss.backward()
        solver.step()
    return layer.detach(), bias.detach()


def _of_classes(kept: Tensor, rng: torch.Generator) -> Tensor:
    """Waves of indicators, as theirs: on these, and not on the indicators, `TAU_Y` has its meaning."""
    return _Waves(kept, max(_median(kept, rng), LEAST_WIDTH_Y), min(max(15 * kept.shape[1], 100), 4000), rng)(kept)


def _median(x: Tensor, rng: torch.Generator) -> float:
    """The median distance between (some of) the rows."""
    drawn = x[torch.randperm(len(x), generator=rng)[:MEDIAN_ROWS]]
    return float(F.pdist(drawn).median()) if len(drawn) > 1 else 0.0


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)
