"""A table of features: what every probe, protocol and analysis reads, wherever it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS, Nuisance


@dataclass(frozen=True)
class FeatureTable:
    """``N`` rows of features with what is known about each.

    Attributes:
        features: layer → ``(N, D)`` float32, possibly memory-mapped.
        label: ``(N,)`` int64 class of each row, ``0 .. num_classes - 1``.
        split: ``(N,)`` one of ``train``, ``val``, ``test``.
        source: ``(N,)`` int64, the image each row was made from: rows of one source are not
            independent, so that intervals resample sources. ``arange(N)`` if every row is its own.
        nuisance: name → ``(N,)`` float64 (codes for categorical ones).
        nuisances: what those columns are.
        num_classes: number of classes.
        prediction: ``(N,)`` int64 class chosen by the network's own classifier, if it has one.
        entropy: ``(N,)`` float32 entropy of that classifier's probabilities, in nats.
        name: ``(N,)`` str, a unique name of each image: what lists of pairs and galleries refer to.
        classes: what the classes are called, ``num_classes`` texts or numbers; empty if they are but numbered.
        meta: provenance, plain JSON.
    """

    features: Mapping[str, np.ndarray]
    label: np.ndarray
    split: np.ndarray
    source: np.ndarray
    nuisance: Mapping[str, np.ndarray]
    nuisances: tuple[Nuisance, ...]
    num_classes: int
    prediction: np.ndarray | None = None
    entropy: np.ndarray | None = None
    name: np.ndarray | None = None
    classes: tuple[str | int, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, selection: slice | np.ndarray) -> FeatureTable:
        """A table of some rows: views for a slice, copies for an index or mask."""
        return replace(
            self,
            features={k: v[selection] for k, v in self.features.items()},
            label=self.label[selection],
            split=self.split[selection],
            source=self.source[selection],
            nuisance={k: v[selection] for k, v in self.nuisance.items()},
            prediction=None if self.prediction is None else self.prediction[selection],
            entropy=None if self.entropy is None else self.entropy[selection],
            name=None if self.name is None else self.name[selection],
        )

    def part(self, split: str) -> FeatureTable:
        """The rows of one split, without a copy where they lie together.

        Raises:
            InvariantNetsError: no row is of that split.
        """
        where = np.flatnonzero(self.split == split)
        if not len(where):
            raise InvariantNetsError(f"the feature table has no row with split={split!r}; it needs {', '.join(SPLITS)}")
        if where[-1] - where[0] + 1 == len(where):
            return self.rows(slice(int(where[0]), int(where[-1]) + 1))
        return self.rows(where)
