"""Back through a network from one neuron: exact where it can be known, and other than guided backpropagation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.backbones import LocallyConnected2d
from invariantnets.inspection.deconvnet import Deconvnet, as_neurons, project
from specimens import Plain, bytes_of, drawn


def back(network: Any, pictures: Tensor, neuron: int, place: int = 0, local: bool = False) -> Tensor:
    number = torch.full((len(pictures),), neuron)
    return project(network, "a", pictures, number, torch.full_like(number, place), local).pixels


def test_one_activation_of_a_convolution_is_its_filter_at_its_place() -> None:
    convolution = nn.Conv2d(3, 4, 5, bias=False)
    convolution.weight.data = drawn(4, 3, 5, 5)
    network = Plain(lambda x: F.relu(convolution(x)), convolution)
    pictures = bytes_of(2, 3, 12, 12)
    activation = convolution(pictures.float())[:, 2, 3, 6]
    assert (activation > 0).any()
    expected = torch.zeros(2, 3, 12, 12)
    expected[:, :, 3:8, 6:11] = activation.clamp(min=0)[:, None, None, None] * convolution.weight[2]
    torch.testing.assert_close(back(network, pictures, 2, 3 * 8 + 6), expected.detach())


def test_switches_are_those_of_the_forward_pass() -> None:
    """Four unequal maxima: what comes back lies where each was."""
    network = Plain(lambda x: F.max_pool2d(x, 2))
    pictures = torch.tensor([[9, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3], [8, 2, 1, 0]], dtype=torch.uint8)[None, None]
    found = sum(back(network, pictures, 0, place) for place in range(4))
    expected = torch.zeros(1, 1, 4, 4)
    for row, column, value in ((0, 0, 9), (1, 3, 7), (3, 0, 8), (2, 3, 3)):
        expected[0, 0, row, column] = value
    torch.testing.assert_close(found, expected)


def chain(relu: Callable[[Tensor], Tensor], seed: int = 0, signed: bool = True) -> Plain:
    first, second = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 3, 3)
    for part in (first, second):
        part.weight.data = drawn(*part.weight.shape, seed=seed) if signed else drawn(*part.weight.shape).abs()
        nn.init.zeros_(part.bias)
    return Plain(lambda x: second(F.max_pool2d(relu(first(x / 256)), 2)), first, second)


def gradient(network: Plain, pictures: Tensor, neuron: int, place: int) -> Tensor:
    pixels = pictures.float().requires_grad_()
    chosen = as_neurons(network.features(pixels, ["a"])["a"], False)[:, neuron, place]
    (found,) = torch.autograd.grad(chosen.sum(), pixels)
    return found * chosen.detach()[:, None, None, None]


def test_where_all_gradients_are_positive_it_is_the_gradient_and_else_not() -> None:
    pictures = bytes_of(3, 1, 10, 10).clamp(min=1)
    positive = chain(F.relu, signed=False)
    torch.testing.assert_close(back(positive, pictures, 1, 2), gradient(positive, pictures, 1, 2))
    signed = chain(F.relu)
    assert not torch.allclose(back(signed, pictures, 1, 2), gradient(signed, pictures, 1, 2))


def test_it_is_not_guided_backpropagation() -> None:
    """A ReLU that was shut: the deconvnet lets what is positive through, guided backpropagation does not."""
    network = Plain(lambda x: (F.relu(x - 200) + x).flatten(1))
    pictures = torch.tensor([[[[100, 250]]]], dtype=torch.uint8)
    torch.testing.assert_close(back(network, pictures, 0), torch.tensor([[[[200.0, 0.0]]]]))  # a · (1 + 1), mask or not
    torch.testing.assert_close(back(network, pictures, 1), torch.tensor([[[[0.0, 600.0]]]]))
    negative = Plain(lambda x: (x - F.relu(x - 200)).flatten(1))
    torch.testing.assert_close(back(negative, pictures, 1), torch.tensor([[[[0.0, 200.0]]]]))  # the gradient is 0


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),
    "module, in place": nn.ReLU(inplace=True),
    "torch.relu": torch.relu,
    "method": lambda x: x.relu(),
    "method, in place": lambda x: x.relu_(),
    "in place, by its side effect": lambda x: (F.relu(x, inplace=True), x)[1],
    "torch.relu_": torch.relu_,
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp, in place": lambda x: x.clamp_(0),
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_every_way_to_write_a_relu_is_caught(relu: Callable[[Tensor], Tensor]) -> None:
    pictures = bytes_of(2, 1, 10, 10)
    found = project(chain(relu), "a", pictures, torch.tensor([1, 2]), torch.tensor([0, 3]))
    wanted = project(chain(F.relu), "a", pictures, torch.tensor([1, 2]), torch.tensor([0, 3]))
    torch.testing.assert_close(found.pixels, wanted.pixels)
    assert found.caught == 1 and not found.others


def test_other_bends_are_named_and_bounds_are_no_relu() -> None:
    with Deconvnet() as mode:
        x = drawn(3).requires_grad_()
        F.leaky_relu(x)
        nn.PReLU()(x)
        x.clamp(0, 255)
        F.gelu(x)
    assert mode.caught == 0 and mode.others == {"leaky_relu", "prelu", "gelu"}


def modules() -> nn.Sequential:
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(4 * 9, 5)).requires_grad_(False)


def test_captum_agrees_on_modules_and_is_silently_wrong_on_functions() -> None:
    attr = pytest.importorskip("captum.attr")
    network, pictures = modules(), bytes_of(2, 1, 12, 12)
    chosen = network(pictures.float())[:, 3].detach()
    ours = back(Plain(network), pictures, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it hooks the network
        theirs = attr.Deconvolution(network).attribute(pictures.float().requires_grad_(), target=3)
    assert (chosen > 0).any()
    for i in torch.nonzero(chosen > 0).flatten():
        torch.testing.assert_close(ours[i], chosen[i] * theirs[i])  # captum starts from 1

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = modules()

        def forward(self, x: Tensor) -> Tensor:
            for part in self.parts:
                x = F.relu(x) if isinstance(part, nn.ReLU) else part(x)
            return x

    functional = Functional()
    torch.testing.assert_close(back(Plain(functional), pictures, 3), ours)
    pixels = pictures.float().requires_grad_()
    (plain,) = torch.autograd.grad(functional(pixels)[:, 3].sum(), pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = attr.Deconvolution(functional).attribute(pictures.float().requires_grad_(), target=3)
    torch.testing.assert_close(wrong, plain)  # the gradient, without a word
    assert not torch.allclose(wrong, theirs)


def test_a_place_of_a_locally_connected_map_has_its_own_kernel() -> None:
    torch.manual_seed(0)
    local = LocallyConnected2d(1, 2, 6, 3, bias=False)
    network = Plain(lambda x: F.relu(local(x)), local)
    pictures = bytes_of(1, 1, 6, 6)
    number = int(local(pictures.float()).flatten().argmax())
    channel, row, column = np.unravel_index(number, (2, 4, 4))
    expected = torch.zeros(1, 1, 6, 6)
    kernel = local.weight[row, column, channel].permute(2, 1, 0)
    expected[:, :, row : row + 3, column : column + 3] = local(pictures.float())[0, channel, row, column] * kernel
    torch.testing.assert_close(back(network, pictures, number, local=True), expected.detach())
