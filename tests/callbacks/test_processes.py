"""What is measured in validation does not depend on how many processes share the images, nor on their batches."""

from __future__ import annotations

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from invariantnets.backbones import lenet
from invariantnets.callbacks import CollapseAlarm, OnlineProbes
from invariantnets.constraints import Pair, Softmax
from invariantnets.data import Batch, RotatedImages
from invariantnets.data.sources import Images, digits
from invariantnets.module import InvariantNet

pytestmark = pytest.mark.filterwarnings("ignore:The number of training batches", "ignore:.*`use_distributed_sampler`")
ANGLES = [-30, 0, 30]
VAL, BATCH = 83, 20  # two processes have 42 and 41 images: batches of 20, 20, 2 and of 20, 20, 1


def few() -> Images:
    every = digits()
    split = every.split[:400].copy()
    split[:] = "train"
    split[:VAL] = "val"
    return Images(every.image[:400], every.label[:400], split)


class Data(RotatedImages):
    def val_dataloader(self) -> DataLoader[Batch]:
        return self.loader("val", BATCH)


def data(epoch_batches: int = 2) -> RotatedImages:
    return Data(few, 10, [1, 28, 28], ANGLES, batch_size=8, epoch_batches=epoch_batches, views=2)


@pytest.fixture(scope="module")
def network() -> InvariantNet:
    """One that knows some of the classes, and learns no more: equal numbers mean equal measurements."""
    torch.manual_seed(0)
    terms = {"softmax": Softmax("ip2", 10, weight=0.5), "pair": Pair({"ip1": 1.0})}
    model = InvariantNet(lenet(embedding_dim=16), terms, partial(torch.optim.SGD, lr=0.0))
    images = data(epoch_batches=40)
    model.connect(images.spec, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for batch in images.train_dataloader():
        optimizer.zero_grad()
        model.terms(model.layers(batch.image, ["ip1", "ip2"]), batch)["loss"].backward()
        optimizer.step()
    return model


def validated(model: InvariantNet, processes: int) -> dict[str, float]:
    """What a whole program of so many processes logs of its validation."""
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=processes,
        strategy="ddp_spawn" if processes > 1 else "auto",
        logger=False,
        callbacks=[OnlineProbes(every_n_epochs=1, max_images=75), CollapseAlarm()],
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, data())
    assert trainer.world_size == processes
    return {name: float(value) for name, value in trainer.callback_metrics.items() if not name.startswith("train/")}


@pytest.fixture(scope="module")
def alone(network: InvariantNet) -> dict[str, float]:
    return validated(network, 1)


def test_two_processes_and_a_short_last_batch_measure_what_one_does(
    network: InvariantNet, alone: dict[str, float]
) -> None:
    together = validated(network, 2)
    names = {"val/softmax", "val/pair", "val/loss", "val/accuracy", "online/mav_accuracy", "online/angle_r2"}
    assert set(together) == set(alone) == names
    for name in ("val/accuracy", "online/mav_accuracy"):  # counts
        assert together[name] == alone[name]
    assert together == pytest.approx(alone, rel=1e-5)


def test_validation_is_over_all_images(network: InvariantNet, alone: dict[str, float]) -> None:
    """By hand, all images in one batch."""
    (batch,) = data().loader("val", VAL)
    with torch.no_grad():
        scores = network.eval().layers(batch.image, ["ip2"])["ip2"].flatten(0, 1)
    label = batch.label.repeat_interleave(len(ANGLES))
    accuracy = (scores.argmax(1) == label).float().mean().item()
    assert 0.2 < accuracy < 1 and alone["val/accuracy"] == accuracy
    assert alone["val/softmax"] == pytest.approx(0.5 * F.cross_entropy(scores, label).item(), rel=1e-5)
    batches = [(s.argmax(1) == y).float().mean() for s, y in zip(scores.split(60), label.split(60), strict=True)]
    assert torch.stack(batches).mean().item() != pytest.approx(accuracy, rel=1e-3)  # what a mean of means would say
