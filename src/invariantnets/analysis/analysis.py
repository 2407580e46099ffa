"""The door that every measurement which is asked for goes through: what it is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from invariantnets.features.table import FeatureTable
from invariantnets.results.arrays import Arrays
from invariantnets.results.result import Result

__all__ = ["Analysis", "Material", "measured"]


@dataclass(frozen=True)
class Material:
    """What is measured.

    Attributes:
        table: features of one layer, or of more.
        layer: which of them.
        seed: of every random step.
        pictures: rows of the table → their images, ``(n, H, W)`` or ``(n, H, W, 3)`` uint8; None where there are none.
        progress: is told each step before it starts.
        keep: is given, by a name, what figures need beside the results: coordinates, maps, pictures.
    """

    table: FeatureTable
    layer: str
    seed: int = 0
    pictures: Callable[[np.ndarray], np.ndarray] | None = None
    progress: Callable[[str], None] = lambda step: None
    keep: Callable[[str, Arrays], object] = field(default=lambda name, arrays: None)


class Analysis(Protocol):
    """A measurement of a layer that is made where it is asked for: ``+analysis=bins``."""

    @property
    def name(self) -> str:
        """Of its results: their ``probe`` is it, or begins with it and a slash."""

    @property
    def title(self) -> str:
        """How it is called while it is made; the tables of reports have the ``title`` of its results."""

    def __call__(self, material: Material) -> list[Result]:
        """All that it measures, made by `measured`.

        Raises:
            InvariantNetsError: the table cannot be measured so; the message names the thing and the fix. All else that
                was asked for goes on.
        """
        ...


def measured(material: Material, metric: str, value: float, **fields: Any) -> Result:
    """A result of an analysis. In reports those of one ``probe`` are a table: a row for each ``target`` and ``where``.

    Args:
        material: what is measured.
        metric: a column of the table.
        value: in the unit of the metric.
        **fields: of `Result`: ``target``, ``probe`` and ``n`` at least; ``title`` is that of the table, ``note`` what
            stands below it.
    """
    base = {"split": "test", "seed": material.seed, "about": "analysis", "layer": material.layer, "sources": 0}
    return Result(metric, float(value), **{**base, **fields})
