"""What still leaks, seen while training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from invariantnets.data import Batch
from invariantnets.features.extract import MAX_WIDTH, projection
from invariantnets.module import InvariantNet
from invariantnets.nuisance import Nuisance
from invariantnets.probes.online import quick_probes
from invariantnets.randomness import numpy_rng

__all__ = ["OnlineProbes", "OnlineScores"]


class OnlineScores(Metric):
    """Scores of the cheap probes on one validation, the same for any batching and any number of processes.

    The rows of all processes come together, in the order of the split, before anything is fitted to them.

    Args:
        nuisances: what is probed.
        num_classes: number of classes.
        max_images: images used, the first ones of the split (0: all).
        epoch: divides the images, see `quick_probes`.
    """

    full_state_update = False

    def __init__(self, nuisances: Sequence[Nuisance], num_classes: int, max_images: int = 0, epoch: int = 0):
        super().__init__()
        self.nuisances, self.num_classes, self.max_images, self.epoch = nuisances, num_classes, max_images, epoch
        self.seen = 0
        self.features: list[Tensor]  # (rows, D)
        self.rows: list[Tensor]  # (rows, 3): index, source, label
        self.values: list[Tensor]  # (rows, nuisances)
        for name in ("features", "rows", "values"):
            self.add_state(name, [], dist_reduce_fx="cat")

    @property
    def enough(self) -> bool:
        """Whether this process alone has as many images as are looked at."""
        return bool(self.max_images and self.seen >= self.max_images)

    def update(self, embedding: Tensor, batch: Batch) -> None:
        """Keep ``(B, V, D)`` features, unless this process alone has enough images."""
        if self.enough:
            return
        self.seen += len(batch.label)
        label = batch.label[:, None].expand_as(batch.index)
        self.features.append(embedding.flatten(0, 1).float())
        self.rows.append(torch.stack([batch.index, batch.source, label], -1).flatten(0, 1))
        values = [batch.nuisance[n.name].flatten() for n in self.nuisances]
        self.values.append(torch.stack(values, 1) if values else embedding.new_empty(batch.index.numel(), 0))

    def compute(self) -> dict[str, float]:
        """See `quick_probes`; nothing if a feature is not finite."""
        features, rows, values = (dim_zero_cat(x).cpu().numpy() for x in (self.features, self.rows, self.values))
        order = np.argsort(rows[:, 0])
        if self.max_images:
            order = order[np.isin(rows[order, 1], np.unique(rows[:, 1])[: self.max_images])]
        features, (_, source, label), values = features[order], rows[order].T, values[order].T
        if not np.isfinite(features).all():
            return {}
        # What is unknown for some is left to the evaluation, which reads it from the others.
        nuisance = {n.name: v for n, v in zip(self.nuisances, values, strict=True) if not np.isnan(v).any()}
        known = [n for n in self.nuisances if n.name in nuisance]
        rng = numpy_rng(0, self.epoch)
        return quick_probes(features, label, nuisance, known, source, self.num_classes, rng)


class OnlineProbes(pl.Callback):
    """Run the cheap probes on the validation features every ``every_n_epochs`` and log ``online/…``.

    The validation images are divided in two, a half to fit and a half to look at. Numbers of this
    kind follow a run; those that are reported come from the evaluation, under other names.

    Args:
        every_n_epochs: how often.
        max_images: images used, the first ones of the validation set (0: all).
        layers: that are read beside the embedding, logged as ``online/<layer>/<nuisance>_r2``; wide ones after a fixed
            random projection, as `extract` has it.

    Raises:
        InvariantNetsError: when training begins, a layer that the network does not have.
    """

    def __init__(self, every_n_epochs: int = 5, max_images: int = 1000, layers: Sequence[str] | None = None):
        self.every_n_epochs, self.max_images, self.layers = every_n_epochs, max_images, list(layers or [])
        self._scores: dict[str, OnlineScores] = {}
        self._projections: dict[int, Tensor] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse what is not there before anything is trained."""
        assert isinstance(pl_module, InvariantNet)
        pl_module.backbone.check(self.layers)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew, if it is time."""
        self._scores = {}
        if not trainer.sanity_checking and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            assert isinstance(pl_module, InvariantNet) and pl_module.spec is not None
            spec = pl_module.spec
            for layer in ("", *self.layers):
                scores = OnlineScores(spec.nuisances, spec.num_classes, self.max_images, trainer.current_epoch)
                self._scores[layer] = scores.to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the features of the batch."""
        if not self._scores:
            return
        self._scores[""].update(outputs["embedding"], batch)
        if self.layers and not self._scores[self.layers[0]].enough:
            assert isinstance(pl_module, InvariantNet)
            for layer, x in pl_module.backbone.features(batch.image.flatten(0, 1), self.layers).items():
                wide = x.flatten(1).float()
                if (width := wide.shape[1]) > MAX_WIDTH:
                    if width not in self._projections:
                        self._projections[width] = projection(width, MAX_WIDTH).to(wide.device)
                    wide = wide @ self._projections[width]
                self._scores[layer].update(wide.unflatten(0, batch.index.shape), batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Probe what was kept, and log it; a run that diverged is left to CollapseAlarm, which has better words."""
        for layer, scores in self._scores.items():
            of = f"online/{layer}/" if layer else "online/"
            found = {of + name: v for name, v in scores.compute().items() if not layer or name.endswith("_r2")}
            pl_module.log_dict(found, sync_dist=True)  # all processes have found the same, and Lightning is content
        self._scores = {}
