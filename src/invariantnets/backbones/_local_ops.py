"""Convolution with a kernel of its own at every place, as products of small matrices, and its two gradients.

An output row depends on kh input rows. They are copied into a *band* ``(B, W, kh, C)``, where the patch under the
output at column x is one run of kw · kh · C numbers from input column x · stride on. Patches overlap in memory, so that
all patches of an output row are a strided view of the band: one batched product a row, at every batch size, and no more
memory than kh input rows. An unfolded input would be kw · kh times the input.

A dilated kernel sees one pixel of so many: the places whose patches start on the same pixels of that grid make a layer
without dilation on the image of these pixels alone, a strided view.

The three operators are opaque to ``torch.compile``, which would otherwise unroll the rows. Their derivatives are in
``_local_rules``: what is called here knows none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

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


def _parts(
    image: Tensor, weight: Tensor, output: Tensor, steps: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor, Tensor, Sequence[int]]]:
    """Layers without dilation that make up the whole one: views of image, weight and output, and a stride."""
    down, right, tall, wide = steps
    if tall == wide == 1:
        yield image, weight, output, (down, right)
        return
    common = math.gcd(down, tall), math.gcd(right, wide)
    rows, columns = tall // common[0], wide // common[1]  # so many places on, the patches are on the same grid again
    for y in range(min(rows, weight.shape[0])):
        for x in range(min(columns, weight.shape[1])):
            pixels, places = image[:, :, y * down :: tall, x * right :: wide], output[:, :, y::rows, x::columns]
            yield pixels, weight[y::rows, x::columns], places, (down // common[0], right // common[1])


@torch.library.custom_op("invariantnets::locally_connected2d", mutates_args=())
def locally_connected2d(input: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:
    """Every output place is the product of its own kernel and its patch of the input.

    All tensors may have any strides; fast are channels-last images and a contiguous weight.

    Args:
        input: ``(B, C, H, W)``, padded already.
        weight: ``(H_out, W_out, C_out, kw, kh, C)``.
        steps: vertical and horizontal stride, vertical and horizontal dilation (distance of neighbours in the kernel).

    Returns:
        ``(B, C_out, H_out, W_out)`` in the channels-last memory format.
    """
    output = _new_output(input, weight, steps)
    for part in _parts(input, weight, output, steps):
        _multiply(*part)
    return output


def _multiply(image: Tensor, weight: Tensor, output: Tensor, stride: Sequence[int]) -> None:
    """Write the output of a layer without dilation."""
    kernel_width, kernel_height = weight.shape[3:5]
    bands = _bands(image, kernel_height, stride)
    band = image.new_empty(bands.shape[1:])
    patches = _patches(band, kernel_width, stride)
    product = image.new_empty(*patches.shape[:2], weight.shape[2])
    for rows, kernels, result in zip(bands, weight.flatten(3), output.permute(2, 3, 0, 1), strict=True):
        band.copy_(rows)
        if len(image) == 1:  # the same numbers in the same places, but matrix times vector: the weights are read faster
            torch.bmm(kernels, patches.mT, out=product.mT)
        else:
            torch.bmm(patches, kernels.mT, out=product)
        result.copy_(product)


@locally_connected2d.register_fake
def _new_output(input: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:
    rows, columns, out_channels = weight.shape[:3]
    shape = (input.shape[0], out_channels, rows, columns)
    return torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=torch.channels_last)


@torch.library.custom_op("invariantnets::locally_connected2d_input", mutates_args=())
def locally_connected2d_input(grad: Tensor, weight: Tensor, steps: Sequence[int]) -> Tensor:
    """Gradient with respect to the input; ``grad`` is that of the output. Height and width are behind the steps."""
    precision = torch.promote_types(grad.dtype, torch.float32)  # kh · kw summands are too many for bfloat16
    total = _new_input(grad, weight, steps, precision).zero_()
    for part in _parts(total, weight, grad, steps[:4]):
        _add_to_input(*part)
    return total.to(grad.dtype)


def _add_to_input(total: Tensor, weight: Tensor, grad: Tensor, stride: Sequence[int]) -> None:
    """Add to the input's gradient what comes from a layer without dilation."""
    kernel_width, kernel_height = weight.shape[3:5]
    bands = _bands(total, kernel_height, stride)
    band = grad.new_empty(bands.shape[1:])
    patches = _patches(band, kernel_width, stride)
    gap = -(-kernel_width // stride[1])  # patches so many columns apart do not overlap: one product may add to all
    apart = [patches[first::gap] for first in range(min(gap, len(patches)))]
    for rows, kernels, grads in zip(bands, weight.flatten(3), grad.permute(2, 3, 0, 1), strict=True):
        band.zero_()
        for first, some in enumerate(apart):
            some.baddbmm_(grads[first::gap], kernels[first::gap])
        rows.add_(band)


@torch.library.custom_op("invariantnets::locally_connected2d_weight", mutates_args=())
def locally_connected2d_weight(grad: Tensor, input: Tensor, steps: Sequence[int]) -> Tensor:
    """Gradient with respect to the weight; ``grad`` is that of the output. The kernel's sides are behind the steps."""
    total = _new_weight(grad, input, steps)
    for part in _parts(input, total, grad, steps[:4]):
        _write_weight(*part)
    return total


def _write_weight(image: Tensor, total: Tensor, grad: Tensor, stride: Sequence[int]) -> None:
    """Write the weight's gradient in a layer without dilation."""
    kernel_width, kernel_height = total.shape[3:5]
    bands = _bands(image, kernel_height, stride)
    band = image.new_empty(bands.shape[1:])
    patches = _patches(band, kernel_width, stride)
    for rows, grads, result in zip(bands, grad.permute(2, 3, 1, 0), total.flatten(3), strict=True):
        band.copy_(rows)
        torch.bmm(grads, patches, out=result)


def _new_input(grad: Tensor, weight: Tensor, steps: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
    shape = (grad.shape[0], weight.shape[5], *steps[4:])
    return torch.empty(shape, dtype=dtype or grad.dtype, device=grad.device, memory_format=torch.channels_last)


@locally_connected2d_weight.register_fake
def _new_weight(grad: Tensor, input: Tensor, steps: Sequence[int]) -> Tensor:
    _, out_channels, rows, columns = grad.shape
    height, width = steps[4:]
    return grad.new_empty(rows, columns, out_channels, width, height, input.shape[1])


locally_connected2d_input.register_fake(_new_input)
