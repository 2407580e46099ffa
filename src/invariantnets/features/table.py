"""A table of features: what every probe, protocol and analysis reads, wherever it came from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from invariantnets.division import Division
from invariantnets.errors import InvariantNetsError
from invariantnets.features.assemble import assemble
from invariantnets.features.naming import LABEL, PEOPLE
from invariantnets.nuisance import SPLITS, Kind, Nuisance, check_magnitudes, magnitude

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
# Behind the name of a layer that was released with noise: its features as they were. ``meta["noise"]`` is σ.
BEFORE_NOISE = " before noise"


@dataclass(frozen=True, repr=False)
class FeatureTable:
    """``N`` rows of features with what is known about each.

    Attributes:
        features: layer → ``(N, D)`` float32, or float64 where that would lose something; possibly memory-mapped.
        label: ``(N,)`` int64 class of each row, ``0 .. num_classes - 1``; all 0 where classes are not known.
        split: ``(N,)`` one of ``train``, ``val``, ``test``.
        source: ``(N,)`` int64, the image each row was made from: rows of one source are not
            independent, so that intervals resample sources. ``arange(N)`` if every row is its own.
        nuisance: name → ``(N,)`` float64 (codes for categorical ones), NaN where it is unknown.
        nuisances: what those columns are.
        num_classes: number of classes.
        prediction: ``(N,)`` int64 class chosen by the network's own classifier, if it has one.
        entropy: ``(N,)`` float32 entropy of that classifier's probabilities, in nats.
        answers: binary nuisance → ``(N,)`` what the network itself says of it, above 0 for the second of its values;
            not saved.
        name: ``(N,)`` str, a unique name of each image: what lists of pairs and galleries refer to.
        classes: what the classes are called, ``num_classes`` texts or numbers; empty if they are but numbered.
        row: ``(N,)`` int64 number of each row in the table that was read, from 0: rows are put in another order, and
            some left out. None: they are as they were.
        meta: provenance, plain JSON; ``remarks`` are what was assumed, drawn and left out, in words.
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
    answers: Mapping[str, np.ndarray] = field(default_factory=dict)
    name: np.ndarray | None = None
    classes: tuple[str | int, ...] = ()
    row: np.ndarray | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        parts = ", ".join(f"{int((self.split == split).sum()):,} {split}" for split in SPLITS)
        widths = ", ".join(f"{name} ({x.shape[1]:,})" for name, x in self.features.items())
        about = ", ".join(f"{n.name} ({n.kind})" for n in self.nuisances) or "none"
        classes = f"{self.num_classes:,} classes" if self.labelled else "no classes"
        return f"FeatureTable: {len(self):,} rows ({parts}); features {widths}; {classes}; nuisances {about}"

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
            answers={k: v[selection] for k, v in self.answers.items()},
            name=None if self.name is None else self.name[selection],
            row=None if self.row is None else self.row[selection],
        )

    def part(self, *splits: str) -> FeatureTable:
        """The rows of one split, or of several together, without a copy where they lie together.

        Raises:
            InvariantNetsError: no row is of one of them.
        """
        for split in splits:
            if not (self.split == split).any():
                needed = ", ".join(SPLITS)
                raise InvariantNetsError(f"the feature table has no row with split={split!r}; it needs {needed}")
        where = np.flatnonzero(np.isin(self.split, splits))
        if where[-1] - where[0] + 1 == len(where):
            return self.rows(slice(int(where[0]), int(where[-1]) + 1))
        return self.rows(where)

    def with_magnitudes(self, names: Sequence[str]) -> FeatureTable:
        """The table with ``|yaw|`` behind ``yaw``: a nuisance more for each that is named, see `magnitude`.

        Raises:
            InvariantNetsError: no such nuisance, or one without a magnitude of its own.
        """
        check_magnitudes(names, self.nuisances)
        made = {n.name: magnitude(n, self.nuisance[n.name]) for n in self.nuisances if n.name in names}
        nuisances = [(n, made[n.name][0]) if n.name in made else (n,) for n in self.nuisances]
        values = {nuisance.name: size for nuisance, size in made.values()}
        return replace(self, nuisances=tuple(chain(*nuisances)), nuisance={**self.nuisance, **values})

    @property
    def labelled(self) -> bool:
        """Whether rows are of several classes; else nothing is said of classes."""
        return self.num_classes > 1

    @classmethod
    def from_arrays(
        cls,
        features: np.ndarray | Mapping[str, np.ndarray],
        *,
        label: Sequence[Any] | np.ndarray | None = None,
        split: Sequence[str] | np.ndarray | None = None,
        source: Sequence[Any] | np.ndarray | None = None,
        kinds: Mapping[str, Kind] | None = None,
        units: Mapping[str, str] | None = None,
        division: Division | None = None,
        seed: int = 0,
        **columns: Sequence[Any] | np.ndarray,
    ) -> FeatureTable:
        """A table of what is in memory: ``FeatureTable.from_arrays(x, label=who, yaw=yaw)``.

        Args:
            features: ``(N, D)``, or layer → ``(N, D)``.
            label: ``(N,)`` class or person of each row, numbers or text; None: nothing is said of classes.
            split: ``(N,)`` of train, val and test. None draws one, by source: a fifth is test, a fifth of the rest val.
            source: ``(N,)`` what rows have in common (the photograph, the video), which stays in one split and which
                intervals resample. None: every row stands alone, but for copies.
            kinds: of nuisances: ``{"yaw": "circular", "race": "categorical"}``.
            units: of nuisances: ``{"yaw": "deg"}``.
            division: of a split that is drawn. ``image``: rows of each class in every split (closed set).
                ``identity``: other people in test, whom no probe has seen (open set), as faces should be. None: that
                for a label which is a column of pandas called ``person``, ``identity``, ``who`` or so, else ``image``.
            seed: of the draw.
            **columns: nuisances, numbers (continuous; 0 and 1 binary) or text (categories), NaN or None where unknown;
                and ``prediction``, ``entropy``, ``name``.

        Raises:
            InvariantNetsError: what cannot be used, by its name.
        """
        if label is None and (called := next((name for name in columns if name in LABEL), None)):
            raise InvariantNetsError(
                f"{called}= would be a nuisance. For the class or person of each row say label={called}; else rename it"
            )
        if division is None and getattr(label, "name", None) in PEOPLE:  # a column of pandas
            division = "identity"
        named = features if isinstance(features, Mapping) else {"features": features}
        given = {"label": label, "split": split, "source": source, **columns}
        return cls.from_columns(
            {name: np.asarray(x) for name, x in named.items()},
            {name: np.asarray(values) for name, values in given.items() if values is not None},
            kinds=kinds,
            units=units,
            division=division,
            seed=seed,
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, **mapping: Any) -> FeatureTable:
        """A table of a data frame, its features in numbered columns (``f0``, ``emb_1``, ``0``) or in one of lists.

        Args:
            frame: a row an image.
            **mapping: what its columns are, as of `invariantnets.features.io.load_table`: ``label="person"``.

        Raises:
            InvariantNetsError: what cannot be used, by its name.
        """
        from invariantnets.features.io import table_of_frame  # here: it reads every format, and needs this class

        return table_of_frame(frame, **mapping)

    @classmethod
    def from_columns(
        cls,
        features: Mapping[str, np.ndarray],
        columns: Mapping[str, np.ndarray],
        *,
        owner: str = "table",
        meta: Mapping[str, Any] | None = None,
        kinds: Mapping[str, Kind] | None = None,
        units: Mapping[str, str] | None = None,
        division: Division | None = None,
        seed: int = 0,
    ) -> FeatureTable:
        """Check features and columns, and put them together. What is assumed, drawn or left out is said in the log.

        Args:
            features: layer → ``(N, D)``; float64 stays where float32 would lose what tells rows apart.
            columns: name → ``(N,)``, each optional: ``label``, ``split``, ``source``, ``prediction``, ``entropy`` and
                ``name``; all others are nuisances.
            owner: what to call the table in messages.
            meta: provenance; its ``remarks`` come first.
            kinds: as of `from_arrays`.
            units: as of `from_arrays`.
            division: as of `from_arrays`.
            seed: as of `from_arrays`.

        Raises:
            InvariantNetsError: a column of another length, a class or split with missing values, no matrix of
                features, a value that cannot be a feature, an unknown split, an entropy that is no number, predictions
                of other classes than the labels, or a name that is given twice.
        """
        found = assemble(features, columns, owner, kinds or {}, units or {}, division, seed)
        remarks = [*(meta or {}).get("remarks", ()), *found["meta"]["remarks"]]
        for remark in remarks:
            log.info("%s", remark)
        return cls(**{**found, "meta": {**(meta or {}), **found["meta"], "remarks": remarks}})
