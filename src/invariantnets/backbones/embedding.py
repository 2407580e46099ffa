"""What an embedding can be given besides its weights: a fixed length, and noise in training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.errors import InvariantNetsError


class FixedNorm(nn.Module):
    """Scale each sample to one Euclidean length. Zero stays zero.

    Args:
        norm: the length.

    Raises:
        InvariantNetsError: a length that is not positive.
    """

    def __init__(self, norm: float):
        super().__init__()
        if norm <= 0:
            raise InvariantNetsError(f"norm={norm}: a length must be positive")
        self.norm = norm

    def forward(self, input: Tensor) -> Tensor:
        """``(N, D)`` → ``(N, D)``."""
        return self.norm * F.normalize(input, dim=1)

    def extra_repr(self) -> str:
        """The length."""
        return f"{self.norm}"


class GaussianNoise(nn.Module):
    """Add independent Gaussian noise to each component in training; do nothing in evaluation.

    σ is in the units of the input and not relative to it: without a fixed length before it
    (`FixedNorm`), a network drowns the noise by growing its activations. At length r and D
    components the noise is √D · σ / r times as long as the signal.

    Args:
        sigma: standard deviation per component.

    Raises:
        InvariantNetsError: a negative σ.
    """

    def __init__(self, sigma: float):
        super().__init__()
        if sigma < 0:
            raise InvariantNetsError(f"sigma={sigma}: a standard deviation must not be negative")
        self.sigma = sigma

    def forward(self, input: Tensor) -> Tensor:
        """Any shape → the same."""
        return input + self.sigma * torch.randn_like(input) if self.training else input

    def extra_repr(self) -> str:
        """The standard deviation."""
        return f"{self.sigma}"


class LearnedNoise(nn.Module):
    """Gaussian noise in training whose σ is learned, for each component by itself.

    Left alone, the network learns to do without noise. The constraint `Bottleneck` makes it pay for what gets
    through (the variational information bottleneck of Alemi et al. 2017).

    Args:
        width: number of components.
        sigma: where each standard deviation starts.

    Raises:
        InvariantNetsError: σ is not positive.
    """

    def __init__(self, width: int, sigma: float):
        super().__init__()
        if sigma <= 0:
            raise InvariantNetsError(f"sigma={sigma}: a standard deviation that is learned must start above 0")
        self.log_sigma = nn.Parameter(torch.full((width,), math.log(sigma)))

    def forward(self, input: Tensor) -> Tensor:
        """``(N, width)`` → the same."""
        return input + self.log_sigma.exp() * torch.randn_like(input) if self.training else input


def noise_layer(width: int, sigma: float, learned: bool) -> dict[str, nn.Module]:
    """The layer ``noise``, which follows an embedding; nothing for σ 0, unless it is learned.

    A layer of its own, so that a constraint can be put on the features or on what is left of them.

    Args:
        width: of the embedding.
        sigma: per component.
        learned: whether that is only where it starts.

    Raises:
        InvariantNetsError: a σ that cannot be.
    """
    if learned:
        return {"noise": LearnedNoise(width, sigma)}
    return {"noise": GaussianNoise(sigma)} if sigma else {}
