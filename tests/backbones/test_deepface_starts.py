"""DeepFace's recipe carries from few people to many, as it comes."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from invariantnets.module import InvariantNet
from many_people import losses, pictures, recipe


def size_of_features(model: InvariantNet) -> float:
    """Root mean square of F7 over pictures of 64 people."""
    model.eval()
    with torch.no_grad():
        features = model.backbone.features(pictures(torch.arange(64), 40, seed=1 << 20), ["F7"])["F7"]
    model.train()
    return float(features.square().mean().sqrt())


@pytest.mark.parametrize(("overrides", "thrown"), [((), False), (("model.scheduler=null",), True)])
def test_the_first_steps_leave_the_features_as_large_as_they_were(overrides: tuple[str, ...], thrown: bool) -> None:
    """What shut the units: full steps of Adam, before a thousand people have been seen, throw the features about."""
    model = recipe(1000, 40, "model.backbone.bottleneck=64", *overrides, seed=2)
    sizes = [size_of_features(model)]
    for _ in losses(model, 1000, 40, steps=6, seed=2):
        sizes.append(size_of_features(model))
    assert (max(abs(math.log(size / sizes[0])) for size in sizes) > math.log(2)) == thrown, sizes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("people", "steps", "seed"), [(50, 150, 0), (200, 200, 0), (1000, 450, 0), (1000, 450, 1), (5000, 1100, 0)]
)
def test_the_loss_leaves_that_of_knowing_nothing(people: int, steps: int, seed: int) -> None:
    """Made-up people, 48×48; without the warm-up, 1,000 stay at chance, 1.000 of it after 200 steps."""
    found = list(losses(recipe(people, 48, seed=seed), people, 48, steps, seed))
    assert statistics.mean(found[-25:]) < 0.95 * math.log(people)
