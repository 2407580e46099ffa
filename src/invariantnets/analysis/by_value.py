"""How often the class is named at each value of a nuisance, such as angles that were never trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material, measured
from invariantnets.analysis.people import has_known, open_set
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_table
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.mav import classify, mean_activation_vectors
from invariantnets.probes.suite import chance_of_class
from invariantnets.results.result import Result
from invariantnets.statistics.intervals import NOT_KNOWN
from invariantnets.statistics.resampling import Resampling, ratio, shares

__all__ = ["ByValue"]

MOST = 20  # values


@dataclass(frozen=True)
class ByValue:
    """Accuracy of the class on the test rows of each value, of a closed set.

    By the nearest class mean of train and val, whatever their values (MAV, as the probe), and by the network's own
    classifier where the table has its answers.

    Args:
        nuisance: which; None for every one of at most `MOST` values in test.
        magnitude: take the magnitudes of numbers, so that -45 and 45 are one value.
    """

    nuisance: str | None = None
    magnitude: bool = False
    name: ClassVar[str] = "by_value"
    title: ClassVar[str] = "How often the class is named at each value"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table, layer = material.table, material.layer
        if not table.labelled or not has_known(table) or open_set(table):
            raise InvariantNetsError(
                f"{self.title}: needs classes, and rows of each of them in train and test; people of test who are not "
                "in train are for protocols="
            )
        check_table(table, layer)
        if not table.nuisances or (self.nuisance is not None and self.nuisance not in table.nuisance):
            named = ", ".join(n.name for n in table.nuisances) or "none"
            asked = f"analysis.by_value.nuisance={self.nuisance}: no such" if self.nuisance else "no"
            raise InvariantNetsError(f"{asked} nuisance in the table (it has {named})")
        material.progress(self.title)
        known, test = table.part("train", "val"), table.part("test")
        present, code = np.unique(known.label, return_inverse=True)
        means = mean_activation_vectors(known.features[layer], code, len(present))
        answers = {"mav": present[classify(test.features[layer], means)]}
        if test.prediction is not None:
            answers["softmax"] = test.prediction
        hits = np.stack([answer == test.label for answer in answers.values()], 1).astype(np.float64)
        results: list[Result] = []
        lost: list[str] = []
        for nuisance in table.nuisances:
            if self.nuisance not in (None, nuisance.name):
                continue
            values = self._values(test, nuisance)
            several = np.unique(values[np.isfinite(values)])
            if not 0 < len(several) <= MOST:
                lost.append(
                    f"{nuisance.name!r} has {len(several):,} values in split 'test'; {MOST} at most are told apart"
                )
                continue
            results += self._of(
                material, test, nuisance, values, hits, list(answers), chance_of_class(known), len(known)
            )
        if not results:
            raise InvariantNetsError(f"{self.title}: {'; '.join(lost)}")
        return results

    def _values(self, test: FeatureTable, nuisance: Nuisance) -> np.ndarray:
        values = np.asarray(test.nuisance[nuisance.name], np.float64)
        return np.abs(values) if self.magnitude and not nuisance.categories else values

    def _of(
        self,
        material: Material,
        test: FeatureTable,
        nuisance: Nuisance,
        values: np.ndarray,
        hits: np.ndarray,
        readers: list[str],
        chance: float,
        n_fit: int,
    ) -> Iterator[Result]:
        called = f"|{nuisance.name}|" if self.magnitude and not nuisance.categories else nuisance.name
        unit = nuisance.unit if nuisance.unit in ("", "°") else f" {nuisance.unit}"
        for value in (None, *np.unique(values[np.isfinite(values)])):
            rows = np.isfinite(values) if value is None else values == value
            resampling = Resampling(test.source[rows])
            quantities = np.concatenate([hits[rows], np.ones((int(rows.sum()), len(readers)))], 1)
            accuracy, low, high = resampling.interval(quantities, ratio, shares(len(readers)))
            text = (
                "all"
                if value is None
                else nuisance.categories[int(value)]
                if nuisance.categories
                else f"{value:g}{unit}"
            )
            for i, reader in enumerate(readers):
                known = np.isfinite(low[i])
                yield measured(
                    material,
                    "accuracy",
                    float(accuracy[i]),
                    low=float(low[i]) if known else None,
                    high=float(high[i]) if known else None,
                    chance=chance,
                    target="label",
                    probe=f"{self.name}/{reader}",
                    where={called: text},
                    n=int(rows.sum()),
                    sources=resampling.sources,
                    n_fit=n_fit if reader == "mav" else None,
                    title=self.title,
                    note="" if known else NOT_KNOWN,
                )
