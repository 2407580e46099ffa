"""A small network and its ONNX file."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


class Small(nn.Module):
    """A residual network of two stages."""

    def __init__(self, channels: int = 3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1))
        self.act = nn.ReLU()
        self.down = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.pool, self.flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.fc = nn.Linear(16, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.fc(self.flat(self.pool(self.down(self.act(x + self.block(x))))))


def small(channels: int = 3) -> Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = Small(channels).eval()
        net.stem[1].running_mean.normal_()
    return net


def exported(net: nn.Module, path: Path, batch: int | None = None, channels: int = 3, free: bool = False) -> Path:
    """By torch's own exporter; `free` leaves height and width open."""
    axes = ({} if batch else {0: "n"}) | ({2: "h", 3: "w"} if free else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older of the two exporters, which needs no further package
        torch.onnx.export(
            net, (torch.zeros(batch or 1, channels, 20, 20),), path, dynamo=False, input_names=["image"],
            output_names=["scores"], dynamic_axes={"image": axes, **({} if batch else {"scores": {0: "n"}})},
        )  # fmt: skip
    return path
