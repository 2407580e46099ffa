"""How the rate goes through training: the inverse of the steps, one cycle, and warming up."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from invariantnets.module import inverse_decay, one_cycle, warm_up
from made_module import SGD, make


@pytest.mark.parametrize("multiplier", [1.0, 2.0])
def test_the_inverse_schedule(multiplier: float) -> None:
    model = make(bias_lr_multiplier=multiplier, scheduler=partial(inverse_decay, gamma=1e-2, power=0.75))
    configured = model.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]
    assert schedule["interval"] == "step"
    for step in range(50):
        rate = 0.01 * (1 + 0.01 * step) ** -0.75
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([rate, multiplier * rate])
        optimizer.step()
        schedule["scheduler"].step()


def test_caffes_rate_after_ten_thousand_steps() -> None:
    scheduler = inverse_decay(SGD([torch.zeros(1, requires_grad=True)]))
    assert scheduler.lr_lambdas[0](10_000) == pytest.approx(0.5946, abs=1e-4)  # lr 0.00594604 in Caffe's log


def test_one_cycle_peaks_at_each_groups_own_rate_and_ends_at_nothing() -> None:
    model = make(bias_lr_multiplier=2.0, scheduler=partial(one_cycle, epochs=4, epoch_batches=25, warm_up=0.2))
    configured = model.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(100):
        weights, biases = optimizer.param_groups
        assert biases["lr"] == pytest.approx(2 * weights["lr"]) and weights["momentum"] == 0.9
        rates.append(weights["lr"])
        optimizer.step()
        schedule.step()  # as often as there are steps, the last included
    assert rates[0] == pytest.approx(0.01 / 25) and max(rates) == rates[19] == pytest.approx(0.01)
    assert rates == sorted(rates[:20]) + sorted(rates[20:], reverse=True) and rates[-1] < 1e-6


@pytest.mark.parametrize(("classes", "steps"), [(1, 1), (50, 32), (1000, 625), (10_000, 6250)])
def test_the_rate_rises_until_each_class_was_seen_forty_times(classes: int, steps: int) -> None:
    model = make(bias_lr_multiplier=2.0, scheduler=partial(warm_up, num_classes=classes, batch_size=64))
    configured = model.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    for step in range(steps + 2):
        rate = 0.01 * min(1, (step + 1) / steps)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate, 2 * rate])
        optimizer.step()
        schedule.step()
