"""Where coarse products save time, and exact ones decide."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch


@functools.cache
def coarse_type(device: str) -> torch.dtype:
    """bfloat16 where the CPU has instructions that multiply it, twice as fast as float32; elsewhere float32.

    What is asked is the processor, not a clock: the same on every process of a machine.
    """
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 may lack it
    names = ("avx512_bf16", "amx_bf16", "bf16")  # the last is ARM's
    return torch.bfloat16 if device == "cpu" and any(has.get(name) for name in names) else torch.float32
