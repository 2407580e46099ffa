"""Convolution with a kernel of its own at every place, as products of small matrices, and its two gradients.

An output row depends on kh input rows. They are copied into a *band* ``(B, W, kh, C)``, where the patch under the
output at column x is one run of kw · kh · C numbers from input column x · stride on. Patches overlap in memory, so that
all patches of an output row are a strided view of the band: one batched product a row, at every batch size, and no more
memory than kh input rows. An unfolded input would be kw · kh times the input.

The three operators are opaque to ``torch.compile``, which would otherwise unroll the rows. None of the gradients can be
differentiated again: PyTorch raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def _bands(image: Tensor, kernel_height: int, stride: Sequence[int]) -> Tensor:
    """``(H_out, B, W, kh, C)``: the rows of the image that each output row depends on, overlapping views."""
    return image.unfold(2, kernel_height, stride[0]).permute(2, 0, 3, 4, 1)


def _patches(band: Tensor, kernel_width: int, stride: Sequence[int]) -> Tensor:
    """``(W_out, B, kw · kh · C)``: overlapping views into the band."""
    batch, width, kernel_height, channels = band.shape
    columns, step = (width - kernel_width) // stride[1] + 1, kernel_height * channels
    return band.as_strided((columns, batch, kernel_width * step), (stride[1] * step, width * step, 1))


@torch.library.custom_op("invariantnets::locally_connected2d", mutates_args=())
def locally_connected2d(input: Tensor, weight: Tensor, stride: Sequence[int]) -> Tensor:
    """Every output place is the product of its own kernel and its patch of the input.

    All tensors may have any strides; fast are channels-last images and a contiguous weight.

    Args:
        input: ``(B, C, H, W)``, padded already.
        weight: ``(H_out, W_out, C_out, kw, kh, C)``.
        stride: vertical and horizontal.

    Returns:
        ``(B, C_out, H_out, W_out)`` in the channels-last memory format.
    """
    kernel_width, kernel_height = weight.shape[3:5]
    output = _new_output(input, weight, stride)
    bands = _bands(input, kernel_height, stride)
    band = input.new_empty(bands.shape[1:])
    patches = _patches(band, kernel_width, stride)
    product = input.new_empty(*patches.shape[:2], weight.shape[2])
    for rows, kernels, result in zip(bands, weight.flatten(3), output.permute(2, 3, 0, 1), strict=True):
        band.copy_(rows)
        if len(input) == 1:  # the same numbers in the same places, but matrix times vector: the weights are read faster
            torch.bmm(kernels, patches.mT, out=product.mT)
        else:
            torch.bmm(patches, kernels.mT, out=product)
        result.copy_(product)
    return output


@locally_connected2d.register_fake
def _new_output(input: Tensor, weight: Tensor, stride: Sequence[int]) -> Tensor:
    rows, columns, out_channels = weight.shape[:3]
    shape = (input.shape[0], out_channels, rows, columns)
    return torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=torch.channels_last)


@torch.library.custom_op("invariantnets::locally_connected2d_input", mutates_args=())
def locally_connected2d_input(grad: Tensor, input: Tensor, weight: Tensor, stride: Sequence[int]) -> Tensor:
    """Gradient with respect to the input, in its shape; ``grad`` is that of the output."""
    kernel_width, kernel_height = weight.shape[3:5]
    precision = torch.promote_types(input.dtype, torch.float32)  # kh · kw summands are too many for bfloat16
    total = torch.zeros_like(input, dtype=precision, memory_format=torch.channels_last)
    bands = _bands(total, kernel_height, stride)
    band = input.new_empty(bands.shape[1:])
    patches = _patches(band, kernel_width, stride)
    gap = -(-kernel_width // stride[1])  # patches so many columns apart do not overlap: one product may add to all
    apart = [patches[first::gap] for first in range(min(gap, len(patches)))]
    for rows, kernels, grads in zip(bands, weight.flatten(3), grad.permute(2, 3, 0, 1), strict=True):
        band.zero_()
        for first, some in enumerate(apart):
            some.baddbmm_(grads[first::gap], kernels[first::gap])
        rows.add_(band)
    return total.to(input.dtype)


@torch.library.custom_op("invariantnets::locally_connected2d_weight", mutates_args=())
def locally_connected2d_weight(grad: Tensor, input: Tensor, weight: Tensor, stride: Sequence[int]) -> Tensor:
    """Gradient with respect to the weight, in its shape; ``grad`` is that of the output."""
    kernel_width, kernel_height = weight.shape[3:5]
    total = _like_weight(grad, input, weight, stride)
    bands = _bands(input, kernel_height, stride)
    band = input.new_empty(bands.shape[1:])
    patches = _patches(band, kernel_width, stride)
    for rows, grads, result in zip(bands, grad.permute(2, 3, 1, 0), total.flatten(3), strict=True):
        band.copy_(rows)
        torch.bmm(grads, patches, out=result)
    return total


@locally_connected2d_input.register_fake
def _like_input(grad: Tensor, input: Tensor, weight: Tensor, stride: Sequence[int]) -> Tensor:
    return torch.empty_like(input, memory_format=torch.channels_last)


@locally_connected2d_weight.register_fake
def _like_weight(grad: Tensor, input: Tensor, weight: Tensor, stride: Sequence[int]) -> Tensor:
    return torch.empty_like(weight, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Sequence[int]], output: Tensor) -> None:
    input, weight, ctx.stride = inputs
    ctx.save_for_backward(input, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    needs_input, needs_weight, _ = ctx.needs_input_grad
    grad = grad.contiguous(memory_format=torch.channels_last)
    grad_input = locally_connected2d_input(grad, *ctx.saved_tensors, ctx.stride) if needs_input else None
    grad_weight = locally_connected2d_weight(grad, *ctx.saved_tensors, ctx.stride) if needs_weight else None
    return grad_input, grad_weight, None


locally_connected2d.register_autograd(_backward, setup_context=_save)
