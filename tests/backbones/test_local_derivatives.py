"""Derivatives of locally connected layers: of any order, forwards, under ``vmap``, and these in one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, stack_module_state, vjp, vmap
from torch.nn import functional as F

from invariantnets.backbones import LocallyConnected2d, tied_weight

CASES: dict[str, dict[str, Any]] = {
    "plain": dict(input_size=(4, 5), kernel_size=3),
    "stride and padding": dict(input_size=(5, 4), kernel_size=(3, 2), stride=(2, 3), padding=(0, 1)),
    "dilation": dict(input_size=(6, 5), kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 3)),
    "no bias": dict(input_size=4, kernel_size=2, bias=False),
}
SMALL: dict[str, dict[str, Any]] = {  # for checks of every number
    "small": dict(input_size=(3, 4), kernel_size=2, stride=(1, 2)),
    "small and dilated": dict(input_size=(3, 4), kernel_size=2, dilation=(2, 3), padding=(0, 1)),
}
# What PyTorch itself uses when forward derivatives are first taken.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is:FutureWarning")
Parameters = dict[str, Tensor]
Function = Callable[[Parameters, Tensor], Tensor]


class Case:
    """A layer, the same as loops of PyTorch's own operators, and where and in which direction to take derivatives."""

    def __init__(self, name: str, batch: int = 2):
        torch.manual_seed(0)
        self.layer = LocallyConnected2d(2, 2, **(CASES | SMALL)[name], dtype=torch.double)
        self.parameters = {name: value.detach() for name, value in self.layer.named_parameters()}
        self.image = self.random(batch, 2, *self.layer.input_size)
        self.at = self.parameters, self.image
        self.towards = self.random_parameters(), torch.randn_like(self.image)

    def random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.double)

    def random_parameters(self, *several: int) -> Parameters:
        return {name: self.random(*several, *value.shape) for name, value in self.parameters.items()}

    def ours(self, parameters: Parameters, image: Tensor) -> Tensor:
        return functional_call(self.layer, parameters, (image,))

    def loops(self, parameters: Parameters, image: Tensor) -> Tensor:
        layer, (top, left) = self.layer, self.layer.padding
        (down, right), (tall, wide), (rows, columns) = layer.stride, layer.dilation, layer.output_size
        height, width = (step * (side - 1) + 1 for side, step in zip(layer.kernel_size, layer.dilation, strict=True))
        image = F.pad(image, (left, left, top, top))
        places = []
        for y in range(rows):
            for x in range(columns):
                patch = image[:, :, y * down : y * down + height : tall, x * right : x * right + width : wide]
                places.append(torch.einsum("bchw,owhc->bo", patch, parameters["weight"][y, x]))
        output = torch.stack(places, -1).unflatten(-1, (rows, columns))
        return output + parameters["bias"] if "bias" in parameters else output

    def agree(self, transform: Callable[[Function], Any]) -> None:
        torch.testing.assert_close(transform(self.ours), transform(self.loops))


def energy(function: Function) -> Function:
    """A number whose derivatives of all orders depend on all of the output."""
    return lambda parameters, image: function(parameters, image).sin().sum()


def slopes(function: Function) -> Callable[[Parameters, Tensor], tuple[Parameters, Tensor]]:
    return grad(energy(function), argnums=(0, 1))


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_forwards_as_finite_differences(case: Case) -> None:
    output, change = jvp(case.ours, case.at, case.towards)
    step = 1e-6

    def moved(sign: int) -> Tensor:
        parameters = {name: value + sign * step * case.towards[0][name] for name, value in case.parameters.items()}
        return case.ours(parameters, case.image + sign * step * case.towards[1])

    with torch.inference_mode():
        torch.testing.assert_close(jvp(case.ours, case.at, case.towards), (output, change))
    torch.testing.assert_close(output, case.ours(*case.at))
    torch.testing.assert_close(change, (moved(1) - moved(-1)) / (2 * step), atol=1e-7, rtol=1e-6)
    assert change.norm() > 1


@pytest.mark.parametrize("of", ["image", "weight", "bias"])
def test_forwards_in_one_argument_alone(of: str) -> None:
    case = Case("dilation")
    value, direction = (case.image, case.towards[1]) if of == "image" else (case.parameters[of], case.towards[0][of])

    def alone(function: Function) -> Callable[[Tensor], Tensor]:
        if of == "image":
            return lambda image: function(case.parameters, image)
        return lambda value: function(case.parameters | {of: value}, case.image)

    case.agree(lambda function: jvp(alone(function), (value,), (direction,)))
    case.agree(lambda function: grad(lambda value: alone(function)(value).sin().sum())(value))
    case.agree(lambda function: vmap(alone(function))(torch.stack([value, direction])))


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_dual_tensors(case: Case, mode: Callable[[], Any]) -> None:
    _, expected = jvp(case.loops, case.at, case.towards)
    with mode(), forward_ad.dual_level():
        duals = {name: forward_ad.make_dual(p, case.towards[0][name]) for name, p in case.parameters.items()}
        output = case.ours(duals, forward_ad.make_dual(case.image, case.towards[1]))
        torch.testing.assert_close(forward_ad.unpack_dual(output).tangent, expected)


def test_dual_tensors_through_a_backward_pass() -> None:
    case = Case("stride and padding")

    def changes(function: Function) -> list[Tensor]:
        inputs = {name: p.clone().requires_grad_() for name, p in case.parameters.items()}
        image = case.image.clone().requires_grad_()
        with forward_ad.dual_level():
            duals = {name: forward_ad.make_dual(p, case.towards[0][name]) for name, p in inputs.items()}
            loss = energy(function)(duals, forward_ad.make_dual(image, case.towards[1]))
            found = torch.autograd.grad(loss, [image, *inputs.values()], create_graph=True)
            across = torch.autograd.grad(forward_ad.unpack_dual(loss).tangent, [image, inputs["weight"]])
            return [*(forward_ad.unpack_dual(g).tangent for g in found), *across]

    case.agree(changes)


TRANSFORMS: dict[str, Callable[[Case, Function], Any]] = {
    "jacfwd": lambda case, f: jacfwd(f, argnums=(0, 1))(*case.at),
    "jacrev": lambda case, f: jacrev(f, argnums=(0, 1))(*case.at),
    "hessian": lambda case, f: hessian(energy(f), argnums=(0, 1))(case.parameters, case.image[:1]),
    "forwards of backwards": lambda case, f: jvp(slopes(f), case.at, case.towards),
    "backwards of forwards": lambda case, f: grad(lambda *at: jvp(energy(f), at, case.towards)[1], argnums=(0, 1))(
        *case.at
    ),
    "backwards of backwards": lambda case, f: vjp(slopes(f), *case.at)[1](case.towards),
    "forwards of forwards": lambda case, f: jvp(lambda *at: jvp(energy(f), at, case.towards)[1], case.at, case.towards),
    "forwards of forwards of backwards": lambda case, f: jvp(
        lambda *at: jvp(slopes(f), at, case.towards)[1], case.at, case.towards
    ),
    "many forwards": lambda case, f: vmap(
        lambda image: jvp(lambda x: f(case.parameters, x), (case.image,), (image,))[1]
    )(torch.stack([case.image, case.towards[1]])),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms(case: Case, transform: str) -> None:
    case.agree(lambda function: TRANSFORMS[transform](case, function))


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # of linearize itself
def test_linearize(case: Case) -> None:
    _, linear = linearize(case.ours, *case.at)
    torch.testing.assert_close(linear(*case.towards), jvp(case.loops, case.at, case.towards)[1])


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # in the older vmap of batched gradients
def test_all_gradients_that_pytorch_can_check(name: str) -> None:
    case = Case(name, batch=1)

    def output(image: Tensor, *parameters: Tensor) -> Tensor:
        return case.ours(dict(zip(case.parameters, parameters, strict=True)), image)

    arguments = [value.clone().requires_grad_() for value in (case.image, *case.parameters.values())]
    assert torch.autograd.gradcheck(
        output, arguments, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert torch.autograd.gradgradcheck(output, arguments, check_fwd_over_rev=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(output, arguments[:1] + [a.detach() for a in arguments[1:]])


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_many_inputs_at_once(case: Case, batch: int) -> None:
    images = case.random(4, batch, 2, *case.layer.input_size)
    expected = torch.stack([case.loops(case.parameters, image) for image in images])
    torch.testing.assert_close(vmap(case.layer)(images), expected)
    torch.testing.assert_close(vmap(case.layer, 2, 1)(images.movedim(0, 2)), expected.movedim(0, 1))
    nested = vmap(vmap(case.layer))(images[None])
    torch.testing.assert_close(nested, expected[None])


def test_an_ensemble(case: Case) -> None:
    """As in PyTorch's tutorial of ensembles: each with its own input, and all with one."""
    layers = [LocallyConnected2d(2, 2, **CASES["dilation"], dtype=torch.double) for _ in range(3)]
    parameters, _ = stack_module_state(layers)
    images = case.random(3, 2, 2, *layers[0].input_size)

    def output(parameters: Parameters, image: Tensor) -> Tensor:
        return functional_call(layers[0], parameters, (image,))

    each = torch.stack([layer(image) for layer, image in zip(layers, images, strict=True)])
    torch.testing.assert_close(vmap(output)(parameters, images), each)
    shared = torch.stack([layer(images[0]) for layer in layers])
    torch.testing.assert_close(vmap(output, (0, None))(parameters, images[0]), shared)
    (given,) = torch.autograd.grad(vmap(output)(parameters, images).sin().sum(), parameters["weight"])
    for layer, image, slope in zip(layers, images, given, strict=True):
        torch.testing.assert_close(torch.autograd.grad(layer(image).sin().sum(), layer.weight)[0], slope)


def test_derivatives_of_an_ensemble(case: Case) -> None:
    several, images = case.random_parameters(3), case.random(3, *case.image.shape)
    case.agree(lambda function: vmap(slopes(function))(several, images))
    case.agree(lambda function: vmap(lambda *at: jvp(slopes(function), at, case.towards))(several, images))


def test_gradients_of_each_sample(case: Case) -> None:
    images = case.random(3, *case.image.shape[1:])

    def loss(parameters: Parameters, image: Tensor) -> Tensor:
        return case.ours(parameters, image[None]).sin().sum()

    together = vmap(grad(loss), (None, 0))(case.parameters, images)
    for number, image in enumerate(images):
        alone = torch.autograd.grad(case.layer(image[None]).sin().sum(), [*case.layer.parameters()])
        for (name, slope), expected in zip(together.items(), alone, strict=True):
            assert name in case.parameters
            torch.testing.assert_close(slope[number], expected)


@pytest.mark.parametrize("name", ["plain", "dilation"])
def test_a_gradient_penalty_trains_the_weights(name: str) -> None:
    """Of WGAN-GP (Gulrajani et al., 2017), (‖∂ critic/∂ image‖ − 1)²: against the loops and finite differences."""
    case = Case(name)
    weight = case.parameters["weight"]

    def penalty(function: Function, weight: Tensor) -> Tensor:
        image = case.image.clone().requires_grad_()
        critic = function(case.parameters | {"weight": weight}, image).relu().square().sum()
        (slope,) = torch.autograd.grad(critic, image, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def slope(function: Function) -> Tensor:
        at = weight.clone().requires_grad_()
        return torch.autograd.grad(penalty(function, at), at)[0]

    case.agree(slope)
    move = 1e-6 * case.towards[0]["weight"]
    change = penalty(case.ours, weight + move) - penalty(case.ours, weight - move)
    assert change.item() / 2e-6 == pytest.approx((slope(case.ours) * case.towards[0]["weight"]).sum().item(), rel=1e-5)


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), ((3, 1), (0, 2))])
def test_tied_weights_have_the_derivatives_of_a_convolution(
    dilation: int, stride: int | tuple[int, int], padding: int | tuple[int, int]
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, (3, 2), stride, padding, dilation, dtype=torch.double)
    layer = LocallyConnected2d(2, 3, (9, 8), (3, 2), stride, padding, dilation, dtype=torch.double)
    at = (torch.randn(2, 2, 9, 8).double(), conv.weight.detach())
    towards = tuple(torch.randn_like(value) for value in at)

    def ours(image: Tensor, kernel: Tensor) -> Tensor:
        bias = conv.bias[:, None, None].expand_as(layer.bias)
        return functional_call(layer, {"weight": tied_weight(kernel, layer.output_size), "bias": bias}, (image,))

    def theirs(image: Tensor, kernel: Tensor) -> Tensor:
        return functional_call(conv, {"weight": kernel, "bias": conv.bias}, (image,))

    def second(function: Callable[..., Tensor]) -> Any:
        slopes = grad(lambda *at: function(*at).sin().sum(), argnums=(0, 1))
        return jvp(slopes, at, towards), vjp(slopes, *at)[1](towards)

    torch.testing.assert_close(ours(*at), theirs(*at))
    torch.testing.assert_close(jvp(ours, at, towards), jvp(theirs, at, towards))
    torch.testing.assert_close(second(ours), second(theirs))


def test_autocast_forwards() -> None:
    layer = LocallyConnected2d(2, 2, **CASES["plain"])
    image, towards = torch.randn(2, 2, 2, 4, 5)
    exact = jvp(layer, (image,), (towards,))[1]
    with torch.autocast("cpu", torch.bfloat16):
        output, change = jvp(layer, (image,), (towards,))
    assert output.dtype == change.dtype == torch.bfloat16
    assert (change - exact).norm() < 0.02 * exact.norm()


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Functions that could not be compiled once are not tried again, and other tests compile the same."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler looks at it
def test_compiled_forwards_is_right_or_refused() -> None:
    case = Case("plain")
    layer, towards = case.layer, case.towards[1]

    def change(image: Tensor) -> Tensor:
        return jvp(layer, (image,), (towards,))[1]

    with pytest.raises(Exception, match="custom `jvp`"):
        torch.compile(change, backend="aot_eager", fullgraph=True)(case.image)
    expected = change(case.image)
    torch.testing.assert_close(torch.compile(change, backend="aot_eager")(case.image), expected)
    compiled = torch.compile(layer, backend="aot_eager")
    with torch.no_grad(), forward_ad.dual_level():
        output = compiled(forward_ad.make_dual(case.image, towards))
        torch.testing.assert_close(forward_ad.unpack_dual(output).tangent, expected)
