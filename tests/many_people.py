"""Any number of people at no cost: pictures of nobody, which DeepFace's recipe has to learn to tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor
from torch.nn import functional as F

from invariantnets.module import InvariantNet

CONF = Path(__file__).parents[1] / "conf"
BATCH = 64


def recipe(people: int, size: int, *overrides: str, seed: int = 0) -> InvariantNet:
    """``deepface_mini`` for so many people, as it comes but for the size of pictures and features."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        sizes = [f"data.num_classes={people}", f"data.image_shape=[3,{size},{size}]", "model.backbone.bottleneck=256"]
        cfg = compose("train", overrides=["paths.output_dir=none", "model=deepface_mini", *sizes, *overrides])
    torch.manual_seed(seed)
    model: InvariantNet = instantiate(cfg.model, _convert_="all")
    return model


def pictures(people: Tensor, size: int, seed: int) -> Tensor:
    """A picture of each, another one for each seed: ``(N, 3, size, size)`` bytes.

    One face that all share, light, and in each region as much of the person as of the picture. As of faces, most of the
    squared pixels are the same in every picture: without the warm-up the units are shut, as by faces.
    """
    own = torch.empty(len(people), 3, 8, 8)
    for row, person in enumerate(people.tolist()):
        own[row].normal_(generator=torch.Generator().manual_seed(person))
    draw = torch.Generator().manual_seed((1 << 40) + seed)
    shared = torch.empty(1, 3, 8, 8).normal_(generator=torch.Generator().manual_seed(1 << 41))
    light, noise = torch.empty(len(people), 1, 1, 1), torch.empty(len(people), 3, 8, 8)
    light.uniform_(0.6, 1.2, generator=draw), noise.normal_(generator=draw)
    coarse = light * (120 + 30 * shared + 12 * own + 12 * noise)
    return F.interpolate(coarse, size=size, mode="bilinear").clamp(0, 255).round().byte()


def losses(model: InvariantNet, people: int, size: int, steps: int, seed: int = 0) -> Iterator[float]:
    """The cross-entropy of each training step, taken as `InvariantNet` says it is."""
    configured = model.configure_optimizers()
    both = isinstance(configured, dict)
    optimizer = configured["optimizer"] if both else configured
    schedule = configured["lr_scheduler"]["scheduler"] if both else None
    draw = torch.Generator().manual_seed(seed)
    model.train()
    for step in range(steps):
        label = torch.randint(people, (BATCH,), generator=draw)
        loss = F.cross_entropy(model.backbone(pictures(label, size, seed=step + seed * steps)), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        yield float(loss.detach())
