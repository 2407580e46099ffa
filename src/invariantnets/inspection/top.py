"""For every neuron of a layer the pictures that excite it most, in one pass and in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Top"]


class Top:
    """The largest activations so far, one of each picture, and how often and how unevenly each neuron fires.

    Attributes:
        value: ``(neurons, count)`` float32, the largest first; -inf where there was no picture yet.
        picture: ``(neurons, count)`` int64 in which.
        place: ``(neurons, count)`` int64 where in its map.
        fired: ``(neurons,)`` pictures with an activation above 0.
        total: ``(neurons,)`` float64 sum of what is above 0 of each picture's largest activation.
        squares: ``(neurons,)`` float64 of their squares.
        followed: numbers of neurons of which every picture's activation is kept.
        seen: the pictures so far.
    """

    def __init__(self, neurons: int, count: int, followed: Tensor, device: torch.device | None = None) -> None:
        """Nothing seen yet.

        Args:
            neurons: how many there are.
            count: pictures of each that are kept.
            followed: ``(F,)`` int64, on the device.
            device: where all is kept but what is followed.
        """
        self.value = torch.full((neurons, count), -torch.inf, device=device)
        self.picture = torch.zeros((neurons, count), dtype=torch.int64, device=device)
        self.place = torch.zeros((neurons, count), dtype=torch.int64, device=device)
        self.fired = torch.zeros(neurons, dtype=torch.int64, device=device)
        self.total = torch.zeros(neurons, dtype=torch.float64, device=device)
        self.squares = torch.zeros(neurons, dtype=torch.float64, device=device)
        self.followed, self.seen = followed, 0
        self._values: list[Tensor] = []

    def add(self, activations: Tensor) -> None:
        """See some more pictures: ``(b, neurons, places)``, the next ones."""
        values, places = activations.float().max(2)
        self._values.append(values[:, self.followed].cpu())
        above = values.clamp(min=0).double()
        self.fired += (values > 0).sum(0)
        self.total += above.sum(0)
        self.squares += above.square().sum(0)
        number = torch.arange(self.seen, self.seen + len(values), device=values.device)
        self.seen += len(values)
        value = torch.cat([self.value, values.T], 1)
        self.value, kept = value.topk(self.value.shape[1], dim=1)
        self.picture = torch.cat([self.picture, number.expand(len(self.value), -1)], 1).gather(1, kept)
        self.place = torch.cat([self.place, places.T], 1).gather(1, kept)

    def all_of_followed(self) -> Tensor:
        """``(F, pictures)`` float32 on the CPU."""
        return torch.cat(self._values).T

    def spread(self) -> Tensor:
        """``(neurons,)`` standard deviation over pictures of what is above 0."""
        mean = self.total / self.seen
        return (self.squares / self.seen - mean.square()).clamp(min=0).sqrt()
