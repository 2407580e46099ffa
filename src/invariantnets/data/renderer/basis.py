"""A linear face space: the fields of a head as a mean plus a sum of derivatives, one small product per field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from invariantnets.data.renderer import anatomy
from invariantnets.data.renderer import landmarks as points

STEP = 0.5  # of the finite differences; parameters are of order one


class Linear:
    """f(0) + Σ pᵢ ∂f/∂pᵢ, with the parameters that matter only."""

    def __init__(self, mean: np.ndarray, slopes: np.ndarray, device: torch.device) -> None:
        used = np.flatnonzero(np.abs(slopes.reshape(len(slopes), -1)).max(1) > 1e-6)
        self.shape = mean.shape
        self.used = torch.from_numpy(used).to(device)
        self.mean = torch.from_numpy(mean.reshape(1, -1)).float().to(device)
        self.slopes = torch.from_numpy(slopes[used].reshape(len(used), mean.size)).float().to(device)

    def __call__(self, parameters: Tensor, out: Tensor | None = None) -> Tensor:
        """Values ``(B, …)`` at parameters ``(B, P)``, in the order of ``anatomy.PARAMETERS``."""
        flat = None if out is None else out.flatten(1)
        return torch.addmm(self.mean, parameters[:, self.used], self.slopes, out=flat).view(
            len(parameters), *self.shape
        )


def _derivatives(of: Callable[[Mapping[str, float]], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Value at 0 and central differences by every parameter, ``(P, …)``."""
    zero = dict.fromkeys(anatomy.PARAMETERS, 0.0)
    slopes = [of({**zero, name: STEP}) - of({**zero, name: -STEP}) for name in zero]
    return of(zero), np.stack(slopes) / (2 * STEP)


@lru_cache(maxsize=8)
def _fields(device: torch.device) -> list[Linear]:
    mean, slopes = _derivatives(anatomy.head)
    return [Linear(mean[i], slopes[:, i], device) for i in range(len(mean))]


@lru_cache(maxsize=8)
def _landmarks(device: torch.device) -> Linear:
    return Linear(*_derivatives(points.landmarks), device)


def room(count: int, more: int, device: torch.device) -> Tensor:
    """Where ``fields`` writes those of so many heads, and a few more maps behind: ``(count, F, ROWS, COLUMNS)``."""
    return torch.empty(count, len(anatomy.FIELDS) + more, anatomy.ROWS, anatomy.COLUMNS, device=device)


def fields(parameters: Tensor, out: Tensor) -> Tensor:
    """The fields of each head, in the order of ``anatomy.FIELDS``.

    Args:
        parameters: ``(B, P)``.
        out: ``(B, len(anatomy.FIELDS) or more, ROWS, COLUMNS)``, written; what is behind the fields stays.

    Returns:
        ``out``.
    """
    for i, field in enumerate(_fields(parameters.device)):
        field(parameters, out=out[:, i])
    return out


def landmarks(parameters: Tensor) -> Tensor:
    """(θ, y) of the landmarks, ``(B, 68, 2)``."""
    return _landmarks(parameters.device)(parameters)
