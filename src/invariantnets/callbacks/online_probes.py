"""What still leaks, seen while training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl

from invariantnets.module import InvariantNet
from invariantnets.probes.online import quick_probes
from invariantnets.randomness import numpy_rng


class OnlineProbes(pl.Callback):
    """Run the cheap probes on the validation features every ``every_n_epochs`` and log ``online/…``.

    The validation images are divided in two, a half to fit and a half to look at. Numbers of this
    kind follow a run; those that are reported come from the evaluation, under other names.

    Args:
        every_n_epochs: how often.
        max_images: images used, the first ones of the validation set (0: all).
    """

    def __init__(self, every_n_epochs: int = 5, max_images: int = 1000):
        self.every_n_epochs, self.max_images = every_n_epochs, max_images
        self._rows: list[dict[str, np.ndarray]] = []

    def _wanted(self, trainer: pl.Trainer) -> bool:
        return not trainer.sanity_checking and (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the features of the validation before."""
        self._rows = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the features of the batch, unless there are enough."""
        seen = sum(len(np.unique(row["source"])) for row in self._rows)
        if not self._wanted(trainer) or (self.max_images and seen >= self.max_images):
            return
        views = batch.index.shape[1]
        row = {
            "features": outputs["embedding"].flatten(0, 1).float(),
            "label": batch.label.repeat_interleave(views),
            "source": batch.source.flatten(),
            **{f"nuisance/{name}": values.flatten() for name, values in batch.nuisance.items()},
        }
        self._rows.append({name: values.cpu().numpy() for name, values in row.items()})

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Probe what was kept, and log it."""
        if not self._wanted(trainer):
            return
        rows = {name: np.concatenate([row[name] for row in self._rows]) for name in self._rows[0]}
        if not np.isfinite(rows["features"]).all():
            return  # a diverged run: CollapseAlarm, which looks after this, says so in better words
        assert isinstance(pl_module, InvariantNet) and pl_module.spec is not None
        spec = pl_module.spec
        found = quick_probes(
            rows["features"],
            rows["label"],
            {n.name: rows[f"nuisance/{n.name}"] for n in spec.nuisances},
            spec.nuisances,
            rows["source"],
            spec.num_classes,
            numpy_rng(0, trainer.current_epoch),
        )
        pl_module.log_dict(
            {f"online/{name}": value for name, value in found.items()}, sync_dist=True, rank_zero_only=False
        )
        self._rows = []
