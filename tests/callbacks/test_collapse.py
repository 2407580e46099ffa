from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from invariantnets.backbones import lenet
from invariantnets.callbacks import CollapseAlarm
from invariantnets.constraints import MeanActivation, Pair, Softmax
from invariantnets.data import RotatedImages
from invariantnets.data.sources import Images, digits
from invariantnets.errors import CollapseError
from invariantnets.module import InvariantNet, warm_up


def few() -> Images:
    every = digits()
    return Images(every.image[:200], every.label[:200], every.split[:200])


def run(model: InvariantNet, epochs: int = 3, alarm: CollapseAlarm | None = None, **changes: Any) -> pl.Trainer:
    """Train for a few steps under the alarm."""
    data = RotatedImages(few, 10, [1, 28, 28], [-20, 0, 20], batch_size=16, epoch_batches=4, views=2)
    model.connect(data.spec, 2)
    options = {"max_epochs": epochs, "log_every_n_steps": 2, "num_sanity_val_steps": 0, **changes}
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[alarm or CollapseAlarm()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )
    trainer.fit(model, data)
    return trainer


def make_model(lr: float = 0.01, bias: float = 0.0, **constraints: Any) -> InvariantNet:
    torch.manual_seed(0)
    constraints = constraints or {"softmax": Softmax("ip2", 10), "pair": Pair({"ip1": 1.0})}
    model = InvariantNet(lenet(embedding_dim=16), constraints, partial(torch.optim.SGD, lr=lr))
    with torch.no_grad():
        model.backbone.layers["ip1"][1].bias += bias
    return model


def test_a_healthy_run_is_left_alone() -> None:
    alarm = CollapseAlarm(warm_up=3)
    trainer = run(make_model(lr=0.02), epochs=6, alarm=alarm, num_sanity_val_steps=1)
    assert trainer.current_epoch == 6 and alarm.validations == 6, "the sanity check does not count"


def test_diverging_steps() -> None:
    with pytest.raises(CollapseError, match="the loss is (nan|inf)") as caught:
        run(make_model(lr=1e9))
    assert "epoch 0, step" in str(caught.value) and "lower model.optimizer.lr" in str(caught.value)
    assert "\n" not in str(caught.value)


class Broken(Softmax):
    """Its value is not a number, though nothing else is wrong."""

    def forward(self, layers: dict[str, Tensor], batch: Any) -> Tensor:
        return super().forward(layers, batch) * math.nan


def test_a_loss_that_is_no_number() -> None:
    with pytest.raises(CollapseError, match="epoch 0, step 2: the loss is nan"):
        run(make_model(softmax=Broken("ip2", 10)))


def test_features_that_are_no_number() -> None:
    model = make_model(lr=0.0)
    with torch.no_grad():
        model.backbone.layers["ip1"][1].weight[3] = math.nan
    with pytest.raises(CollapseError, match="the features are not finite"):
        run(model, log_every_n_steps=50)  # the loss is not looked at before


@pytest.mark.parametrize("bias", [-1e6, 1e6], ids=["all zero", "all large"])
def test_constant_features(bias: float) -> None:
    with pytest.raises(CollapseError, match="the features are the same for every image") as caught:
        run(make_model(lr=0.0, bias=bias))
    assert "epoch 0, step 4" in str(caught.value)
    assert "lower its weight (model.constraints.<name>.weight)" in str(caught.value)


def frozen_at_chance(lr: float = 0.0) -> InvariantNet:
    """Features vary, but the scores ignore them; the rate is too low to change that."""
    model = make_model(lr=lr, softmax=Softmax("ip2", 10, weight=5.0))
    with torch.no_grad():
        model.backbone.layers["ip2"].weight.zero_()
    return model


@pytest.mark.parametrize("warm_up", [1, 2, 4])
def test_chance_counts_after_the_warm_up_only(warm_up: int) -> None:
    run(frozen_at_chance(), epochs=warm_up - 1, alarm=CollapseAlarm(warm_up))
    with pytest.raises(CollapseError, match="softmax is 2.303, where ignoring the image gives 2.303") as caught:
        run(frozen_at_chance(), epochs=warm_up, alarm=CollapseAlarm(warm_up))
    assert f"epoch {warm_up - 1}, step {4 * warm_up}: after {warm_up} validations" in str(caught.value)


def test_nothing_counts_while_the_rate_still_rises() -> None:
    """Four steps to a validation: the rate rises over six such, then three validations count."""

    def rising() -> InvariantNet:
        model = frozen_at_chance(lr=1e-30)
        model.scheduler = partial(warm_up, num_classes=96, batch_size=4, sightings=1)
        return model

    run(rising(), epochs=8)
    with pytest.raises(CollapseError, match="epoch 8, step 36: after 3 validations"):
        run(rising(), epochs=20)


def test_where_softmax_is_alone_no_weight_of_a_constraint_is_blamed() -> None:
    with pytest.raises(CollapseError, match="the first steps were too long") as caught:
        run(frozen_at_chance(lr=3e-30))
    assert str(caught.value).endswith("lower model.optimizer.lr, e.g. to 1e-30") and "weight" not in str(caught.value)


def test_what_was_learnt_and_lost_is_another_matter_than_what_never_was() -> None:
    alarm = CollapseAlarm(warm_up=1)
    alarm.load_state_dict({"validations": 1, "learnt": True})
    with pytest.raises(CollapseError, match="too long a step has undone what was learnt"):
        run(frozen_at_chance(), alarm=alarm)
    run(make_model(lr=0.02), epochs=6, alarm=(fresh := CollapseAlarm()))
    assert fresh.state_dict() == {"validations": 6, "learnt": True}


def test_constant_features_of_softmax_alone_are_units_shut_by_a_step() -> None:
    with pytest.raises(CollapseError, match="has shut the network's units: lower model.optimizer.lr") as caught:
        run(make_model(lr=0.0, bias=-1e6, softmax=Softmax("ip2", 10)))
    assert "constraint" not in str(caught.value)


def test_a_resumed_run_does_not_warm_up_again() -> None:
    first, second = CollapseAlarm(warm_up=3), CollapseAlarm(warm_up=3)
    run(frozen_at_chance(), epochs=2, alarm=first)
    second.load_state_dict(first.state_dict())
    with pytest.raises(CollapseError, match="after 3 validations"):
        run(frozen_at_chance(), epochs=1, alarm=second)


def test_regression_to_one_mean_is_chance_too() -> None:
    term = MeanActivation("ip1", 16, 10)
    term.targets.copy_(torch.rand(10, 16, generator=torch.Generator().manual_seed(0)))
    model = make_model(lr=0.0, mean_activation=term)
    with torch.no_grad():
        linear = model.backbone.layers["ip1"][1]
        linear.weight *= 0.5
        linear.bias.copy_(term.targets.mean(0))
    with pytest.raises(CollapseError, match="mean_activation is .*, where ignoring the image gives"):
        run(model, alarm=CollapseAlarm(warm_up=1))


def test_a_pair_term_of_any_size_is_no_collapse() -> None:
    run(make_model(lr=0.0, pair=Pair({"ip1": 1.0})), epochs=4)
