"""Networks side by side are what each of them would be alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import Mlp
from invariantnets.probes.networks import PAUSES, Networks, _cycle, train
from invariantnets.probes.task import prepare
from invariantnets.randomness import torch_rng


def drawn(count: int, inputs: int = 5, outputs: int = 2, width: int = 16) -> Networks:
    return Networks.draw(inputs, outputs, width, [torch_rng(7, k) for k in range(count)])


def problem(rows: int, learnable: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """A product of two numbers, or noise, ``(N, 2)`` and ``(1, N, 1)``."""
    x = torch.randn(rows, 2, generator=torch_rng(1))
    return x, (x[:, :1] * x[:, 1:] if learnable else torch.randn(rows, 1, generator=torch_rng(2)))[None]


@pytest.mark.parametrize("dropout", [False, True])
def test_the_gradient_is_autograds(dropout: bool) -> None:
    networks = Networks(tuple(torch.randn(w.shape, generator=torch_rng(3)) for w in drawn(4).weights))
    x, y = torch.randn(30, 5, generator=torch_rng(4)), torch.randn(4, 30, 2, generator=torch_rng(5))
    kept = (torch.rand(2, 30, 16, generator=torch_rng(6)) > 0.3) / 0.7 if dropout else torch.ones(2, 30, 16)
    leaves = [w.clone().requires_grad_() for w in networks.weights]
    w1, b1, w2, b2, w3, b3 = leaves
    out = kept[1] * torch.relu(kept[0] * torch.relu(x @ w1.mT + b1) @ w2 + b2) @ w3 + b3
    if not dropout:
        torch.testing.assert_close(networks(x), out)
    expected = torch.autograd.grad((out - y).square().sum(2).mean(1).sum(), leaves)
    found = networks.gradient(x, y, kept if dropout else None)
    torch.testing.assert_close(found, list(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [10, 37, 1960])
def test_the_cycle_is_torchs(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, steps, cycle_momentum=False)
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < steps:
            schedule.step()
    np.testing.assert_allclose(_cycle(0.3, steps), expected, rtol=1e-9)


def test_untrained_they_predict_the_mean_and_generators_are_obeyed() -> None:
    state = torch.random.get_rng_state()
    assert torch.equal(drawn(3)(torch.ones(4, 5)), torch.zeros(3, 4, 2))
    for ours, again in zip(drawn(3).weights, drawn(3).weights, strict=True):
        assert torch.equal(ours, again)
    assert not torch.equal(drawn(2).weights[0][0], drawn(2).weights[0][1])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_product_is_learned_the_same_way_twice() -> None:
    x, y = problem(4000)
    (*_, networks), (*_, again) = (
        [now.copy() for now in train(drawn(1, 2, 1, 48), (x[:3000], y[:, :3000]), 1000, 0.1, torch_rng(0))]
        for _ in range(2)
    )
    error = float((networks(x[3000:]) - y[:, 3000:]).square().mean() / y[:, 3000:].var())
    assert error < 0.1 and torch.equal(networks(x), again(x))


def test_beside_others_each_is_as_alone_and_a_number_is_filled_up() -> None:
    """A second column of zeros changes nothing."""
    x, product = problem(3000)
    y = torch.cat([product, problem(3000, learnable=False)[1]])
    padded = torch.cat([y, torch.zeros_like(y)], 2)

    def fit(which: slice, targets: torch.Tensor) -> list[Networks]:
        start = drawn(2, 2, 2).of(which)
        start = Networks((*start.weights[:4], *(w[..., : targets.shape[2]].clone() for w in start.weights[4:])))
        return [now.copy() for now in train(start, (x, targets[which]), 300, 0.2, torch_rng(0))]

    together = fit(slice(None), padded)
    assert len(together) == PAUSES
    for k in range(2):
        alone = fit(slice(k, k + 1), y)
        for one, beside in zip(alone, together, strict=True):
            torch.testing.assert_close(one(x)[0], beside(x)[k, :, :1], rtol=1e-2, atol=1e-3)
    assert not together[-1](x)[:, :, 1].any()


def test_a_nuisance_reads_the_same_whatever_else_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    n, names = 900, ("angle", "tilt", "glasses", "place")
    columns = {"angle": rng.normal(size=n), "tilt": rng.uniform(-180, 180, n)}
    columns |= {"glasses": rng.integers(2, size=n) * 1.0, "place": rng.integers(3, size=n) * 1.0}
    kinds = (
        Nuisance("angle"),
        Nuisance("tilt", "circular"),
        Nuisance("glasses", "binary", categories=("no", "yes")),
        Nuisance("place", "categorical", categories=("a", "b", "c")),
    )
    x = rng.normal(size=(n, 6))
    x[:, 0] += columns["angle"]
    x[:, 1] += columns["glasses"]
    table = FeatureTable(
        {"e": x.astype(np.float32)},
        np.arange(n) % 3,
        np.repeat(["train", "val", "test"], n // 3),
        np.arange(n),
        columns,
        kinds,
        3,
    )

    def read(*which: str) -> dict[str, np.ndarray]:
        some = replace(table, nuisances=tuple(kind for kind in kinds if kind.name in which))
        task = prepare(some, "e", 0, closed=True).asked_for(Mlp.reads)
        return {reading.target.nuisance.name: reading.test for reading in Mlp(steps=100)(task)}

    together = read(*names)
    for name in names:
        np.testing.assert_allclose(read(name)[name], together[name], atol=1e-4)
