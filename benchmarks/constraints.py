"""What each constraint adds to a training step of LeNet, and how that grows with the batch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import alternate, cpu_seconds
from invariantnets.backbones import LayeredBackbone, lenet
from invariantnets.constraints import (
    Adversary,
    Bottleneck,
    Centre,
    Constraint,
    Coral,
    Hsic,
    Icl,
    Mmd,
    Pair,
    Softmax,
    SupCon,
    VicReg,
)
from invariantnets.data import Batch, DataSpec
from invariantnets.module import InvariantNet
from invariantnets.nuisance import Nuisance

SIZES = (192, 384)  # samples, of two views each
VIEWS, WIDTH, CLASSES = 2, 500, 10
TOY = {"sizes": (16, 32), "rounds": 1}
Solver = Callable[..., torch.optim.Optimizer]
SGD: Solver = partial(torch.optim.SGD, lr=0.001, momentum=0.9, fused=True)
SPEC = DataSpec((1, 28, 28), CLASSES, (Nuisance("angle"),))
TERMS: dict[str, Callable[[], Constraint]] = {
    "pair, ip1": lambda: Pair({"ip1": 1.0}),
    "supcon": lambda: SupCon("ip1"),
    "centre": lambda: Centre("ip1"),
    "vicreg": lambda: VicReg("ip1"),
    "bottleneck": lambda: Bottleneck("noise", conditional=True),
    "hsic": lambda: Hsic("ip1", "angle"),
    "hsic, conditional": lambda: Hsic("ip1", "angle", conditional=True),
    "hsic, linear": lambda: Hsic("ip1", "angle", kernel="linear"),
    "mmd": lambda: Mmd("ip1", "angle"),
    "icl": lambda: Icl("ip1", "angle"),
    "coral": lambda: Coral("ip1", "angle"),
    "adversary": lambda: Adversary("ip1", WIDTH, "angle"),
}


def make_batch(samples: int) -> Batch:
    """Random images, classes and angles."""
    rng = torch.Generator().manual_seed(0)
    index = torch.arange(samples * VIEWS).view(samples, VIEWS)
    image = torch.randint(256, (samples, VIEWS, *SPEC.image_shape), dtype=torch.uint8, generator=rng)
    angle = torch.randint(-3, 4, index.shape, generator=rng) * 15.0
    label = torch.randint(CLASSES, (samples,), generator=rng)
    return Batch(image, label, index, index // VIEWS, {"angle": angle})


def network() -> LayeredBackbone:
    """LeNet with the noise that `Bottleneck` asks for."""
    return lenet(embedding_noise=0.5, learned_noise=True)


def softmax_step(batch: Batch, solver: Solver = SGD) -> Callable[[], None]:
    """A whole training step with softmax alone: all rows forward and backward, and the optimiser."""
    model = InvariantNet(network(), {"softmax": Softmax("ip2", CLASSES)}, solver)
    optimizer = model.configure_optimizers()

    def step() -> None:
        optimizer.zero_grad()
        model.terms(model.layers(batch.image, ["ip2"]), batch, 0)["loss"].backward()
        optimizer.step()

    return step


def term_alone(make: Callable[[], Constraint], batch: Batch) -> Callable[[], Tensor]:
    """A constraint on a given embedding, forward; its backward pass ends at the embedding."""
    term, embedding = make(), torch.rand(*batch.index.shape, WIDTH, requires_grad=True)
    term.bind(network())
    term.connect(SPEC)
    return lambda: term.term({"ip1": embedding, "noise": embedding}, batch, 0)


def kept_bytes(forward: Callable[[], Tensor]) -> int:
    """Bytes that a forward pass keeps for its backward pass, each storage once."""
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = forward()
    assert result.requires_grad
    return sum(kept.values())


def _backward(forward: Callable[[], Tensor]) -> None:
    forward().backward()


def measure(sizes: tuple[int, int] = SIZES, rounds: int = 15) -> dict[str, dict[str, float]]:
    """Per constraint: its cost as a share of the step with softmax alone, and the powers of the batch it grows by."""
    loops: dict[str, Callable[[], object]] = {}
    memory: dict[str, int] = {}
    for samples in sizes:
        batch = make_batch(samples)
        loops[f"softmax {samples}"] = softmax_step(batch)
        for name, make in TERMS.items():
            forward = term_alone(make, batch)
            memory[f"{name} {samples}"] = kept_bytes(forward)
            loops[f"{name} {samples}"] = partial(_backward, forward)
    found = alternate({key: partial(cpu_seconds, loop) for key, loop in loops.items()}, rounds)
    seconds = {key: statistics.median(times) for key, times in found.items()}
    small, large = sizes
    power = math.log(large / small)
    return {
        name: {
            "added to a step, %": 100 * seconds[f"{name} {small}"] / seconds[f"softmax {small}"],
            "ms": 1e3 * seconds[f"{name} {small}"],
            f"at {large} samples, %": 100 * seconds[f"{name} {large}"] / seconds[f"softmax {large}"],
            "time grows by power": math.log(seconds[f"{name} {large}"] / seconds[f"{name} {small}"]) / power,
            "kept, MB": memory[f"{name} {small}"] / 1e6,
            "kept grows by power": math.log(memory[f"{name} {large}"] / memory[f"{name} {small}"]) / power,
        }
        for name in TERMS
    }
