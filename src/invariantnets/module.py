"""The one LightningModule: a backbone under weighted constraints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from invariantnets.backbones import Trainable
from invariantnets.constraints import Constraint, Softmax
from invariantnets.data import Batch, DataSpec
from invariantnets.errors import InvariantNetsError
from invariantnets.randomness import torch_rng

__all__ = ["FORMAT", "InvariantNet", "inverse_decay", "logs_step", "one_cycle", "warm_up"]

FORMAT = 1  # of what is written beside Lightning's part of a checkpoint


def inverse_decay(optimizer: Optimizer, gamma: float = 1e-4, power: float = 0.75) -> LRScheduler:
    """Caffe's "inv" schedule: ``lr · (1 + γ · step) ^ -power``."""
    return LambdaLR(optimizer, lambda step: (1 + gamma * step) ** -power)


def warm_up(optimizer: Optimizer, num_classes: int, batch_size: int, sightings: float = 40) -> LRScheduler:
    """From almost nothing linearly up to each group's own rate, which then stays.

    Adam's first steps are as long as any, whatever the gradient. Before a class has been seen a few times, its
    scores can only follow the labels of the last batch; what then lowers the loss is to shrink the features, which
    full steps do until the units are shut. So the rate rises for as long as classes take to be seen.

    Args:
        optimizer: its rates are the peaks.
        num_classes: number of classes.
        batch_size: images of each step.
        sightings: how often a class is seen until the peak, on average.
    """
    steps = max(1, math.ceil(sightings * num_classes / batch_size))
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / steps))


def one_cycle(optimizer: Optimizer, epochs: int, epoch_batches: int, warm_up: float = 0.3) -> LRScheduler:
    """One cycle of the learning rate (Smith & Topin 2019): a cosine up to each group's own rate, then one down to 0.

    From 1/25 of the rate; momentum stays as it is. The cycle has an end: a run cannot be resumed for longer.

    Args:
        optimizer: its rates are the peaks.
        epochs: of the whole run.
        epoch_batches: steps of each.
        warm_up: share of the steps until the peak.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, peaks, epochs * epoch_batches, pct_start=warm_up, cycle_momentum=False)


def logs_step(trainer: pl.Trainer, step: int) -> bool:
    """Whether the trainer logs the metrics of the step of that number, counted from 1."""
    every: int = vars(trainer)["log_every_n_steps"]  # set by Lightning, but not declared
    return every > 0 and step % every == 0


class InvariantNet(pl.LightningModule):
    """Train a backbone to minimise the weighted sum of its constraints.

    Validation logs each term and their sum, averaged over the images, and the accuracy of the class scores: over
    all images, whatever the batches and the number of processes.

    Args:
        backbone: the network.
        constraints: name → constraint; ``null`` entries are dropped, so that a config can remove one.
        optimizer: from parameter groups to an optimiser.
        scheduler: from the optimiser to a schedule that is advanced at every step.
        bias_lr_multiplier: learning rate of the biases relative to the weights' (Caffe's LeNet: 2).
        teacher: where the network came from that constraints were prepared with, for the record.
        init_from: where the network came from that `start_from` is given, for the record.
        init_layers: the layers that are copied from it.
        frozen: layers that are not trained; their batch norm keeps its statistics.
        seed: every epoch's random state is set from (seed, epoch, rank), so that a run that resumes
            at an epoch continues with the state of an uninterrupted one.

    Raises:
        InvariantNetsError: no constraint, a constraint on a layer that does not exist, or layers frozen
            that are not copied from a trained network.
    """

    def __init__(
        self,
        backbone: Trainable,
        constraints: Mapping[str, Constraint | None],
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        scheduler: Callable[[Optimizer], LRScheduler] | None = None,
        bias_lr_multiplier: float = 1.0,
        teacher: str | None = None,
        init_from: str | None = None,
        init_layers: Sequence[str] = (),
        frozen: Sequence[str] = (),
        seed: int = 0,
    ):
        super().__init__()
        kept = {name: c for name, c in constraints.items() if c is not None and c.weight > 0}
        if not kept:
            raise InvariantNetsError("model.constraints is empty: there is nothing to train for")
        for constraint in kept.values():
            backbone.check(constraint.layers)
            constraint.bind(backbone)
        backbone.check([*init_layers, *frozen])
        if random := set(frozen) - set(init_layers if init_from else ()):
            raise InvariantNetsError(
                f"model.frozen: {', '.join(sorted(random))} would stay random; freeze layers of model.init_layers and "
                "give model.init_from"
            )
        # NHWC is what CPU and GPU convolutions and max-pooling are fastest in.
        self.backbone = backbone.to(memory_format=torch.channels_last)
        self.constraints = nn.ModuleDict(kept)
        # NaN stands for NaN: a diverged term must show. (By default it is left out; by "disable" the weights are.)
        self.val_terms = nn.ModuleDict({name: MeanMetric(nan_strategy=math.nan) for name in (*kept, "loss")})
        scores = [c.num_classes for c in kept.values() if isinstance(c, Softmax)]
        # Its checks would wait for a GPU at every batch.
        self.val_accuracy = MulticlassAccuracy(scores[0], average="micro", validate_args=False) if scores else None
        self.optimizer, self.scheduler, self.bias_lr_multiplier = optimizer, scheduler, bias_lr_multiplier
        self.teacher, self.init_from, self.init_layers, self.seed = teacher, init_from, tuple(init_layers), seed
        self.config: dict[str, Any] | None = None
        self.overrides: list[str] = []  # of the command line that made it, for the record
        self.data_checksum: str | None = None
        self.spec: DataSpec | None = None
        self.identities: tuple[str, ...] = ()
        self._needed = [n for n in backbone.layer_names if any(n in c.layers for c in kept.values())]
        # What comes after the last layer that a constraint sees has no gradient that DDP could wait for.
        unused = backbone.layer_names[backbone.layer_names.index(self._needed[-1]) + 1 :]
        for name in (*frozen, *unused):
            backbone.layers[name].requires_grad_(False)
        self.frozen = tuple(frozen)

    def named_constraints(self) -> Iterator[tuple[str, Constraint]]:
        """Name and constraint, in order."""
        for name, constraint in self.constraints.items():
            assert isinstance(constraint, Constraint)  # a ModuleDict knows them as modules only
            yield name, constraint

    @property
    def classifies(self) -> bool:
        """Whether the class scores are trained (they are not in μ-LeNet)."""
        return self.val_accuracy is not None

    def connect(self, spec: DataSpec, views: int, identities: Sequence[str] | None = None) -> None:
        """Take note of the data that the network will see.

        Args:
            spec: image shape, classes and nuisances.
            views: images per sample.
            identities: names of the people to train on, so that nobody is tested on one of them later.

        Raises:
            InvariantNetsError: a constraint needs more views of a sample than the data give, or a nuisance
                that they lack.
        """
        self.spec, self.identities = spec, tuple(identities or ())
        for name, constraint in self.named_constraints():
            if constraint.views > views:
                raise InvariantNetsError(
                    f"constraint {name} compares {constraint.views} views of a sample but the data give {views}: "
                    f"set views={constraint.views}"
                )
            constraint.connect(spec)

    def start_from(self, initial: Trainable) -> list[str]:
        """Copy ``init_layers`` from a trained network (Taigman et al. 2015, sections 3.2 and 3.4).

        Returns:
            The layers with parameters that were not copied, and start anew.

        Raises:
            InvariantNetsError: a layer that the other network lacks, or has in another layout.
        """
        initial.check(self.init_layers)
        for name in self.init_layers:
            state, own = initial.layers[name].state_dict(), self.backbone.layers[name].state_dict()
            shapes = [{key: tuple(x.shape) for key, x in layer.items()} for layer in (state, own)]
            if shapes[0] != shapes[1]:
                raise InvariantNetsError(
                    f"model.init_from={self.init_from}: its {name} has {shapes[0]}, this network's {shapes[1]}; "
                    f"take it out of model.init_layers, or build both alike"
                )
            self.backbone.layers[name].load_state_dict(state)
        anew = [name for name, layer in self.backbone.layers.items() if name not in self.init_layers]
        return [name for name in anew if list(self.backbone.layers[name].parameters())]

    def prepare(self, teacher: Trainable | None, batches: Callable[[], Iterable[Batch]]) -> None:
        """Let each constraint compute what it must know before training."""
        for _, constraint in self.named_constraints():
            constraint.prepare(teacher, batches)

    def layers(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Activations of ``(B, V, C, H, W)`` images at the named layers, each ``(B, V, …)``."""
        flat = image.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        found = self.backbone.features(flat, list(names))
        return {name: x.unflatten(0, image.shape[:2]) for name, x in found.items()}

    def terms(self, layers: dict[str, Tensor], batch: Batch, step: int | None = None) -> dict[str, Tensor]:
        """Every constraint's weighted value after so many steps (None: at its final weight); their sum is ``loss``."""
        # Similarities and distances lose too much in half precision.
        with torch.autocast(batch.label.device.type, enabled=False):
            terms = {name: constraint.term(layers, batch, step) for name, constraint in self.named_constraints()}
        return {**terms, "loss": torch.stack(list(terms.values())).sum()}

    def on_train_epoch_start(self) -> None:
        """Set the random state that belongs to the epoch; batch norm that is frozen is so in its statistics, too."""
        torch.manual_seed(torch_rng(self.seed, self.current_epoch, self.global_rank).initial_seed())
        for layer in (self.backbone.layers[name] for name in self.frozen):
            for module in layer.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The objective on one batch."""
        terms = self.terms(self.layers(batch.image, self._needed), batch, self.global_step)
        # Logging every step would cost as much as a tenth of the step itself.
        if logs_step(self.trainer, self.global_step + 1):
            self.log_dict({f"train/{k}": v.detach() for k, v in terms.items()}, prog_bar=False)
        return terms["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Returns the embedding, for callbacks that look at it."""
        names = dict.fromkeys([*self._needed, self.backbone.embedding])
        layers = self.layers(batch.image, names)
        metrics: dict[str, Any] = {f"val/{name}": metric for name, metric in self.val_terms.items()}
        for name, value in self.terms(layers, batch).items():
            metrics[f"val/{name}"].update(value, len(batch.label))
        if self.val_accuracy is not None:
            found = layers[self.backbone.classifier].argmax(-1)
            self.val_accuracy.update(found, batch.label[:, None].expand_as(found))
            metrics["val/accuracy"] = self.val_accuracy
        self.log_dict(metrics, batch_size=len(batch.label), prog_bar=True)
        return {"embedding": layers[self.backbone.embedding].flatten(2)}

    def configure_optimizers(self) -> Any:
        """Weights in one parameter group, biases at their own rate in another, then one per constraint that has any."""
        weights = [p for n, p in self.backbone.named_parameters() if not n.endswith("bias")]
        biases = [p for n, p in self.backbone.named_parameters() if n.endswith("bias")]
        learners = [c for _, c in self.named_constraints() if list(c.parameters())]
        groups = [weights, biases, *(list(c.parameters()) for c in learners)]
        optimizer = self.optimizer([{"params": group} for group in groups])
        multipliers = [1.0, self.bias_lr_multiplier, *(c.lr_multiplier for c in learners)]
        for group, multiplier in zip(optimizer.param_groups, multipliers, strict=True):
            group["lr"] *= multiplier
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.scheduler(optimizer), "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let every checkpoint carry its own configuration."""
        wandb_id = self.logger.version if isinstance(self.logger, WandbLogger) else None
        checkpoint["invariantnets"] = {
            "format": FORMAT,
            "config": self.config,
            "overrides": self.overrides,
            "data_checksum": self.data_checksum,
            "identities": list(self.identities),
            "wandb_id": wandb_id,
            "threads": torch.get_num_threads(),
        }
