"""Convolution without weight sharing, as in DeepFace (Taigman et al., 2014, section 3.2, layers L4–L6)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.backbones import _local_rules
from invariantnets.errors import InvariantNetsError


class LocallyConnected2d(nn.Module):
    """``nn.Conv2d`` with a kernel (and bias) of its own at every place of the output.

    Fast and lean: the unfolded input never exists, and the forward pass reads the weights once. The output is in the
    channels-last memory format, whatever that of the input, so flatten it with ``flatten``, not ``view``. Weights start
    as in ``nn.Conv2d``, uniform in ±1/√(in_channels · kh · kw).

    Derivatives are those of ``nn.Conv2d``: of any order, backwards (``create_graph=True``) and forwards
    (``torch.func.jvp``, ``torch.autograd.forward_ad``), under ``torch.func.vmap`` over inputs (they join the batch) and
    over weights (one after the other), and all of these in one another. ``torch.compile`` makes one graph of the layer
    and its gradients; derivatives forwards and the transforms of ``torch.func`` run outside of its graphs, and with
    ``fullgraph=True`` raise.

    Attributes:
        weight: ``(H_out, W_out, out_channels, kw, kh, in_channels)``, the order in which the products read it:
            ``weight[y, x].permute(0, 3, 2, 1)`` is the kernel at (y, x) in the layout of ``nn.Conv2d``.
        bias: ``(out_channels, H_out, W_out)`` or None.
        output_size: ``(H_out, W_out)``.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        input_size: ``(H, W)`` of the input, which must always be the same: it says how many kernels there are.
        kernel_size: side, or height and width.
        stride: the same in both directions, or vertical and horizontal.
        padding: zeros added on each side, or above and below, left and right.
        dilation: distance between neighbours in the kernel, the same in both directions, or vertical and horizontal.
        bias: whether to add one.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        InvariantNetsError: a size that is no positive integer (padding: no natural number), or a kernel larger than the
            padded input; in ``forward``, an input that is not ``(B, in_channels, *input_size)``.
    """

    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int | Sequence[int],
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        self.in_channels = _integer("in_channels", in_channels, 1)
        self.out_channels = _integer("out_channels", out_channels, 1)
        self.input_size = _pair("input_size", input_size, 1)
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.stride = _pair("stride", stride, 1)
        self.padding = _pair("padding", padding, 0)
        self.dilation = _pair("dilation", dilation, 1)
        padded = [side + 2 * padding for side, padding in zip(self.input_size, self.padding, strict=True)]
        spans = [step * (side - 1) + 1 for side, step in zip(self.kernel_size, self.dilation, strict=True)]
        if any(side < span for side, span in zip(padded, spans, strict=True)):
            dilated = f" with dilation={self.dilation}" if self.dilation != (1, 1) else ""
            raise InvariantNetsError(
                f"kernel_size={self.kernel_size}{dilated} is larger than the padded input {tuple(padded)}: "
                f"take a smaller kernel{' or dilation' if dilated else ''}, or more padding"
            )
        height, width = (
            (side - span) // stride + 1 for side, span, stride in zip(padded, spans, self.stride, strict=True)
        )
        self.output_size = height, width
        shape = (*self.output_size, self.out_channels, *reversed(self.kernel_size), self.in_channels)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        biases = torch.empty(self.out_channels, *self.output_size, device=device, dtype=dtype) if bias else None
        self.register_parameter("bias", None if biases is None else nn.Parameter(biases))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and bias anew, as ``nn.Conv2d`` does."""
        bound = 1 / math.sqrt(self.in_channels * math.prod(self.kernel_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` → ``(B, out_channels, H_out, W_out)``."""
        expected = (self.in_channels, *self.input_size)
        if tuple(input.shape[1:]) != expected:
            raise InvariantNetsError(
                f"input of shape {tuple(input.shape)}: this layer was made for (B, {', '.join(map(str, expected))})"
            )
        weight: Tensor = self.weight
        bias = self.bias
        device = input.device.type
        # As for convolutions: autocast itself does not know custom operators.
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            input, weight, bias = input.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        vertical, horizontal = self.padding
        if vertical or horizontal:
            input = F.pad(input, (horizontal, horizontal, vertical, vertical))
        steps = (*self.stride, *self.dilation)
        if _local_rules.transformed():
            output = _local_rules.output(_local_rules.channels_last(input), weight, steps)
            return output if bias is None else output + bias  # in place, it could lose what only the bias carries
        output = _local_rules.output(input.contiguous(memory_format=torch.channels_last), weight, steps)
        return output if bias is None else output.add_(bias)

    def extra_repr(self) -> str:
        """The arguments, as ``nn.Conv2d`` shows them."""
        text = f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if any(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        return text if self.bias is not None else f"{text}, bias=False"


def tied_weight(kernel: Tensor, output_size: Sequence[int]) -> Tensor:
    """The weight of the layer that computes the convolution with ``kernel``, the same at every place.

    Args:
        kernel: ``(out_channels, in_channels, kh, kw)``, as in ``nn.Conv2d``.
        output_size: ``(H_out, W_out)``.

    Returns:
        ``(H_out, W_out, out_channels, kw, kh, in_channels)``.
    """
    return kernel.permute(0, 3, 2, 1).expand(*output_size, -1, -1, -1, -1).contiguous()


def _integer(name: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvariantNetsError(f"{name}={value!r}: takes integers of at least {least}")
    return value


def _pair(name: str, value: int | Sequence[int], least: int) -> tuple[int, int]:
    """Height and width, from two numbers or one for both."""
    values = value if isinstance(value, Sequence) else (value, value)
    if len(values) != 2:
        raise InvariantNetsError(f"{name}={value!r}: takes one integer or two, height and width")
    height, width = (_integer(name, side, least) for side in values)
    return height, width
