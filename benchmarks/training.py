"""Training images per second: our whole path against the bare network, the usual pipeline and our own bare loop."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.timing import alternate, cpu_seconds, ratio
from invariantnets.backbones import lenet
from invariantnets.data import Batch, RotatedImages
from invariantnets.loggers import RunInfo
from invariantnets.module import InvariantNet

CONF = Path(__file__).parents[1] / "conf"
BATCH = 64


def data_name() -> str:
    """Real MNIST where it lies on this machine, the embedded digits elsewhere."""
    root = Path(os.environ.get("INVARIANTNETS_DATA", "data"))
    return "rotated_mnist" if (root / "MNIST").is_dir() else "rotated_digits"


def configuration(model: str, steps: int, folder: str) -> DictConfig:
    """The default configuration, without what a step does not need: validation, checkpoints, progress bar."""
    overrides = [
        f"model={model}", f"data={data_name()}", f"data.epoch_batches={steps}", f"paths.output_dir={folder}",
        "callbacks.checkpoint=null", "callbacks.early_stopping=null",
        "trainer.accelerator=cpu", "trainer.max_epochs=1", "+trainer.limit_val_batches=0",
        "+trainer.enable_checkpointing=false", "trainer.enable_progress_bar=false",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides)


class StepTimer(pl.Callback):
    """CPU seconds from the first step's end to the last's: what a step costs, without the set-up of a fit."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.start = time.process_time()
        self.last = time.process_time()


class RotatedPairs(Dataset[tuple[torch.Tensor, int]]):
    """The usual dataset: a PIL image at a time, rotated and turned into floats by torchvision's transforms."""

    def __init__(self, images: torch.Tensor, label: torch.Tensor, views: int):
        self.images, self.label, self.views = images[:, 0].numpy(), label.tolist(), views
        self.transform = transforms.Compose(
            [transforms.RandomRotation(45, transforms.InterpolationMode.BILINEAR), transforms.ToTensor()]
        )

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.images[index])
        return torch.stack([self.transform(image) for _ in range(self.views)]), self.label[index]


def images_only(image: torch.Tensor, label: torch.Tensor) -> Batch:
    """A batch of which only images and labels are known."""
    rows = torch.zeros(image.shape[:2], dtype=torch.int64)
    return Batch(image, label, rows, rows)


class Variants:
    """The same network and objective in four loops; each method is one round and returns CPU seconds a step."""

    def __init__(self, model: str, steps: int, folder: str):
        self.cfg, self.steps, self.folder = configuration(model, steps, folder), steps, Path(folder)
        self.data: RotatedImages = instantiate(self.cfg.data, _convert_="all")
        self.ours, self.inner = self.network(), self.network()
        # The others use PyTorch's default layout and its default optimiser.
        self.plain = lenet()
        self.optimizer = torch.optim.SGD(self.plain.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        bank, views = self.data.bank("train"), self.cfg.views
        usual = RotatedPairs(bank.image[:, self.data.angles.index(0.0)], bank.label, views)
        self.usual_batches = endless(DataLoader(usual, BATCH, shuffle=True, num_workers=0, drop_last=True))
        self.fixed = images_only(torch.rand(BATCH, views, 1, 28, 28) * 255, torch.randint(10, (BATCH,)))

    def network(self) -> InvariantNet:
        model: InvariantNet = instantiate(self.cfg.model, _convert_="all")
        model.connect(self.data.spec, self.cfg.views)
        return model

    def framework(self) -> float:
        """What ``train.py`` runs."""
        timer = StepTimer()
        callbacks = [*(instantiate(callback) for callback in self.cfg.callbacks.values() if callback), timer]
        logger = instantiate(self.cfg.logger)(RunInfo(self.folder, "benchmark", "train", None, None, {}))
        trainer: pl.Trainer = instantiate(self.cfg.trainer, callbacks=callbacks, logger=logger)
        trainer.fit(self.ours, datamodule=self.data)
        return (timer.last - timer.start) / (self.steps - 1)

    def without_framework(self) -> float:
        """The same loader, objective, optimiser and schedule in a plain loop."""
        model = self.inner.train()
        found = model.configure_optimizers()
        optimizer, scheduler = found["optimizer"], found["lr_scheduler"]["scheduler"]

        def loop() -> None:
            for batch in self.data.train_dataloader():
                loss = model.terms(model.layers(batch.image, model._needed), batch)["loss"]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()

        return cpu_seconds(loop) / self.steps

    def plain_step(self, batch: Batch) -> None:
        """Forward and backward in PyTorch's default layout, the objective of our module."""
        names = self.ours._needed
        layers = self.plain.features(batch.image.flatten(0, 1), names)
        self.plain.zero_grad()
        self.ours.terms({n: x.unflatten(0, batch.image.shape[:2]) for n, x in layers.items()}, batch)["loss"].backward()

    def bare(self) -> float:
        """Forward and backward on a fixed batch of floats, nothing else."""
        self.ours.train()
        return cpu_seconds(lambda: [self.plain_step(self.fixed) for _ in range(self.steps)]) / self.steps

    def usual(self) -> float:
        """Per-image transforms, DataLoader in this process, plain SGD."""
        self.ours.train()

        def loop() -> None:
            for _ in range(self.steps):
                image, label = next(self.usual_batches)
                self.plain_step(images_only(image * 255, label))
                self.optimizer.step()

        return cpu_seconds(loop) / self.steps


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's batches, epoch after epoch."""
    while True:
        yield from loader


def measure(model: str, steps: int = 60, rounds: int = 9) -> dict[str, float]:
    """Images a second of each loop, and the ratios."""
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    with tempfile.TemporaryDirectory() as folder:
        variants = Variants(model, steps, folder)
        loops: dict[str, Callable[[], float]] = {
            name: getattr(variants, name) for name in ("framework", "without_framework", "bare", "usual")
        }
        found = alternate(loops, rounds)
    images = BATCH * variants.cfg.views
    return {
        **{f"{name}, images/s": images / statistics.median(seconds) for name, seconds in found.items()},
        "over bare": ratio(found["bare"], found["framework"]),
        "over usual": ratio(found["usual"], found["framework"]),
        "overhead": ratio(found["framework"], found["without_framework"]) - 1,
    }


if __name__ == "__main__":
    import logging
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    import sys
    for m in sys.argv[1:]:
        print(m, {k: round(v, 3) for k, v in measure(m).items()})
