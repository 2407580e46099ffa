"""A table of features: what every probe, protocol and analysis reads, wherever it came from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from invariantnets.division import Division, divide
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import SPLITS, Nuisance, infer_nuisance

log = logging.getLogger(__name__)
# Columns that are no nuisance.
KNOWN = ("label", "split", "source", "prediction", "entropy", "name")


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

    @classmethod
    def from_arrays(
        cls,
        features: np.ndarray | Mapping[str, np.ndarray],
        *,
        label: Sequence[Any] | np.ndarray,
        split: Sequence[str] | np.ndarray | None = None,
        source: Sequence[Any] | np.ndarray | None = None,
        division: Division = "image",
        seed: int = 0,
        **columns: Sequence[Any] | np.ndarray,
    ) -> FeatureTable:
        """A table of what is in memory: ``FeatureTable.from_arrays(x, label=who, yaw=yaw)``.

        Args:
            features: ``(N, D)``, or layer → ``(N, D)``.
            label: ``(N,)`` class or person of each row, numbers or text.
            split: ``(N,)`` of train, val and test. None draws one, by source: a fifth is test, a fifth of the rest val.
            source: ``(N,)`` what rows have in common (the photograph, the video), which stays in one split and which
                intervals resample. None: every row stands alone.
            division: of a split that is drawn. ``image``: rows of each class in every split (closed set).
                ``identity``: other people in test, whom no probe has seen (open set), as faces should be.
            seed: of the draw.
            **columns: nuisances, numbers (continuous) or text (categories); and ``prediction``, ``entropy``, ``name``.

        Raises:
            InvariantNetsError: what cannot be used, by its name.
        """
        named = features if isinstance(features, Mapping) else {"features": features}
        given = {"label": label, **({} if source is None else {"source": source}), **columns}
        known = {name: np.asarray(values) for name, values in given.items()}
        meta: dict[str, Any] = {}
        if split is None:
            rows = len(known["label"])
            _, first, group = np.unique(known.get("source", np.arange(rows)), return_index=True, return_inverse=True)
            split = divide(known["label"][first], division, 0.2, 0.2, seed)[group]
            meta["division"] = f"drawn by {division}: a fifth test, a fifth of the rest val, seed {seed}"
            log.info("no split was given: %s", meta["division"])
        known["split"] = np.asarray(split)
        return cls.from_columns({name: np.asarray(x) for name, x in named.items()}, known, meta=meta)

    @classmethod
    def from_columns(
        cls,
        features: Mapping[str, np.ndarray],
        columns: Mapping[str, np.ndarray],
        *,
        owner: str = "table",
        meta: Mapping[str, Any] | None = None,
    ) -> FeatureTable:
        """Check features and columns, and put them together.

        Args:
            features: layer → ``(N, D)``.
            columns: name → ``(N,)``: ``label`` and ``split``, perhaps ``source``, ``prediction``, ``entropy`` and
                ``name``; all others are nuisances.
            owner: what to call the table in messages.
            meta: provenance.

        Raises:
            InvariantNetsError: a column missing, of another length or with missing values, no matrix of
                features, an unknown split, an entropy that is no number, or a name that is given twice.
        """
        if not features:
            raise InvariantNetsError(f"{owner}: no features: a 2-D array, columns f0, f1, … or a column of lists")
        for name in ("label", "split"):
            if name not in columns:
                raise InvariantNetsError(f"{owner}: has no column {name!r}; it has {', '.join([*columns, *features])}")
        for name, values in columns.items():
            if values.ndim != 1 or pd.isna(values).any():
                raise InvariantNetsError(
                    f"{owner}: column {name!r} has missing values or is no plain column; fill or drop it"
                )
        for name, values in features.items():
            if values.ndim != 2 or values.dtype.kind not in "fiub":
                raise InvariantNetsError(
                    f"{owner}: features {name!r} are {values.dtype} of shape {values.shape}; numbers (N, D) are needed"
                )
        rows = len(columns["label"])
        for name, values in {**columns, **features}.items():
            if len(values) != rows:
                raise InvariantNetsError(f"{owner}: {name!r} has {len(values)} rows, 'label' has {rows}")
        split = columns["split"].astype("U5")
        if unknown := set(columns["split"].astype(str).tolist()) - set(SPLITS):
            raise InvariantNetsError(f"{owner}: split {sorted(unknown)[0]!r} is unknown; use {', '.join(SPLITS)}")
        classes, label = np.unique(columns["label"], return_inverse=True)
        prediction = columns.get("prediction")
        if prediction is not None:
            # A prediction of a class that no row has cannot be right: one number past the last stands for it.
            prediction = np.where(np.isin(prediction, classes), np.searchsorted(classes, prediction), len(classes))
        entropy = columns.get("entropy")
        if entropy is not None and entropy.dtype.kind not in "fiu":
            raise InvariantNetsError(f"{owner}: column 'entropy' holds {entropy.dtype}, not numbers; rename or drop it")
        names = _names(columns["name"], owner) if "name" in columns else None
        order = np.argsort([SPLITS.index(s) for s in split], kind="stable")  # each split together: then it is a view
        nuisances, nuisance = [], {}
        for column in columns:
            if column not in KNOWN:
                kind, values = infer_nuisance(column, columns[column])
                nuisances.append(kind)
                nuisance[column] = values[order]
        source = np.unique(columns["source"], return_inverse=True)[1] if "source" in columns else np.arange(rows)
        together = bool((order == np.arange(rows)).all())
        return cls(
            features={name: _float32(x) if together else _float32(x)[order] for name, x in features.items()},
            label=label[order],
            split=split[order],
            source=source[order],
            nuisance=nuisance,
            nuisances=tuple(nuisances),
            num_classes=len(classes),
            classes=tuple(classes.tolist()),
            prediction=None if prediction is None else prediction[order],
            entropy=None if entropy is None else _float32(entropy)[order],
            name=None if names is None else names[order],
            meta=meta or {},
        )


def _float32(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32)  # no copy of what is float32 already


def _names(values: np.ndarray, owner: str) -> np.ndarray:
    names, counts = np.unique(text := values.astype(str), return_counts=True)
    if counts.max(initial=1) > 1:
        raise InvariantNetsError(
            f"{owner}: column 'name' has {str(names[counts.argmax()])!r} {counts.max()} times; it must name each image "
            "once (call it otherwise if it is a nuisance)"
        )
    return text
