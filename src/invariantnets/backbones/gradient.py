"""Edges in place of colours: the second input of DeepFace's ensemble (Taigman et al. 2014, section 5.3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of red, green and blue in what is seen as bright (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
FLAT = 1e-3  # a change by so little from pixel to pixel has no direction: a quarter of a grey level


class Gradients(nn.Module):
    """Grey, length of its gradient, and direction of its gradient, as three channels. No parameters.

    The gradient is half the difference of the two neighbours, the border repeated; its length is taken four times, so
    that it is about as large as the grey. The direction is in half turns, -1 to 1, 0 to the right; it is 0, as the
    length is, where the picture is flat. The paper names the three channels and says no more.
    """

    def forward(self, image: Tensor) -> Tensor:
        """``(N, 1 or 3, H, W)`` → ``(N, 3, H, W)``."""
        grey = image
        if image.shape[1] == 3:
            grey = (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
        wide = F.pad(grey, (1, 1, 1, 1), mode="replicate")
        across = (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2
        down = (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2
        square = across**2 + down**2
        edge = square > FLAT**2
        # Where it is flat neither has a derivative.
        length = square.where(edge, torch.ones_like(square)).sqrt().where(edge, torch.zeros_like(square))
        direction = torch.atan2(down.where(edge, torch.zeros_like(down)), across.where(edge, torch.ones_like(across)))
        return torch.cat([grey, 4 * length, direction / math.pi], 1)
