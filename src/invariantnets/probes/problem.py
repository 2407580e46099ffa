"""One layer of a table, made ready to probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from invariantnets.data.batch import numpy_rng
from invariantnets.errors import InvariantNetsError
from invariantnets.features.table import SPLITS, FeatureTable
from invariantnets.probes.moments import Moments, class_moments
from invariantnets.probes.targets import Target, design, plan_targets, r2


@dataclass(frozen=True)
class Problem:
    """Features, targets and their moments.

    Attributes:
        x: split → ``(N, D)`` features.
        y: split → ``(N, T)`` encoded, shuffled and indicator targets.
        parts: split → the table's rows.
        targets: the columns of ``y``.
        train: moments of the training rows of each class.
        val: the same of the validation rows.
        train_all: moments of all training rows.
        val_all: moments of all validation rows.
        seed: of every random step.
    """

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    parts: dict[str, FeatureTable]
    targets: list[Target]
    train: list[Moments]
    val: list[Moments]
    train_all: Moments
    val_all: Moments
    seed: int

    @property
    def regressed(self) -> slice:
        """All true and control columns."""
        return slice(0, max((t.control.stop for t in self.targets), default=0))

    @property
    def groups(self) -> list[slice]:
        """Columns that share a penalty: true and control of each nuisance in turn."""
        return [group for t in self.targets for group in (t.true, t.control)]

    def mean(self, columns: slice) -> np.ndarray:
        """Training mean of some targets: what chance predicts."""
        return self.train_all.y_mean[columns]

    def validation_r2(self, predicted: np.ndarray, target: Target, rows: slice | np.ndarray = slice(None)) -> float:
        """R² of predictions of a nuisance on (some) validation rows."""
        return r2(predicted, self.y["val"][rows][:, target.true], self.mean(target.true))


def prepare(table: FeatureTable, layer: str, seed: int) -> Problem:
    """Encode the targets and read the features of train and validation once.

    Args:
        table: checked by `invariantnets.probes.checks.check_table`.
        layer: its layer.
        seed: shuffles the controls.

    Raises:
        InvariantNetsError: every feature is constant.
    """
    parts = {split: table.part(split) for split in SPLITS}
    targets = plan_targets(table.nuisances, parts["train"].nuisance)
    rng = numpy_rng(seed, 0)
    x = {split: part.features[layer] for split, part in parts.items()}
    y = {split: design(targets, part.nuisance, len(part), rng) for split, part in parts.items()}
    train, val = (class_moments(x[s], y[s], parts[s].label, table.num_classes) for s in ("train", "val"))
    train_all, val_all = (sum(m[1:], m[0]) for m in (train, val))
    if not train_all.live.any():
        raise InvariantNetsError(
            f"layer {layer!r}: all {len(train_all.x_mean)} features are constant on split 'train', so no probe can be "
            "fitted; the network has collapsed or the features were saved wrongly"
        )
    return Problem(x, y, parts, targets, train, val, train_all, val_all, seed)
