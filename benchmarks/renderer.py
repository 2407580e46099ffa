"""Rendering: images per second of one thread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import torch

from benchmarks.timing import alternate, cpu_seconds
from invariantnets.data import renderer

IMAGES = {64: 64, 152: 16}


def measure(rounds: int = 5) -> Mapping[str, Mapping[str, float]]:
    """CPU time, nuisances as by default, at the sizes of the mini and of the paper's network."""

    def draw(size: int) -> float:
        numbers = torch.arange(IMAGES[size])
        codes = renderer.identity(0, numbers)
        nuisance = renderer.nuisances({}, 0, numbers, numbers, codes)
        return cpu_seconds(lambda: renderer.render(codes, nuisance, size))

    seconds = alternate({str(size): lambda size=size: draw(size) for size in IMAGES}, rounds)
    return {
        f"render {size} × {size}": {
            "images/s": IMAGES[size] / statistics.median(seconds[str(size)]),
            "ms/image": 1e3 * statistics.median(seconds[str(size)]) / IMAGES[size],
        }
        for size in IMAGES
    }
