from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from invariantnets.backbones import LocallyConnected2d, tied_weight
from invariantnets.backbones._local_ops import (
    locally_connected2d,
    locally_connected2d_input,
    locally_connected2d_weight,
)
from invariantnets.errors import InvariantNetsError

CASES: dict[str, dict[str, Any]] = {
    "plain": dict(input_size=(7, 7), kernel_size=3),
    "odd sides": dict(input_size=(11, 8), kernel_size=(4, 3)),
    "stride": dict(input_size=(13, 9), kernel_size=(3, 5), stride=(3, 2)),
    "padding": dict(input_size=(6, 9), kernel_size=(5, 2), padding=(2, 1)),
    "stride and padding": dict(input_size=(10, 7), kernel_size=(3, 4), stride=(2, 3), padding=(0, 3)),
    "stride beyond the kernel": dict(input_size=(9, 12), kernel_size=2, stride=(3, 4)),
    "kernel as large as the input": dict(input_size=(4, 5), kernel_size=(4, 5)),
    "kernel as large as the padded input": dict(input_size=(4, 5), kernel_size=(6, 7), padding=1, stride=9),
    "one pixel": dict(input_size=5, kernel_size=1),
    "no bias": dict(input_size=(5, 6), kernel_size=2, bias=False),
    "dilation": dict(input_size=(8, 9), kernel_size=3, dilation=2),
    "dilation and all else": dict(
        input_size=(12, 9), kernel_size=(3, 2), stride=(2, 3), padding=(1, 2), dilation=(3, 2)
    ),
    "dilation and a stride with a common part": dict(
        input_size=(17, 14), kernel_size=3, stride=(2, 4), dilation=(4, 2)
    ),
    "dilation beyond the output": dict(input_size=(7, 9), kernel_size=2, dilation=(6, 5)),
}
FORMATS = [torch.contiguous_format, torch.channels_last]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def make(case: str = "stride and padding", channels: tuple[int, int] = (3, 4), **knobs: Any) -> LocallyConnected2d:
    torch.manual_seed(0)
    return LocallyConnected2d(*channels, **CASES[case], **knobs)


def images(layer: LocallyConnected2d, batch: int = 3) -> Tensor:
    shape = (batch, layer.in_channels, *layer.input_size)
    return torch.randn(shape, generator=seeded(), dtype=torch.double).to(layer.weight)


def place_by_place(layer: LocallyConnected2d, image: Tensor) -> Tensor:
    """Every kernel in the layout of ``nn.Conv2d`` against its patch."""
    (top, left), (down, right), (tall, wide) = layer.padding, layer.stride, layer.dilation
    height, width = (step * (side - 1) + 1 for side, step in zip(layer.kernel_size, layer.dilation, strict=True))
    image = F.pad(image, (left, left, top, top))
    output = image.new_zeros(len(image), layer.out_channels, *layer.output_size)
    for y in range(layer.output_size[0]):
        for x in range(layer.output_size[1]):
            patch = image[:, :, y * down : y * down + height : tall, x * right : x * right + width : wide]
            kernel = layer.weight[y, x].permute(0, 3, 2, 1)
            output[:, :, y, x] = torch.einsum("bchw,ochw->bo", patch, kernel)
    return output if layer.bias is None else output + layer.bias


def gradients(function: Callable[[Tensor], Tensor], layer: nn.Module, image: Tensor) -> tuple[Tensor, ...]:
    image = image.detach().requires_grad_()
    output = function(image)
    direction = torch.randn(output.shape, generator=seeded(), dtype=torch.double).to(output)
    return torch.autograd.grad(output, [image, *layer.parameters()], direction)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("batch", [0, 1, 2, 5])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_loops_over_places(case: str, batch: int, memory_format: torch.memory_format) -> None:
    layer = make(case, dtype=torch.double)
    image = images(layer, batch)
    given = image.contiguous(memory_format=memory_format)
    torch.testing.assert_close(layer(given), place_by_place(layer, image))
    assert layer(given).is_contiguous(memory_format=torch.channels_last)
    expected = gradients(lambda image: place_by_place(layer, image), layer, image)
    for ours, theirs in zip(gradients(layer, layer, given), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("batch", [0, 1, 4])
@pytest.mark.parametrize("case", CASES)
def test_the_same_kernel_everywhere_is_a_convolution(case: str, batch: int) -> None:
    layer = make(case)
    conv = nn.Conv2d(3, 4, layer.kernel_size, layer.stride, layer.padding, layer.dilation, bias=layer.bias is not None)
    layer.weight.data = tied_weight(conv.weight, layer.output_size).detach()
    if layer.bias is not None and conv.bias is not None:
        layer.bias.data = conv.bias[:, None, None].expand_as(layer.bias).detach().clone()
    image = images(layer, batch)
    torch.testing.assert_close(layer(image), conv(image))
    (ours, kernels, *bias), (theirs, kernel, *one_bias) = (gradients(f, f, image) for f in (layer, conv))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(kernels.sum((0, 1)).permute(0, 3, 2, 1), kernel, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close([b.sum((1, 2)) for b in bias], one_bias)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("case", ["stride", "padding", "stride beyond the kernel", "dilation and all else"])
def test_gradients_of_all_arguments(case: str, batch: int) -> None:
    layer = make(case, channels=(2, 2), dtype=torch.double)

    def output(image: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(("weight", "bias"), parameters, strict=True)), image)

    arguments = [images(layer, batch), *(p.detach().clone() for p in layer.parameters())]
    assert torch.autograd.gradcheck(output, [a.requires_grad_() for a in arguments], fast_mode=True)


def test_gradients_in_any_memory_layout() -> None:
    """What flattening hands back, what channels-last layers hand back, and an expanded scalar."""
    layer = make(dtype=torch.double)
    image = images(layer)
    for read in (lambda x: x.flatten(1).cos(), lambda x: x.cos(), lambda x: x.transpose(2, 3).contiguous()):
        ours = gradients(lambda image, read=read: read(layer(image)), layer, image)
        theirs = gradients(lambda image, read=read: read(place_by_place(layer, image)), layer, image)
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(layer(image).sum(), layer.weight),
        torch.autograd.grad(place_by_place(layer, image).sum(), layer.weight),
    )


@pytest.mark.parametrize("frozen", ["input", "weight", "bias"])
def test_only_the_gradients_that_are_asked_for(frozen: str) -> None:
    layer = make()
    image = images(layer).requires_grad_(frozen != "input")
    if frozen != "input":
        getattr(layer, frozen).requires_grad_(False)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        layer(image).sum().backward()
    names = {event.name for event in profiler.events()}
    assert ("invariantnets::locally_connected2d_input" in names) == (frozen != "input")
    assert ("invariantnets::locally_connected2d_weight" in names) == (frozen != "weight")
    found = {"input": image.grad, "weight": layer.weight.grad, "bias": layer.bias.grad}
    assert {name for name, grad in found.items() if grad is None} == {frozen}


def allocated(work: Callable[[], object]) -> int:
    """Bytes of all tensors that were made on the way, whether or not at the same time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    return sum(max(event.self_cpu_memory_usage, 0) for event in profiler.events())


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize(("dilation", "share"), [(1, 3), (2, 2)])  # dilated, the image itself is larger
def test_nothing_of_the_size_of_the_unfolded_input(
    memory_format: torch.memory_format, dilation: int, share: int
) -> None:
    layer = LocallyConnected2d(16, 2, 14 + 6 * dilation, 7, dilation=dilation)
    image = torch.randn(32, 16, *layer.input_size).contiguous(memory_format=memory_format).requires_grad_()
    unfolded = allocated(lambda: F.unfold(image, 7, dilation))
    assert unfolded >= 32 * 14 * 14 * 16 * 7 * 7 * 4
    assert allocated(lambda: layer(image)) < unfolded / 8
    assert allocated(lambda: layer(image).sum().backward()) < unfolded / share


def test_initial_weights_are_those_of_a_convolution() -> None:
    layer = make("odd sides", channels=(5, 6))
    bound = 1 / math.sqrt(5 * 4 * 3)
    conv = nn.Conv2d(5, 6, (4, 3))
    assert conv.weight.abs().max() <= bound, "the same law"
    for parameter in layer.parameters():
        assert 0.95 * bound < parameter.abs().max() <= bound
        assert parameter.var().item() == pytest.approx(bound**2 / 3, rel=0.2)
    before = copy.deepcopy(layer.state_dict())
    layer.reset_parameters()
    assert not torch.equal(before["weight"], layer.weight)


def test_autocast_is_that_of_convolutions() -> None:
    layer = make()
    image = images(layer).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(image)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), place_by_place(layer, image), atol=0.03, rtol=0.02)
    ours = gradients(lambda image: place_by_place(layer, image), layer, image)
    with torch.autocast("cpu", torch.bfloat16):
        theirs = gradients(layer, layer, image)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype == torch.float32
        assert (a - b).norm() < 0.02 * b.norm()


def test_state_goes_round() -> None:
    layer, other = make(), LocallyConnected2d(3, 4, **CASES["stride and padding"])
    image = images(layer)
    assert not torch.equal(layer(image), other(image))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(layer(image), other(image))
    assert set(make("no bias").state_dict()) == {"weight"}


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_without_gradients(mode: Callable[[], Any]) -> None:
    layer = make()
    with mode():
        output = layer(images(layer))
    assert not output.requires_grad and torch.equal(output, layer(images(layer)))


def test_shapes_without_numbers() -> None:
    layer = make(device="meta")
    output = layer(torch.empty(7, 3, *layer.input_size, device="meta"))
    assert output.shape == (7, 4, *layer.output_size) and output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck itself looks at it
@pytest.mark.parametrize("operator", ["output", "input", "weight"])
def test_operators_keep_pytorchs_rules(operator: str) -> None:
    layer = make("stride")
    image, steps = images(layer).requires_grad_(), (*layer.stride, *layer.dilation)
    grad = layer(image).detach().requires_grad_()
    if operator == "output":
        torch.library.opcheck(locally_connected2d, (image, layer.weight, steps))
    elif operator == "input":
        torch.library.opcheck(locally_connected2d_input, (grad, layer.weight, (*steps, *layer.input_size)))
    else:
        torch.library.opcheck(locally_connected2d_weight, (grad, image, (*steps, *layer.kernel_size)))


def check_compiled(case: str, backend: str) -> None:
    torch.compiler.reset()  # compilations of one function are limited in number
    layer = make(case)
    compiled = torch.compile(layer, backend=backend, fullgraph=True)
    for batch in (3, 2):
        image = images(layer, batch)
        torch.testing.assert_close(compiled(image), layer(image))
        torch.testing.assert_close(gradients(compiled, layer, image), gradients(layer, layer, image))
    with torch.autocast("cpu", torch.bfloat16):
        # Compiled, the bias is not rounded before it is added: where they cancel, that shows.
        torch.testing.assert_close(compiled(image), layer(image), atol=4e-3, rtol=0.016)


@pytest.mark.parametrize("case", ["stride and padding", "dilation and all else"])
def test_traces_into_one_graph(case: str) -> None:
    check_compiled(case, "aot_eager")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["stride and padding", "dilation and all else"])
def test_compiles(case: str) -> None:
    check_compiled(case, "inductor")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", CASES)
def test_gpu_agrees(case: str) -> None:
    layer = make(case, dtype=torch.double)
    there = copy.deepcopy(layer).cuda()
    ours = gradients(there, there, images(layer).cuda())
    for a, b in zip(ours, gradients(layer, layer, images(layer)), strict=True):
        torch.testing.assert_close(a.cpu(), b)


@pytest.mark.parametrize("shape", [(2, 3, 7, 10), (2, 4, 10, 7), (3, 10, 7), (2, 3, 10, 8), (10, 7), ()])
def test_other_inputs_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvariantNetsError, match=r"this layer was made for \(B, 3, 10, 7\)"):
        make()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (dict(kernel_size=(11, 3)), r"kernel_size=\(11, 3\) is larger than the padded input \(10, 7\)"),
        (dict(kernel_size=10, padding=(0, 1)), r"larger than the padded input \(10, 9\)"),
        (dict(kernel_size=0), "kernel_size=0: takes integers of at least 1"),
        (dict(kernel_size=2.0), "kernel_size=2.0: takes integers of at least 1"),
        (dict(kernel_size=(1, 2, 3)), r"kernel_size=\(1, 2, 3\): takes one integer or two"),
        (dict(stride=(1, 0)), "stride=0: takes integers of at least 1"),
        (dict(padding=-1), "padding=-1: takes integers of at least 0"),
        (dict(dilation=0), "dilation=0: takes integers of at least 1"),
        (dict(dilation=True), "dilation=True: takes integers of at least 1"),
        (dict(dilation=(1, 2, 3)), r"dilation=\(1, 2, 3\): takes one integer or two"),
        (
            dict(dilation=(2, 4)),
            r"kernel_size=\(3, 3\) with dilation=\(2, 4\) is larger than the padded input \(10, 7\): .* or dilation",
        ),
        (dict(padding="same"), "padding='same': takes one integer or two"),
        (dict(in_channels=0), "in_channels=0: takes integers of at least 1"),
        (dict(out_channels=True), "out_channels=True: takes integers of at least 1"),
        (dict(input_size=(10, None)), "input_size=None: takes integers of at least 1"),
    ],
)
def test_impossible_layers_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message):
        LocallyConnected2d(**{"in_channels": 3, "out_channels": 4, "input_size": (10, 7), "kernel_size": 3} | knobs)


def test_shows_its_arguments() -> None:
    assert repr(LocallyConnected2d(3, 4, (9, 8), 3)) == (
        "LocallyConnected2d(3, 4, input_size=(9, 8), kernel_size=(3, 3), stride=(1, 1))"
    )
    assert repr(make("no bias")).endswith("stride=(1, 1), bias=False)")
    assert "padding=(2, 1))" in repr(make("padding"))
    assert repr(make("dilation")).endswith("stride=(1, 1), dilation=(2, 2))")


def test_deepfaces_layers() -> None:
    """L4–L6 of Taigman et al. (2014), figure 2; L4 alone has 63 million weights."""
    sides = [63]
    for kernel, stride in ((9, 1), (7, 2), (5, 1)):
        layer = LocallyConnected2d(16, 16, sides[-1], kernel, stride, device="meta")
        assert layer.weight.numel() == 16 * 16 * kernel**2 * layer.output_size[0] ** 2
        sides.append(layer.output_size[0])
    assert sides == [63, 55, 25, 21]
