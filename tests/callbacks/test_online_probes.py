from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import DummyLogger

from invariantnets.backbones import lenet
from invariantnets.callbacks import CollapseAlarm, OnlineProbes, online_probes
from invariantnets.constraints import Softmax
from invariantnets.data import RotatedImages
from invariantnets.data.sources import Images, digits
from invariantnets.errors import CollapseError, InvariantNetsError
from invariantnets.module import InvariantNet

ANGLES = [-30, 0, 30]
# Epochs are short here, and the loss is not logged.
pytestmark = pytest.mark.filterwarnings("ignore:The number of training batches")


def few() -> Images:
    every = digits()
    return Images(every.image[:400], every.label[:400], every.split[:400])


class Memory(DummyLogger):
    """Keeps what is logged under ``online/``, by epoch counted from 1."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: dict[int, dict[str, float]] = {}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        online = {name: value for name, value in metrics.items() if name.startswith("online/")}
        if online:
            self.epochs[int(metrics["epoch"]) + 1] = online


def run(probes: OnlineProbes, epochs: int, *others: pl.Callback, lr: float = 0.02) -> dict[int, dict[str, float]]:
    torch.manual_seed(0)
    data = RotatedImages(few, 10, [1, 28, 28], ANGLES, batch_size=32, epoch_batches=8)
    model = InvariantNet(lenet(embedding_dim=32), {"softmax": Softmax("ip2", 10)}, partial(torch.optim.SGD, lr=lr))
    model.connect(data.spec, 1)
    memory = Memory()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=memory,
        callbacks=[probes, *others],
        log_every_n_steps=100,
        num_sanity_val_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, data)
    return memory.epochs


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of every call of the probes."""
    calls: list[Any] = []
    probe = online_probes.quick_probes

    def watched(*arguments: Any) -> dict[str, float]:
        calls.append(arguments)
        return probe(*arguments)

    monkeypatch.setattr(online_probes, "quick_probes", watched)
    return calls


def test_probes_run_on_schedule_only(seen: list[Any]) -> None:
    epochs = run(OnlineProbes(every_n_epochs=3), 7)
    assert list(epochs) == [3, 6]
    assert all(set(metrics) == {"online/angle_r2", "online/mav_accuracy"} for metrics in epochs.values())
    assert len(seen) == 2
    assert epochs[6]["online/mav_accuracy"] > 0.15 and math.isfinite(epochs[6]["online/angle_r2"])


def test_probes_see_the_validation_images(seen: list[Any]) -> None:
    run(OnlineProbes(every_n_epochs=1), 1)
    features, label, nuisance, nuisances, source, classes, _ = seen[0]
    images = int((few().split == "val").sum())
    assert features.shape == (images * len(ANGLES), 32) and features.dtype == np.float32
    assert len(np.unique(source)) == images and classes == 10
    assert np.array_equal(nuisance["angle"], np.tile(ANGLES, images))
    assert np.array_equal(label[:: len(ANGLES)], few().label[few().split == "val"])
    assert [n.name for n in nuisances] == ["angle"]


def test_no_more_images_than_asked_for_whatever_the_batches(seen: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RotatedImages, "val_dataloader", lambda data: data.loader("val", 8))
    run(OnlineProbes(every_n_epochs=1, max_images=20), 1)
    run(OnlineProbes(every_n_epochs=1, max_images=0), 1)
    assert [len(np.unique(call[4])) for call in seen] == [20, int((few().split == "val").sum())]


def test_a_diverged_run_is_left_to_the_alarm(seen: list[Any]) -> None:
    with pytest.raises(CollapseError, match="the features are not finite"):
        run(OnlineProbes(every_n_epochs=1), 1, CollapseAlarm(), lr=1e9)
    assert not seen


def test_other_layers_are_read_beside_the_embedding() -> None:
    """Of the embedding the numbers are the same; of a layer they are those of its features; of pixels all is there."""
    plain, layered = run(OnlineProbes(1), 2), run(OnlineProbes(1, layers=["input", "ip1"]), 2)
    for epoch, found in plain.items():
        told = layered[epoch]
        assert {name: told[name] for name in found} == found
        assert told["online/ip1/angle_r2"] == pytest.approx(found["online/angle_r2"], abs=1e-5)
        assert told["online/input/angle_r2"] > 0.5
        assert set(told) - set(found) == {"online/input/angle_r2", "online/ip1/angle_r2"}


def test_a_layer_that_is_not_there_is_refused_before_training() -> None:
    with pytest.raises(InvariantNetsError, match="there is no layer 'fc7'"):
        run(OnlineProbes(1, layers=["fc7"]), 1)
