"""Muon for convolutions, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon"]


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearly the closest matrix of orthonormal rows or columns: all singular values brought to between 0.6 and 1.3.

    The Newton-Schulz iteration of Jordan (2024), "Muon: an optimizer for hidden layers", with its coefficients.
    """
    wide = matrix if matrix.size(0) <= matrix.size(1) else matrix.T
    wide = wide / wide.norm().clamp_min(1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * gram + 2.0315 * gram @ gram) @ wide
    return wide if matrix.size(0) <= matrix.size(1) else wide.T


class Muon(torch.optim.AdamW):
    """Convolutions step along their orthogonalised momentum, everything else as in AdamW.

    Every direction of a filter bank then learns at one rate, those of small gradients too. `torch.optim.Muon` takes
    matrices only; here a filter bank is one, with a row for each filter (Jordan 2024), and one schedule serves both.

    Args:
        params: parameters or groups; filter banks are those of four dimensions.
        lr: AdamW's rate.
        conv_lr: rate of the convolutions, as a multiple of ``lr``.
        conv_momentum: Nesterov momentum of the convolutions.
        conv_weight_decay: theirs, in place of AdamW's. Without any, filters grow with every step, and a network whose
            embedding has no fixed length cannot be trained on from there.
        **adamw: see `torch.optim.AdamW`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        conv_lr: float = 10.0,
        conv_momentum: float = 0.95,
        conv_weight_decay: float = 0.01,
        **adamw: Any,
    ):
        super().__init__(params, lr=lr, **adamw)
        self.conv_lr, self.conv_momentum, self.conv_weight_decay = conv_lr, conv_momentum, conv_weight_decay

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        banks = [(p, g["lr"]) for g in self.param_groups for p in g["params"] if p.ndim == 4 and p.grad is not None]
        gradients = [bank.grad for bank, _ in banks]
        for bank, lr in banks:
            self._step_filters(bank, self.conv_lr * lr)
            bank.grad = None  # AdamW leaves alone what has none
        super().step()
        for (bank, _), gradient in zip(banks, gradients, strict=True):
            bank.grad = gradient
        return loss

    def _step_filters(self, bank: Tensor, lr: float) -> None:
        gradient, state = bank.grad, self.state[bank]
        assert gradient is not None
        if not state:
            state.update(step=torch.tensor(0.0), momentum=torch.zeros_like(bank))  # AdamW loads no state without a step
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1 - self.conv_momentum)
        rows = gradient.lerp(state["momentum"], self.conv_momentum).flatten(1)
        scale = max(1.0, rows.size(0) / rows.size(1)) ** 0.5
        bank.mul_(1 - lr * self.conv_weight_decay)
        bank.sub_(orthogonalised(rows.float()).view(bank.shape).to(bank), alpha=lr * scale)
