"""Training images per second: our whole path against the bare network, the usual pipeline and our own bare loop."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.backbones import lenet
from invariantnets.data import RotatedImages
from invariantnets.loggers import RunInfo
from invariantnets.module import InvariantNet

CONF = Path(__file__).parents[1] / "conf"
BATCH = 64
TOY = {"model": "pair_lenet", "steps": 2, "rounds": 1}


def data_name() -> str:
    """Real MNIST where it lies on this machine, the embedded digits elsewhere."""
    root = Path(os.environ.get("INVARIANTNETS_DATA", "data"))
    return "rotated_mnist" if (root / "MNIST").is_dir() else "rotated_digits"


def configuration(model: str, steps: int, folder: str, precision: str, *more: str) -> DictConfig:
    """The default configuration, without what a step does not need: validation, checkpoints, progress bar."""
    overrides = [
        f"model={model}", f"data={data_name()}", f"data.epoch_batches={steps}", f"paths.output_dir={folder}",
        "callbacks.checkpoint=null", "callbacks.last=null", "callbacks.early_stopping=null",
        f"trainer.precision={precision}", "trainer.accelerator=cpu", "trainer.max_epochs=1",
        "+trainer.limit_val_batches=0", "+trainer.enable_checkpointing=false", "trainer.enable_progress_bar=false",
        *more,
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides)


class StepTimer(pl.Callback):
    """CPU seconds from the first step's end to the last's: what a step costs, without the set-up of a fit."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the time."""
        if batch_idx == 0:
            self.first = time.process_time()
        self.last = time.process_time()


class RotatedDigits(Dataset[tuple[Tensor, int]]):
    """The usual dataset: a PIL image at a time, rotated and turned into floats by torchvision's transforms."""

    def __init__(self, images: Tensor, label: Tensor, views: int):
        self.images, self.label, self.views = images[:, 0].numpy(), label.tolist(), views
        self.transform = transforms.Compose(
            [transforms.RandomRotation(45, transforms.InterpolationMode.BILINEAR), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images[index])
        return torch.stack([self.transform(image) for _ in range(self.views)]), self.label[index]


def objective(layers: dict[str, Tensor], label: Tensor, views: int) -> Tensor:
    """Softmax loss on the first views and, for pairs, the Euclidean loss at every layer, as one would write them.

    Args:
        layers: name → ``(V · B, …)``, all first views before all second ones.
        label: ``(B,)``.
        views: 1 or 2.
    """
    loss = F.cross_entropy(layers["ip2"][: len(label)], label)
    if views == 2:
        for x in layers.values():
            first, second = x.chunk(2)
            loss = loss + 0.5 * ((first - second) ** 2).mean()
    return loss


class Loops:
    """The same network and objective in four loops; each method is one round and returns CPU seconds a step."""

    def __init__(self, model: str, steps: int, folder: str, precision: str):
        self.cfg, self.steps, self.folder = configuration(model, steps, folder, precision), steps, Path(folder)
        self.views = self.cfg.views
        self.data: RotatedImages = instantiate(self.cfg.data, _convert_="all")
        self.trained, self.looped = self._network(), self._network()
        self.plain = lenet()  # in PyTorch's default layout, with its default optimiser
        self.optimizer = torch.optim.SGD(self.plain.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        bank = self.data.bank("train")
        dataset = RotatedDigits(bank.image[:, self.data.values["angle"].index(0.0)], bank.label, self.views)
        self.usual_batches = endless(DataLoader(dataset, BATCH, shuffle=True, num_workers=0, drop_last=True))
        self.fixed = torch.rand(self.views * BATCH, 1, 28, 28), torch.randint(10, (BATCH,))
        self._check_objective()

    def _network(self) -> InvariantNet:
        model: InvariantNet = instantiate(self.cfg.model, _convert_="all")
        model.connect(self.data.spec, self.views)
        return model

    def _check_objective(self) -> None:
        """The loops minimise the same number."""
        batch = next(iter(self.data.train_dataloader()))
        self.plain.load_state_dict(self.trained.backbone.state_dict())
        layers = self.plain.features(torch.cat(batch.image.unbind(1)), self.trained._needed)
        plain = objective(layers, batch.label, self.views)
        ours = self.trained.terms(self.trained.layers(batch.image, self.trained._needed), batch)["loss"]
        torch.testing.assert_close(ours, plain)

    def ours(self) -> float:
        """What ``train.py`` runs."""
        timer = StepTimer()
        callbacks = [*(instantiate(callback) for callback in self.cfg.callbacks.values() if callback), timer]
        logger = instantiate(self.cfg.logger)(RunInfo(self.folder, "benchmark", "train", None, None, {}))
        trainer: pl.Trainer = instantiate(self.cfg.trainer, callbacks=callbacks, logger=logger)
        trainer.fit(self.trained, datamodule=self.data)
        return (timer.last - timer.first) / (self.steps - 1)

    def without_framework(self) -> float:
        """The same loader, objective, optimiser and schedule in a plain loop."""
        model, found = self.looped, self.looped.configure_optimizers()
        optimizer, scheduler = found["optimizer"], found["lr_scheduler"]["scheduler"]

        def loop() -> None:
            for batch in self.data.train_dataloader():
                loss = model.terms(model.layers(batch.image, model._needed), batch)["loss"]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()

        return cpu_seconds(loop) / self.steps

    def _plain_step(self, image: Tensor, label: Tensor) -> None:
        layers = self.plain.features(image, self.trained._needed)
        self.optimizer.zero_grad()
        objective(layers, label, self.views).backward()

    def bare(self) -> float:
        """Forward and backward on a fixed batch of floats, nothing else."""
        return cpu_seconds(lambda: [self._plain_step(*self.fixed) for _ in range(self.steps)]) / self.steps

    def usual(self) -> float:
        """Per-image transforms, DataLoader in this process, plain SGD."""

        def loop() -> None:
            for _ in range(self.steps):
                image, label = next(self.usual_batches)
                self._plain_step(torch.cat(image.unbind(1)) * 255, label)
                self.optimizer.step()

        return cpu_seconds(loop) / self.steps


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's batches, epoch after epoch."""
    while True:
        yield from loader


def measure(model: str, precision: str = "32-true", steps: int = 50, rounds: int = 7) -> dict[str, float]:
    """Images a second of our path, and how many times faster it is than each other loop.

    ``precision`` is ours; the loops that it is compared with compute in single precision.
    """
    names = ("ours", "bare", "usual") if precision != "32-true" else ("ours", "without_framework", "bare", "usual")
    with tempfile.TemporaryDirectory() as folder:
        loops = Loops(model, steps, folder, precision)
        found = alternate({name: getattr(loops, name) for name in names}, rounds)
    images = BATCH * loops.views
    rates = {f"{name}, images/s": images / statistics.median(found[name]) for name in names}
    return {**rates, **{f"ours / {name}": ratio(found[name], found["ours"]) for name in names[1:]}}
