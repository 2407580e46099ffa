"""Muon against PyTorch's own for matrices, and against AdamW for everything else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from invariantnets.backbones import lenet
from invariantnets.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(20, 25), (50, 500), (60, 9)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    matrix[:, 0] *= 100  # one direction far above the others
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonalised(matrix) @ right.T
    torch.testing.assert_close(found, torch.diag(found.diag()), atol=1e-4, rtol=0)  # the same singular vectors
    assert 0.6 < found.diag().min() and found.diag().max() < 1.3


@pytest.mark.parametrize("shape", [(20, 1, 5, 5), (60, 1, 3, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_filters_step_as_matrices_do_in_pytorch(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    rng = torch.Generator().manual_seed(1)
    bank = nn.Parameter(torch.randn(shape, generator=rng).to(memory_format=layout))
    matrix = nn.Parameter(bank.detach().flatten(1).clone())
    ours = Muon([bank], lr=0.01, conv_lr=2.0, conv_weight_decay=0.3)
    theirs = torch.optim.Muon([matrix], lr=0.02, weight_decay=0.3)
    start = matrix.detach().clone()
    for _ in range(5):
        gradient = torch.randn(shape, generator=rng)
        bank.grad, matrix.grad = gradient.to(memory_format=layout), gradient.flatten(1)
        ours.step()
        theirs.step()
        assert bank.grad is not None and torch.equal(bank.grad, gradient)
    moved, expected = bank.detach().flatten(1) - start, matrix.detach() - start
    # PyTorch iterates in bfloat16.
    assert (moved - expected).norm() < 0.03 * expected.norm()


def test_the_rest_steps_as_in_adamw_and_a_state_that_is_loaded_goes_on_alike() -> None:
    torch.manual_seed(1)
    net = lenet(embedding_dim=20).to(memory_format=torch.channels_last)
    plain = copy.deepcopy(net)
    ours = Muon(net.parameters(), lr=1e-2, weight_decay=0.1)
    theirs = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.1)

    def step(optimizer: torch.optim.Optimizer, network: nn.Module, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        for p in network.parameters():
            p.grad = torch.randn(p.shape, generator=rng)
        optimizer.step()

    for seed in range(3):
        step(ours, net, seed)
        step(theirs, plain, seed)
    found, expected = dict(net.named_parameters()), dict(plain.named_parameters())
    filters = {name for name, p in found.items() if p.ndim == 4}
    assert filters == {name for name in found if not torch.equal(found[name], expected[name])}
    assert len(filters) == 2

    again = copy.deepcopy(net)
    resumed = Muon(again.parameters(), lr=1e-2, weight_decay=0.1)
    resumed.load_state_dict(copy.deepcopy(ours.state_dict()))
    step(ours, net, 3)
    step(resumed, again, 3)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_a_filter_without_gradient_stays_and_one_of_gradient_0_decays() -> None:
    bank = nn.Parameter(torch.ones(2, 1, 3, 3))
    optimizer = Muon([bank], lr=0.1, conv_lr=1.0, conv_weight_decay=0.5)
    optimizer.step()
    assert torch.equal(bank.detach(), torch.ones(2, 1, 3, 3))
    bank.grad = torch.zeros_like(bank)
    optimizer.step()
    torch.testing.assert_close(bank.detach(), torch.full((2, 1, 3, 3), 0.95))
