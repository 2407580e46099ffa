"""What is left where units are deleted at random (Parde et al. 2021): who it is, and the nuisances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.pair_area import mean_area
from invariantnets.analysis.sub_ridge import SubRidge
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer, unprobable
from invariantnets.nuisance import SPLITS
from invariantnets.probes.metrics import placements
from invariantnets.probes.suite import known_together, probable
from invariantnets.probes.task import Task, prepare, refuse_collapsed, too_few
from invariantnets.protocols.inputs import one_of_each_source
from invariantnets.protocols.verification import make_pairs
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import Number
from invariantnets.statistics.lengths import unit
from invariantnets.statistics.resampling import Resampling

__all__ = ["UnitDeletion", "draw_units"]

BLOCK_PAIRS = 1024
PAIRS = 3000  # of one person, and as many of two


@dataclass(frozen=True)
class UnitDeletion:
    """Identity by cosine and nuisances by ridge regression, on random subsets of the units, each half of the last.

    Args:
        draws: random orders of the units, from each of which the first 1, 2, 4 … are left in turn.
        least: units that are left at last.
    """

    draws: int = 20
    least: int = 1
    name: ClassVar[str] = "unit_deletion"
    title: ClassVar[str] = "What is left where units are deleted"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table, layer = material.table, material.layer
        if self.draws < 2 or self.least < 1:
            raise InvariantNetsError(
                f"analysis.unit_deletion: draws={self.draws} is 2 or more, for a standard deviation over them; "
                f"least={self.least} is 1 or more"
            )
        check_layer(table, layer)
        left = draw_units(table.features[layer].shape[1], self.draws, self.least, numpy_rng(material.seed, 70))
        results, missing = self._identity(material, left)
        if not set(SPLITS) <= set(table.split):
            missing += [
                "nuisances are not read: there are no rows of split train, val and test to fit a line and test it"
            ]
        else:
            found, why = self._nuisances(material, left)
            results, missing = results + found, missing + why
        if not results:
            raise InvariantNetsError(f"{self.title}: nothing can be measured: {'; '.join(missing)}")
        return [replace(result, note="; ".join([result.note, *missing])) for result in results]

    def _identity(self, material: Material, left: Sequence[np.ndarray]) -> tuple[list[Result], list[str]]:
        material.progress(f"{self.title}: identity")
        table = material.table
        if not table.labelled:
            return [], ["identity is not measured: nobody says who is on the images"]
        test = one_of_each_source(table, numpy_rng(material.seed, 71))
        label = np.unique(test.label, return_inverse=True)[1]
        if (np.bincount(label) > 1).sum() < 2:
            return [], ["identity is not measured: fewer than two people have two images in split 'test'"]
        pairs = make_pairs(label, 1, PAIRS, numpy_rng(material.seed, 72))
        x = unit(test.features[material.layer])
        trained = np.isin(np.unique(test.label), table.label[table.split == "train"]).any()
        note = f"identity: area under the ROC of {len(pairs):,} pairs of test images by the cosine of what is left"
        note += "; people of test are among those of train" if trained else ""
        results = []
        for masks in left:
            scores = np.empty((len(pairs), masks.shape[1]))
            for start in range(0, len(pairs), BLOCK_PAIRS):
                rows = slice(start, start + BLOCK_PAIRS)
                a, b = (x[of[rows]].astype(np.float64) for of in (pairs.left, pairs.right))
                lengths = np.sqrt((a**2 @ masks) * (b**2 @ masks))
                scores[rows] = (a * b) @ masks / np.where(lengths > 0, lengths, 1)
            # Of one unit, cosines are 1 and -1 but for rounding, which would part what is equal.
            areas, low, high, people = mean_area(scores.round(12), pairs, label)
            fields = {"n": len(pairs), "sources": people, "chance": 0.5, "note": note}
            results += self._both(material, "auc", "identity", masks, areas, low, high, **fields)
        return results, []

    def _nuisances(self, material: Material, left: Sequence[np.ndarray]) -> tuple[list[Result], list[str]]:
        table, layer = material.table, material.layer
        try:
            closed = probable(table, layer)
        except InvariantNetsError as error:
            return [], [f"nuisances are not read: {error}"]
        cannot, results = unprobable(table), []
        for part, _ in known_together(table, tuple(cannot)):
            if not part.nuisances:
                continue
            if why := too_few(part, closed):
                cannot |= {n.name: f"where it is known, {why}" for n in part.nuisances}
                continue
            names = ", ".join(n.name for n in part.nuisances)
            task = prepare(part, layer, material.seed, closed)
            refuse_collapsed(task, layer)
            ridge = SubRidge.of(task)
            for masks in left:
                material.progress(f"{self.title}: {names} from {int(masks[:, 0].sum())}")
                results += self._read(material, task, ridge, masks)
        return results, [f"{name} is not read: {why}" for name, why in cannot.items()]

    def _read(self, material: Material, task: Task, ridge: SubRidge, masks: np.ndarray) -> list[Result]:
        test = task.parts["test"]
        predicted = np.empty((masks.shape[1], len(test), ridge.groups[-1].stop))
        for mask, into in zip(masks.T, predicted, strict=True):
            units = np.flatnonzero(mask)
            into[:] = ridge.fit(units).predict(task.x["test"][:, units])
        people = Resampling(test.source if task.closed else test.label)
        fields: dict[str, Any] = {"n": len(test), "sources": people.sources, "n_fit": len(task.parts["known"])}
        fields["note"] = (
            "nuisances: ridge regression on what is left, its penalty chosen out of fold for each draw; AUC where "
            "there are two categories, else R²; means over draws, intervals over "
            + ("images" if task.closed else "people")
            + "; s.d.: over draws"
        )
        results = []
        for target, group in zip(task.every, ridge.groups, strict=True):
            values, true = predicted[:, :, group], task.y["test"][:, target.true]
            if target.nuisance.kind == "binary":
                metric, chance = "auc", 0.5
                each, low, high = _areas(values[:, :, 1].T, true[:, 1] == 1, people)
            else:
                metric, chance = "r2", 0.0
                error, deviation = ((values - true) ** 2).sum(2), ((true - task.mean(target.true)) ** 2).sum(1)
                each, low, high = _r2(error.T, deviation, people)
            name = target.nuisance.name
            results += self._both(material, metric, name, masks, each, low, high, chance=chance, **fields)
        return results

    def _both(
        self,
        material: Material,
        metric: str,
        target: str,
        masks: np.ndarray,
        each: np.ndarray,
        low: float,
        high: float,
        **fields: Any,
    ) -> list[Result]:
        """The mean over draws, and how far they lie apart."""
        make = partial(measured, material, target=target, title=self.title, where={"units": int(masks[:, 0].sum())})
        ends = {"low": low, "high": high} if np.isfinite(low) else {}
        results = [make(metric, each.mean(), probe=self.name, **ends, **fields)]
        if len(each) > 1:
            fields["chance"] = None
            results.append(make("sd_over_draws", each.std(ddof=1), probe=self.name, **fields))
        return results


def draw_units(width: int, draws: int, least: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Which units are left: all, half of them, a quarter and so on, those of one size among those of the last.

    Args:
        width: D, all units.
        draws: R, random orders.
        least: units that are left at last, or all if there are fewer.
        rng: draws.

    Returns:
        ``(D, R)`` float 1 and 0 of each size; ``(D, 1)`` of all units, of which there is one draw only.
    """
    place = rng.permuted(np.tile(np.arange(width)[:, None], (1, draws)), axis=0)
    found, size = [np.ones((width, 1))], width // 2
    while size >= max(least, 1):
        found.append((place < size).astype(np.float64))
        size //= 2
    return found


def _r2(error: np.ndarray, deviation: np.ndarray, people: Resampling) -> tuple[np.ndarray, float, float]:
    """R² of each draw ``(R,)`` from squared errors ``(N, R)``, and the interval of their mean."""
    quantities = np.stack([error.mean(1), deviation, np.ones(len(error))], 1)
    numbers = [Number("below_one", (2,))]
    _, low, high = people.interval(quantities, lambda sums: 1 - sums[:, :1] / sums[:, 1:2], numbers)
    return 1 - error.sum(0) / deviation.sum(), float(low[0]), float(high[0])


def _areas(score: np.ndarray, positive: np.ndarray, people: Resampling) -> tuple[np.ndarray, float, float]:
    """AUC of each draw ``(R,)`` from scores ``(N, R)``, and the interval of their mean, as in `probes.metrics`."""
    placed = np.stack([placements(column, positive) for column in score.T], 1)
    each, mean = placed[positive].mean(0), placed.mean(1)
    quantities = np.stack([mean * positive, mean * ~positive, positive, ~positive], 1).astype(np.float64)

    def statistic(sums: np.ndarray) -> np.ndarray:
        found = sums[:, 0] / sums[:, 2] + sums[:, 1] / sums[:, 3] - each.mean()
        return np.clip(found, 0, 1)[:, None]

    _, low, high = people.interval(quantities, statistic, [Number("share", (2, 3))])
    return each, float(low[0]), float(high[0])
