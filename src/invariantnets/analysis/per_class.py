"""How far a nuisance is read within each class, by name: which digit, or which person, leaks most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material
from invariantnets.analysis.class_results import ALL, NAME, STREAM, ClassByClass
from invariantnets.analysis.class_scores import FEW, enough
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes.suite import known_together, probable
from invariantnets.probes.task import prepare, refuse_collapsed, too_few
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

__all__ = ["PerClass"]


@dataclass(frozen=True)
class PerClass:
    """One line for all classes, and how well it tells the nuisance among the images of each.

    Beside it, where classes of test were known (closed set), a line of each class of its own, as far as there is room
    for as many.

    Args:
        nuisance: which; None for every one that varies within classes.
        least: images of the test split that a class needs; rows of one image count once.
        draws: in which images belong to any class, for how far classes lie apart by chance.
    """

    nuisance: str | None = None
    least: int = 20
    draws: int = 999
    name: ClassVar[str] = NAME
    title: ClassVar[str] = ALL

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        table = material.table
        if self.least < 2 or self.draws < 1:
            raise InvariantNetsError(
                f"analysis.per_class: least={self.least} is 2 or more, draws={self.draws} 1 or more"
            )
        if not table.labelled:
            raise InvariantNetsError(f"{self.title}: needs to know the class of each image: add a column 'label'")
        wanted = [n for n in table.nuisances if self.nuisance in (None, n.name)]
        if not wanted:
            named = ", ".join(n.name for n in table.nuisances) or "none"
            asked = f"analysis.per_class.nuisance={self.nuisance}: no such" if self.nuisance else "no"
            raise InvariantNetsError(f"{asked} nuisance in the table (it has {named})")
        closed = probable(table, material.layer)
        results: list[Result] = []
        cannot = unprobable(table) | {n.name: "it never varies within a class" for n in wanted if n.fixed}
        place = {n.name: i for i, n in enumerate(wanted)}
        for part, _ in known_together(replace(table, nuisances=tuple(wanted)), tuple(cannot)):
            if part.nuisances:
                results += self._of(material, part, closed, place, cannot)
        lost = [f"{n.name!r} is not told by class: {cannot[n.name]}" for n in wanted if n.name in cannot]
        if not results:
            raise InvariantNetsError(f"{self.title}: {lost[0]}" + f" (and {len(lost) - 1} more)" * (len(lost) > 1))
        return [replace(results[0], note="; ".join([results[0].note, *lost])), *results[1:]]

    def _of(
        self, material: Material, part: FeatureTable, closed: bool, place: dict[str, int], cannot: dict[str, str]
    ) -> list[Result]:
        """All nuisances that are known in the same rows, by one pass over these; why not goes into ``cannot``."""
        if why := too_few(part, closed):
            cannot |= {n.name: f"where it is known, {why}" for n in part.nuisances}
            return []
        test = part.part("test")
        able: dict[Nuisance, tuple[np.ndarray, np.ndarray]] = {}
        for nuisance in part.nuisances:
            true = nuisance.encode(test.nuisance[nuisance.name])
            counted, images = enough(nuisance, true, test.label, test.source)
            classes = np.flatnonzero(images >= self.least)
            if len(classes):
                able[nuisance] = counted & np.isin(test.label, classes), classes
            else:
                cannot[nuisance.name] = self._nobody(nuisance, int(images.max(initial=0)))
        if not able:
            return []
        material.progress(f"{self.title}: {', '.join(n.name for n in able)}")
        rngs = [numpy_rng(material.seed, STREAM, place[n.name]) for n in able]
        task = prepare(_with_shuffled(part, list(able), rngs), material.layer, material.seed, closed)
        refuse_collapsed(task, material.layer)
        results: list[Result] = []
        for i, (nuisance, (rows, classes)) in enumerate(able.items()):
            real, twin = task.every[2 * i : 2 * i + 2]
            of = place[nuisance.name], self.least, self.draws
            results += ClassByClass(material, task, real, twin, rows, classes, *of).results()
        return results

    def _nobody(self, nuisance: Nuisance, most: int) -> str:
        of = f", {FEW} or more of each of two categories," if nuisance.categories else ""
        give = f" or analysis.per_class.least={most}" if most > 1 else ""
        return (
            f"no class has {self.least} images{of} in split 'test' among which it varies; the most is {most}: give "
            f"more images{give}"
        )


def _with_shuffled(
    table: FeatureTable, nuisances: Sequence[Nuisance], rngs: Sequence[np.random.Generator]
) -> FeatureTable:
    """A table of nuisances, each followed by the same shuffled within each class, in test and else by itself."""
    cell = 2 * table.label + (table.split == "test")
    order, columns = np.argsort(cell, kind="stable"), dict[str, np.ndarray]()
    every: list[Nuisance] = []
    for nuisance, rng in zip(nuisances, rngs, strict=True):
        values = table.nuisance[nuisance.name]
        shuffled = np.empty_like(values)
        shuffled[order] = values[np.lexsort((rng.random(len(cell)), cell))]
        twin = replace(nuisance, name=f"{nuisance.name}, shuffled within the class")
        every += [nuisance, twin]
        columns |= {nuisance.name: values, twin.name: shuffled}
    return replace(table, nuisances=tuple(every), nuisance=columns)
