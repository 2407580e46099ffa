"""What an embedding can be given besides its weights: a fixed length, and noise in training."""

from __future__ import annotations

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
