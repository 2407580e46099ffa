"""Notice a run that has stopped meaning anything, say why, and stop it."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from invariantnets.errors import CollapseError
from invariantnets.module import InvariantNet, logs_step

# Where other terms could be to blame, and where the one term that there is cannot be.
CAUSE = {
    "diverged": "the steps are too long: lower model.optimizer.lr, or the weights of the constraints",
    "constant": "a constraint outweighs the rest: lower its weight (model.constraints.<name>.weight), "
    "or model.optimizer.lr",
    "chance": "nothing is learnt: lower model.constraints.<name>.weight of the terms that outweigh it, "
    "or model.optimizer.lr",
}
CAUSE_ALONE = {
    "diverged": "the steps are too long: lower model.optimizer.lr",
    "constant": "too long a step has shut the network's units: lower model.optimizer.lr",
    "chance": "the first steps were too long, before the classes had been seen: lower model.optimizer.lr",
    "lost": "too long a step has undone what was learnt: lower model.optimizer.lr",
}


class CollapseAlarm(pl.Callback):
    """Stop on a non-finite loss, on constant features, or on a term that stays at chance.

    Args:
        warm_up: validations before a term at chance counts; none counts while the learning rate still rises.
        tolerance: features are constant when their variance between validation samples is below
            this fraction of their mean square; a term is at chance within this fraction of the
            value that ignoring the image gives (:meth:`Constraint.chance`).
    """

    def __init__(self, warm_up: int = 3, tolerance: float = 1e-3):
        self.warm_up, self.tolerance = warm_up, tolerance
        self.validations, self.learnt, self.rate = 0, False, math.inf
        self._reset()

    def _reset(self) -> None:
        self.count, self.sum, self.square = 0, torch.zeros(()), torch.zeros(())

    def state_dict(self) -> dict[str, Any]:
        """Validations so far, so that a resumed run does not warm up again; whether a term was ever below chance."""
        return {"validations": self.validations, "learnt": self.learnt}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.validations = state_dict["validations"]
        self.learnt = state_dict.get("learnt", False)  # checkpoints of before it was noted have none

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the rate that a warm-up starts from."""
        self.rate = _rate(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss: as rarely as it is logged, since on a GPU a look waits for the device."""
        if logs_step(trainer, trainer.global_step) and not torch.isfinite(outputs["loss"]):
            raise CollapseError(self._message(trainer, f"the loss is {float(outputs['loss'])}", "diverged"))

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the features of the validation before."""
        self._reset()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the batch to the first two moments of the features."""
        x: Tensor = outputs["embedding"].flatten(0, 1).double()
        self.count += len(x)
        self.sum = self.sum.to(x.device) + x.sum(0)
        self.square = self.square.to(x.device) + x.square().sum(0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the features, and at each term. Raises CollapseError."""
        if trainer.sanity_checking:
            return
        assert isinstance(pl_module, InvariantNet)
        rising, self.rate = _rate(trainer) > self.rate, _rate(trainer)
        self.validations += not rising
        mean_square = float((self.square / self.count).sum())
        variance = mean_square - float((self.sum / self.count).square().sum())
        if not math.isfinite(mean_square):
            raise CollapseError(self._message(trainer, "the features are not finite", "diverged"))
        if variance <= self.tolerance * mean_square:
            raise CollapseError(self._message(trainer, "the features are the same for every image", "constant"))
        for name, constraint in pl_module.named_constraints():
            chance, loss = constraint.chance(), float(trainer.callback_metrics[f"val/{name}"]) / constraint.weight
            if chance is None:
                continue
            if loss <= (1 - self.tolerance) * chance:
                self.learnt = True
            elif self.validations >= self.warm_up and not rising:
                what = (
                    f"after {self.validations} validations {name} is {loss:.4g}, "
                    f"where ignoring the image gives {chance:.4g}"
                )
                raise CollapseError(self._message(trainer, what, "lost" if self.learnt else "chance"))

    @staticmethod
    def _message(trainer: pl.Trainer, what: str, kind: str) -> str:
        where = f"epoch {trainer.current_epoch}, step {trainer.global_step}"
        model = trainer.lightning_module
        assert isinstance(model, InvariantNet)
        if len(list(model.named_constraints())) > 1:
            cause = CAUSE["chance" if kind == "lost" else kind]
        else:
            cause = f"{CAUSE_ALONE[kind]}, e.g. to {trainer.optimizers[0].defaults['lr'] / 3:.2g}"
        return f"training collapsed at {where}: {what}. Likely {cause}"


def _rate(trainer: pl.Trainer) -> float:
    rate: float = trainer.optimizers[0].param_groups[0]["lr"]
    return rate
