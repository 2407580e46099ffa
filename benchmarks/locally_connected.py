"""Locally connected layers of DeepFace's sizes: ours, the recipes that are in use, and what a core could do at best."""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.backbones import LocallyConnected2d

LAYERS = {"L4": (63, 9, 1), "L5": (55, 7, 2), "L6": (25, 5, 1)}  # input side, kernel, stride; 16 channels in and out
CHANNELS = 16
SGEMM = 2048
MEGABYTE = 2**20
TOY = {"layers": ("L6",), "batches": (1, 2), "memory": 1e7, "rounds": 1}


def peak_memory(work: Callable[[], object]) -> float:
    """Megabytes that the process held at most during the work, beyond what it held before (Linux with glibc)."""
    ctypes.CDLL(None).malloc_trim(0)  # else what was freed earlier counts as held before
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    work()
    return (_resident("VmHWM") - before) / MEGABYTE


def _resident(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))


class Layer:
    """One layer with one kind of pass; each method costs a batch and returns CPU seconds.

    The recipes are run on as many images as ``memory`` holds of their largest tensor, and their time is scaled up.
    """

    def __init__(self, name: str, batch: int, backward: bool, memory: float):
        side, self.kernel, self.stride = LAYERS[name]
        self.batch, self.backward, self.memory = batch, backward, memory
        self.layer = LocallyConnected2d(CHANNELS, CHANNELS, side, self.kernel, self.stride, bias=False)
        self.image = torch.randn(batch, CHANNELS, side, side, requires_grad=backward)
        self.side = self.layer.output_size[0]
        self.patch = CHANNELS * self.kernel**2
        kernels = self.layer.weight.detach().permute(2, 5, 0, 1, 4, 3)  # (C_out, C, H_out, W_out, kh, kw)
        self.broadcast_weight = kernels.flatten(4)[None].contiguous().requires_grad_(backward)
        self.einsum_weight = kernels.permute(0, 1, 4, 5, 2, 3).flatten(4).flatten(1, 3).contiguous()
        self.einsum_weight.requires_grad_(backward)
        self.square = torch.randn(2, SGEMM, SGEMM)
        self._check()

    def _check(self) -> None:
        """All three compute the same."""
        image = self.image[:1].detach()
        ours = self.layer(image)
        torch.testing.assert_close(self._popular(image), ours, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(self._einsum(image), ours, atol=1e-4, rtol=1e-4)

    def _popular(self, image: Tensor) -> Tensor:
        patches = image.unfold(2, self.kernel, self.stride).unfold(3, self.kernel, self.stride)
        return (patches.flatten(4).unsqueeze(1) * self.broadcast_weight).sum((2, -1))

    def _einsum(self, image: Tensor) -> Tensor:
        patches = F.unfold(image, self.kernel, stride=self.stride)
        output = torch.einsum("bkl,okl->bol", patches, self.einsum_weight)
        return output.unflatten(2, (self.side, self.side))

    def _pass(self, function: Callable[[Tensor], Tensor], weight: Tensor, image: Tensor) -> None:
        with torch.set_grad_enabled(self.backward):
            output = function(image)
            if self.backward:
                torch.autograd.grad(output, [image, weight], torch.ones_like(output))

    def _images(self, numbers: int) -> Tensor:
        """As many as the memory holds, where an image makes a tensor of so many floats."""
        return self.image[: max(1, int(self.memory / (4 * numbers)))].detach().requires_grad_(self.backward)

    def run_ours(self) -> None:
        """The layer, on the whole batch."""
        self._pass(self.layer, self.layer.weight, self.image)

    def ours(self) -> float:
        """The layer."""
        return cpu_seconds(self.run_ours)

    def popular(self) -> float:
        """Unfold twice, multiply with the weights by broadcasting, sum."""
        image = self._images(CHANNELS * self.patch * self.side**2)
        work = cpu_seconds(lambda: self._pass(self._popular, self.broadcast_weight, image))
        return work * self.batch / len(image)

    def einsum(self) -> float:
        """Unfold and einsum, its weights in the order of the unfolded input."""
        image = self._images(self.patch * self.side**2)
        work = cpu_seconds(lambda: self._pass(self._einsum, self.einsum_weight, image))
        return work * self.batch / len(image)

    def flops(self) -> float:
        """As many operations in one large matrix product; a backward pass has twice those of a forward pass."""
        passes = 3 if self.backward else 1
        products = passes * self.batch * self.layer.weight.numel() / SGEMM**3
        return cpu_seconds(lambda: torch.mm(self.square[0], self.square[1])) * products

    def bytes(self) -> float:
        """Adding up the weights, once a pass: forward, for the input's gradient, and as long for writing their own."""
        passes = 3 if self.backward else 1
        return cpu_seconds(self.layer.weight.detach().sum) * passes


def measure(
    layers: Sequence[str] = tuple(LAYERS), batches: Sequence[int] = (1, 32, 128), memory: float = 1e9, rounds: int = 3
) -> dict[str, dict[str, float]]:
    """Milliseconds a batch, how many times slower the recipes are, and how far from the bound we are.

    Args:
        layers: some of ``LAYERS``.
        batches: numbers of images.
        memory: bytes that the largest tensor of a recipe may take.
        rounds: how often each variant is run.
    """
    rows = {}
    for name in layers:
        for backward in (False, True):
            for batch in batches:
                title = f"{name} forward{' + backward' if backward else ''}, batch {batch}"
                rows[title] = _measure(Layer(name, batch, backward, memory), rounds)
    return rows


def _measure(layer: Layer, rounds: int) -> dict[str, float]:
    found = alternate({name: getattr(layer, name) for name in ("ours", "flops", "bytes", "einsum", "popular")}, rounds)
    bound = max(found["flops"], found["bytes"], key=statistics.median)
    return {
        "ours, ms": 1e3 * statistics.median(found["ours"]),
        "bound, ms": 1e3 * statistics.median(bound),
        "ours / bound": ratio(found["ours"], bound),
        "unfold + einsum / ours": ratio(found["einsum"], found["ours"]),
        "popular / ours": ratio(found["popular"], found["ours"]),
        "ours, peak MB": peak_memory(layer.run_ours),
        "unfolded, MB": 4 * layer.batch * layer.patch * layer.side**2 / MEGABYTE,
    }
