"""Generators that are pure functions of some integers, so that nothing need be saved to resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["numpy_rng", "torch_rng"]


def numpy_rng(*entropy: int) -> np.random.Generator:
    """A generator of numpy."""
    return np.random.default_rng(list(entropy))


def torch_rng(*entropy: int) -> torch.Generator:
    """A generator of torch, which is imported here alone: tables are read without it."""
    import torch

    state = np.random.SeedSequence(list(entropy)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))
