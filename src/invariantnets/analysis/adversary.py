"""The published fresh adversary: a small network that names the nuisance from the features (Akash et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.people import independent, open_set
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS, Nuisance
from invariantnets.probes.targets import shuffled_by_class
from invariantnets.randomness import numpy_rng, torch_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN
from invariantnets.statistics.resampling import Resampling, ratio, shares

__all__ = ["Adversary"]

CONTROL, ORDER, WEIGHTS = 142, 143, 144  # random streams
LEVELS = 20  # distinct values that can be named
BLOCK_ROWS = 4096
# Of the published code: on weights, at each step; and what the rate is multiplied by, each so many epochs.
WEIGHT_DECAY, SLOWER, EVERY = 1e-4, 0.65, 10
CONSTANT = 1e-6  # of the largest deviation: a feature that varies less does not vary


@dataclass(frozen=True)
class Adversary:
    """Accuracy of naming a nuisance by three fully connected layers, batch norm and ReLU after the first two.

    Trained on split train by cross-entropy (Adam); read on test at the last epoch, and at the first of those that are
    best on val. Each value of train is a class, be the nuisance a category or a number; other values of test count as
    wrong.

    Args:
        nuisance: which; None for all of at most `LEVELS` values.
        hidden: units of either hidden layer.
        epochs: passes over the rows of train.
        lr: of Adam, at first; 0.65 of it after each ten epochs.
        batch_size: rows of a step, at least; 2 or more, since batch norm needs them.
        standardise: each feature to mean 0 and variance 1 of train first; published tables have them as they are.
    """

    nuisance: str | None = None
    hidden: int = 64
    epochs: int = 100
    lr: float = 1e-3
    batch_size: int = 1000
    standardise: bool = False
    name: ClassVar[str] = "adversary"
    title: ClassVar[str] = "A fresh adversary that names the nuisance"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        for key, least in (("hidden", 1), ("epochs", 1), ("batch_size", 2)):
            if getattr(self, key) < least:
                raise InvariantNetsError(f"analysis.adversary.{key}={getattr(self, key)}: give {least} or more")
        if not self.lr > 0:
            raise InvariantNetsError(f"analysis.adversary.lr={self.lr}: give a number above 0")
        table = material.table
        check_layer(table, material.layer)
        for split in SPLITS:
            table.part(split)
        if not table.nuisances or (self.nuisance is not None and self.nuisance not in table.nuisance):
            named = ", ".join(n.name for n in table.nuisances) or "none"
            asked = f"analysis.adversary.nuisance={self.nuisance}: no such" if self.nuisance else "no"
            raise InvariantNetsError(f"{asked} nuisance in the table (it has {named})")
        results: list[Result] = []
        lost: list[str] = []
        for place, nuisance in enumerate(table.nuisances):
            if self.nuisance not in (None, nuisance.name):
                continue
            known = np.isfinite(table.nuisance[nuisance.name])
            rows = table if known.all() else table.rows(known)
            if why := _why_not(rows, nuisance):
                lost.append(f"{nuisance.name!r} is not named: {why}")
            else:
                material.progress(f"{self.title}: {nuisance.name}, {self.epochs} epochs")
                results += self._of(material, rows, nuisance, place)
        if not results:
            raise InvariantNetsError(f"{self.title}: {lost[0]}" + f" (and {len(lost) - 1} more)" * (len(lost) > 1))
        return [replace(results[0], note="; ".join([results[0].note, *lost])), *results[1:]]

    def _of(self, material: Material, table: FeatureTable, nuisance: Nuisance, place: int) -> list[Result]:
        """The accuracies of one nuisance, of rows in which it is known; and that of shuffled values."""
        test = table.part("test")
        values = table.nuisance[nuisance.name]
        known = np.unique(values[table.split == "train"])
        shuffled = _shuffled(table, nuisance, numpy_rng(material.seed, CONTROL, place))
        true = {
            split: np.stack([_codes(known, v[table.split == split]) for v in (values, shuffled)]) for split in SPLITS
        }
        named = self._named(material, table, len(known), true, place)
        right = np.stack([code == answer for code, answer in zip(named.codes, true["test"][[0, 1, 0]], strict=True)], 1)
        resampling = Resampling(independent(material.table, test))
        quantities = np.concatenate([right, np.ones_like(right)], 1).astype(np.float64)
        value, low, high = resampling.interval(quantities, ratio, shares(3))
        most = int(np.bincount(true["train"][0]).argmax())
        new = int((true["test"][0] < 0).sum())
        lacking = f"{new:,} test rows of {nuisance.name} have values that train lacks and count as wrong"
        n_fit = true["train"].shape[1]
        note = [
            f"{nuisance.name}: trained on {n_fit:,} rows of split train",
            f"chosen among {self.epochs} epochs on val",
            f"intervals over {'people' if open_set(material.table) else 'images'}",
            *([lacking] if new else []),
        ]
        results = []
        for i, which, epoch in ((0, "last", self.epochs), (2, "chosen", named.epoch), (1, "shuffled", self.epochs)):
            bounded = np.isfinite(low[i])
            results.append(
                measured(
                    material,
                    "accuracy",
                    float(value[i]),
                    low=float(low[i]) if bounded else None,
                    high=float(high[i]) if bounded else None,
                    chance=float((true["test"][0] == most).mean()),
                    control=float(value[1]) if which == "last" else None,
                    validation=named.validation.get(which),
                    target=nuisance.name,
                    probe=f"{self.name}/{which}",
                    n=len(test),
                    sources=resampling.sources,
                    n_fit=n_fit,
                    chosen={"epoch": epoch},
                    title=self.title,
                    note="; ".join(note if bounded else [*note, NOT_KNOWN]),
                )
            )
        return results

    def _named(
        self, material: Material, table: FeatureTable, classes: int, true: dict[str, np.ndarray], place: int
    ) -> _Named:
        """Train one network on the values and one on shuffled ones, side by side, so that rows are fetched once.

        Args:
            material: for its layer and seed.
            table: of the rows.
            classes: C.
            true: split → ``(2, N)`` codes of both, -1 where train has no such value.
            place: of the nuisance.

        Raises:
            InvariantNetsError: no feature varies.
        """
        x = {split: table.part(split).features[material.layer] for split in SPLITS}
        seen = _Seen(x["train"], self.standardise)
        if not seen.width:
            raise InvariantNetsError(
                f"layer {material.layer!r}: all {x['train'].shape[1]} features are constant on split 'train', so that "
                "nothing can be named from them"
            )
        seeds = [torch_rng(material.seed, WEIGHTS, place, i).initial_seed() for i in range(2)]
        networks = [_network(seen.width, self.hidden, classes, seed) for seed in seeds]
        optimizers = [
            torch.optim.Adam(network.parameters(), self.lr, weight_decay=WEIGHT_DECAY, fused=True)
            for network in networks
        ]
        slower = [torch.optim.lr_scheduler.StepLR(optimizer, EVERY, SLOWER) for optimizer in optimizers]
        y = torch.from_numpy(true["train"])
        steps = max(1, len(x["train"]) // self.batch_size)
        best, epoch, chosen, rate = -1.0, 0, np.zeros(0, np.int64), 0.0
        for number in range(1, self.epochs + 1):
            order = numpy_rng(material.seed, ORDER, place, number).permutation(len(x["train"]))
            for rows in np.array_split(order, steps):
                batch, some = seen(x["train"][rows]), torch.from_numpy(rows)
                for network, optimizer, answer in zip(networks, optimizers, y, strict=True):
                    optimizer.zero_grad()
                    F.cross_entropy(network(batch), answer[some]).backward()
                    optimizer.step()
            for schedule in slower:
                schedule.step()
            rate = float((seen.named(networks[0], x["val"]) == true["val"][0]).mean())
            if rate > best:
                best, epoch, chosen = rate, number, seen.named(networks[0], x["test"])
        last = [seen.named(network, x["test"]) for network in networks]
        return _Named(np.stack([*last, chosen]), epoch, {"last": rate, "chosen": best})


@dataclass(frozen=True)
class _Named:
    """What was named.

    Attributes:
        codes: ``(3, T)`` for the test rows: at the last epoch, of shuffled values there, and at the epoch of choice.
        epoch: which that is, from 1.
        validation: accuracy on val at the last epoch, and at that.
    """

    codes: np.ndarray
    epoch: int
    validation: dict[str, float]


class _Seen:
    """Features as the networks see them, some rows at a time: the whole is never copied."""

    def __init__(self, train: np.ndarray, standardise: bool) -> None:
        """Means and deviations of train; what never varies there is left out.

        Args:
            train: ``(N, D)``.
            standardise: whether each feature is brought to mean 0 and variance 1 of train.
        """
        # About the first row: the square of a large mean would leave nothing of a small deviation.
        first, total, squares = train[0].astype(np.float64), np.zeros(train.shape[1]), np.zeros(train.shape[1])
        for start in range(0, len(train), BLOCK_ROWS):
            block = train[start : start + BLOCK_ROWS] - first
            total += block.sum(0)
            squares += (block**2).sum(0)
        mean = total / len(train)
        deviation = np.sqrt(np.maximum(squares / len(train) - mean**2, 0))
        self.live = deviation > CONSTANT * deviation.max()
        self.width = int(self.live.sum())
        self.mean = (first + mean)[self.live].astype(train.dtype)
        self.factor = (1 / deviation[self.live]).astype(train.dtype)
        self.standardise = standardise

    def __call__(self, rows: np.ndarray) -> Tensor:
        """``(n, D)`` → ``(n, width)`` float32."""
        x = rows if self.width == rows.shape[1] else rows[:, self.live]
        if self.standardise:
            x = (x - self.mean) * self.factor
        return torch.tensor(x, dtype=torch.float32)

    def named(self, network: nn.Module, x: np.ndarray) -> np.ndarray:
        """``(N,)`` the likeliest code of each row, batch norm as it was learned."""
        network.eval()
        with torch.no_grad():
            blocks = (x[start : start + BLOCK_ROWS] for start in range(0, len(x), BLOCK_ROWS))
            found = np.concatenate([network(self(block)).argmax(1).numpy() for block in blocks])
        network.train()
        return found


def _network(inputs: int, hidden: int, classes: int, seed: int) -> nn.Module:
    """Three layers with weights as torch draws them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            *(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU()),
            *(nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU()),
            nn.Linear(hidden, classes),
        )


def _why_not(table: FeatureTable, nuisance: Nuisance) -> str:
    """Why a nuisance cannot be named, of rows in which it is known; empty if it can."""
    values = {split: table.nuisance[nuisance.name][table.split == split] for split in SPLITS}
    for split in SPLITS:
        if len(values[split]) < 2:
            return f"it is known in {len(values[split])} rows of split {split!r}, and 2 are needed"
    known = np.unique(values["train"])
    if len(known) < 2:
        return f"it has one value only ({known[0]:g}) in split 'train': vary it"
    if len(known) > LEVELS:
        return f"it has {len(known):,} values in split 'train', and {LEVELS} at most can be named; probes read amounts"
    for split in ("val", "test"):
        if not np.isin(values[split], known).any():
            return f"no value that it has in split {split!r} is among the {len(known)} of train"
    return ""


def _codes(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Place of each value among those of train, ``(N,)`` int64; -1 where it is not there."""
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1)


def _shuffled(table: FeatureTable, nuisance: Nuisance, rng: np.random.Generator) -> np.ndarray:
    """``(N,)`` values that features tell nothing of: of each split, shuffled among its rows.

    One that never varies within a class is dealt out among classes, as `shuffled_by_class` says.
    """
    values = table.nuisance[nuisance.name]
    if nuisance.fixed:
        return shuffled_by_class(values, table.label, table.split == "test", rng)
    found = values.copy()
    for split in SPLITS:
        rows = np.flatnonzero(table.split == split)
        found[rows] = values[rng.permutation(rows)]
    return found
