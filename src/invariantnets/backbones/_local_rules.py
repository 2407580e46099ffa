"""Derivatives of the locally connected operators: of any order, forwards and backwards, and under ``torch.func.vmap``.

The output f(x, w) is linear in the input x and in the weight w, so ⟨g, f(x, w)⟩ is linear in each of g, x and w. The
three operators are its gradients with respect to these, and the derivative of each is made of the other two.

PyTorch's custom operators know derivatives backwards only: those forwards are lost without a word. So while they are
taken, or a transform of ``torch.func`` is at work, an ``autograd.Function`` with rules for all of them stands around
each operator. Otherwise, and so in what is compiled, the operator is called by itself. ``torch.compile`` does not trace
such rules: it runs them as they are, and with ``fullgraph=True`` raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from invariantnets.backbones._local_ops import (
    locally_connected2d,
    locally_connected2d_input,
    locally_connected2d_weight,
)


def transformed() -> bool:
    """Whether a transform of ``torch.func`` is at work, or forward derivatives are taken."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def channels_last(image: Tensor) -> Tensor:
    """The image in the channels-last memory format, also under ``vmap``, which knows no formats."""
    return image.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def output(input: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:
    """See ``_local_ops.locally_connected2d``; differentiable in both tensors, as the two gradients below."""
    operator = _Output.apply if transformed() else locally_connected2d
    return operator(input, weight, steps)


def input_gradient(grad: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:
    """See ``_local_ops.locally_connected2d_input``."""
    operator = _InputGradient.apply if transformed() else locally_connected2d_input
    return operator(grad, weight, steps)


def weight_gradient(grad: Tensor, input: Tensor, steps: Sequence[int]) -> Tensor:
    """See ``_local_ops.locally_connected2d_weight``."""
    operator = _WeightGradient.apply if transformed() else locally_connected2d_weight
    return operator(grad, input, steps)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    first, second, ctx.steps = inputs
    ctx.save_for_backward(first, second)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
    grad_input = grad_weight = None
    if grad is not None:
        (input, weight), grad = ctx.saved_tensors, channels_last(grad)
        if ctx.needs_input_grad[0]:
            grad_input = input_gradient(grad, weight, (*ctx.steps, *input.shape[2:]))
        if ctx.needs_input_grad[1]:
            width, height = weight.shape[3:5]
            grad_weight = weight_gradient(grad, input, (*ctx.steps, height, width))
    return grad_input, grad_weight, None


def _input_backward(ctx: Any, grad_input: Tensor | None) -> tuple[Tensor | None, ...]:
    grad_grad = grad_weight = None
    if grad_input is not None:
        (grad, weight), grad_input, steps = ctx.saved_tensors, channels_last(grad_input), ctx.steps[:4]
        if ctx.needs_input_grad[0]:
            grad_grad = output(grad_input, weight, steps)
        if ctx.needs_input_grad[1]:
            width, height = weight.shape[3:5]
            grad_weight = weight_gradient(grad, grad_input, (*steps, height, width))
    return grad_grad, grad_weight, None


def _weight_backward(ctx: Any, grad_weight: Tensor | None) -> tuple[Tensor | None, ...]:
    grad_grad = grad_input = None
    if grad_weight is not None:
        (grad, input), steps = ctx.saved_tensors, ctx.steps[:4]
        if ctx.needs_input_grad[0]:
            grad_grad = output(input, grad_weight, steps)
        if ctx.needs_input_grad[1]:
            grad_input = input_gradient(grad, grad_weight, (*steps, *input.shape[2:]))
    return grad_grad, grad_input, None


locally_connected2d.register_autograd(_backward, setup_context=_save)
locally_connected2d_input.register_autograd(_input_backward, setup_context=_save)
locally_connected2d_weight.register_autograd(_weight_backward, setup_context=_save)


def _forward(operator: Callable[..., Tensor], ctx: Any, tangents: Sequence[Tensor | None]) -> Tensor:
    """The forward derivative of what is linear in each of two tensors."""
    of_first, of_second = tangents[:2]
    # PyTorch turns forward derivatives off in here, so that those of an outer level, as in jvp of jvp, would be lost.
    with forward_ad._set_fwd_grad_enabled(True):
        first, second = (forward_ad.unpack_dual(saved).primal for saved in ctx.saved_tensors)
        if of_first is None:
            return operator(first, of_second, ctx.steps)
        change = operator(of_first, second, ctx.steps)
        return change if of_second is None else change + operator(first, of_second, ctx.steps)


class _Rules(Function):
    """What the three have in common."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _save(ctx, inputs, output)
        ctx.save_for_forward(*inputs[:2])


def _each(
    operator: Callable[..., Tensor], info: Any, in_dims: Sequence[Any], tensors: Sequence[Tensor], steps: Sequence[int]
) -> tuple[Tensor, int]:
    """Under ``vmap``, one after the other."""
    first, second = (
        [tensor] * info.batch_size if dim is None else tensor.unbind(dim)
        for tensor, dim in zip(tensors, in_dims[:2], strict=True)
    )
    return torch.stack([operator(*pair, steps) for pair in zip(first, second, strict=True)]), 0


def _folded(
    operator: Callable[..., Tensor], info: Any, in_dims: Sequence[Any], tensors: Sequence[Tensor], steps: Sequence[int]
) -> tuple[Tensor, int]:
    """Under ``vmap`` over images: they are more of the batch. Over weights: one after the other."""
    (images, weight), (dim, of_weight) = tensors, in_dims[:2]
    if dim is None or of_weight is not None:
        return _each(operator, info, in_dims, tensors, steps)
    result = operator(images.movedim(dim, 0).flatten(0, 1), weight, steps)
    return result.unflatten(0, (info.batch_size, len(result) // info.batch_size)), 0


class _Output(_Rules):
    @staticmethod
    def forward(input: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:
        return locally_connected2d(input, weight, steps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        return _backward(ctx, grad)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _forward(output, ctx, tangents)

    @staticmethod
    def vmap(
        info: Any, in_dims: Sequence[Any], input: Tensor, weight: Tensor, steps: Sequence[int]
    ) -> tuple[Tensor, int]:
        return _folded(output, info, in_dims, (input, weight), steps)


class _InputGradient(_Rules):
    @staticmethod
    def forward(grad: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:
        return locally_connected2d_input(grad, weight, steps)

    @staticmethod
    def backward(ctx: Any, grad_input: Tensor | None) -> tuple[Tensor | None, ...]:
        return _input_backward(ctx, grad_input)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _forward(input_gradient, ctx, tangents)

    @staticmethod
    def vmap(
        info: Any, in_dims: Sequence[Any], grad: Tensor, weight: Tensor, steps: Sequence[int]
    ) -> tuple[Tensor, int]:
        return _folded(input_gradient, info, in_dims, (grad, weight), steps)


class _WeightGradient(_Rules):
    @staticmethod
    def forward(grad: Tensor, input: Tensor, steps: Sequence[int]) -> Tensor:
        return locally_connected2d_weight(grad, input, steps)

    @staticmethod
    def backward(ctx: Any, grad_weight: Tensor | None) -> tuple[Tensor | None, ...]:
        return _weight_backward(ctx, grad_weight)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _forward(weight_gradient, ctx, tangents)

    @staticmethod
    def vmap(
        info: Any, in_dims: Sequence[Any], grad: Tensor, input: Tensor, steps: Sequence[int]
    ) -> tuple[Tensor, int]:
        return _each(weight_gradient, info, in_dims, (grad, input), steps)
