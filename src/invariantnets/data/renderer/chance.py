"""Chance as a pure function of (seed, identity, sample): the same number whatever batch it is asked for in."""

from __future__ import annotations

import torch
from torch import Tensor

GOLDEN = -7046029254386353131  # splitmix64's constants as signed integers; products wrap around
FACTORS = ((30, -4658895280553007687), (27, -7723592293110705685), (31, 1))


def _mix(x: Tensor) -> Tensor:
    """Splitmix64's finaliser (Steele, Lea and Flood 2014) on int64."""
    for shift, factor in FACTORS:
        logical = (x >> shift) & ((1 << (64 - shift)) - 1)
        x = (x ^ logical) * factor
    return x


def uniform(seed: int, keys: list[Tensor], streams: int) -> Tensor:
    """Independent uniform numbers in (0, 1).

    Args:
        seed: of everything.
        keys: int64 ``(B,)`` each; what the numbers depend on, in order.
        streams: how many for each row.

    Returns:
        ``(B, streams)`` float64.
    """
    state = _mix(torch.full_like(keys[0], seed) + GOLDEN)
    for key in keys:
        state = _mix((state ^ key) + GOLDEN)
    counter = torch.arange(1, streams + 1, device=state.device) * GOLDEN
    bits = _mix(state[:, None] + counter)
    return (((bits >> 11) & ((1 << 53) - 1)).double() + 0.5) / (1 << 53)


def normal(seed: int, keys: list[Tensor], streams: int) -> Tensor:
    """The same from a standard normal distribution."""
    return torch.special.ndtri(uniform(seed, keys, streams))
