"""What a training step of LeNet costs by each solver."""

from __future__ import annotations

import statistics
from functools import partial

import torch

from benchmarks.constraints import SGD, SIZES, Solver, make_batch, softmax_step
from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.muon import Muon

TOY = {"samples": 16, "rounds": 1}
SOLVERS: dict[str, Solver] = {"sgd, fused": SGD, "adamw": partial(torch.optim.AdamW, lr=0.001), "muon": Muon}


def measure(samples: int = SIZES[0], rounds: int = 30) -> dict[str, dict[str, float]]:
    """Per solver: the whole step with softmax alone, and how many times that of AdamW it is."""
    batch = make_batch(samples)
    found = alternate({name: partial(cpu_seconds, softmax_step(batch, s)) for name, s in SOLVERS.items()}, rounds)
    return {
        name: {"ms": 1e3 * statistics.median(times), "times AdamW's": ratio(times, found["adamw"])}
        for name, times in found.items()
    }
