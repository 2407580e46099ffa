"""What is measured: features that came from anywhere, or a network with what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from invariantnets.analysis import Analysis, Material
from invariantnets.errors import InvariantNetsError
from invariantnets.features.shown import pictures_in
from invariantnets.features.table import BEFORE_NOISE, FeatureTable

if TYPE_CHECKING:
    from invariantnets.inspection import Inspection, Specimen

__all__ = ["Subject", "choose_layers", "looked_into", "shown_of", "subject_of"]


@dataclass(frozen=True)
class Subject:
    """What is probed.

    Attributes:
        table: layer → its table of features. Called once per layer, so that one is held at a time.
        available: all layers.
        embedding: the layer that is meant where none is named, and that figures are drawn of.
        classifier: the layer that the network's own answers come from, if it gives any.
        model, data: names of the two.
        checksums: of the data.
        checkpoint: where the network came from.
        config: of the run that trained it.
        pictures: rows of a layer's table → their images, see `Material`; None where there are none.
        unlisted: asks the network for a layer that is not among ``available``; raises if it has none of that name.
        specimen: the network with its pixels, for inspections; None of a table.
    """

    table: Callable[[str], FeatureTable]
    available: Sequence[str]
    embedding: str
    model: str
    data: str
    checksums: dict[str, str]
    checkpoint: Path | None = None
    classifier: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    pictures: Callable[[np.ndarray], np.ndarray] | None = None
    unlisted: Callable[[str], object] | None = None
    specimen: Callable[[Material], Specimen] | None = None

    @property
    def name(self) -> str:
        """For titles."""
        return f"{self.model} on {self.data}"


def choose_layers(wanted: str | Iterable[str] | None, subject: Subject) -> list[str]:
    """``layers=``: null, ``all``, one name or a list.

    Raises:
        InvariantNetsError: a layer that does not exist.
    """
    if wanted == "all":
        return list(subject.available)
    if wanted is None:
        return [subject.embedding]
    names = [str(name) for name in ([wanted] if isinstance(wanted, str | int) else wanted)]  # "0" of a Sequential
    for name in names:
        if name not in subject.available and subject.unlisted is not None:
            subject.unlisted(name)
        elif name not in subject.available:
            known = ", ".join(subject.available)
            raise InvariantNetsError(f"layers={name}: there is no such layer; choose from {known}, or all")
    return names


def subject_of(table: FeatureTable, name: str = "table", images: str | Path | None = None) -> Subject:
    """Features that came from anywhere, as what is probed.

    Args:
        table: the features.
        name: of the data.
        images: folder of the pictures that its rows are named after, for measurements that show some.

    Raises:
        InvariantNetsError: what `pictures_in` raises.
    """
    layers = [layer for layer in table.features if not layer.endswith(BEFORE_NOISE)]
    return Subject(
        table=lambda layer: table,
        available=layers,
        embedding=layers[-1],
        model="features",
        data=name,
        checksums={name: table.meta.get("checksum", "")},
        pictures=None if images is None else pictures_in(images, table.name),
    )


def looked_into(subject: Subject, inspections: Sequence[Inspection]) -> list[Analysis]:
    """Inspections as analyses of the layer that is shown.

    Raises:
        InvariantNetsError: there is no network to look into.
    """
    if not inspections:
        return []
    from invariantnets.inspection import under  # here: it loads torch, which tables do without

    if subject.specimen is None:
        raise InvariantNetsError(
            f"inspect={[i.name for i in inspections]}: a table has no network in it; give ckpt_path= or backbone="
        )
    return [under(inspection, subject.specimen) for inspection in inspections]


def shown_of(layers: Sequence[str], subject: Subject) -> str:
    """The layer whose figures the report has: the embedding where it is among them."""
    return subject.embedding if subject.embedding in layers else layers[0]
