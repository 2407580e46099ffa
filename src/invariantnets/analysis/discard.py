"""Errors that are left where low quality is discarded (ISO/IEC 29794-1:2024): of recognition, and of a nuisance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from invariantnets.analysis.analysis import Material
from invariantnets.analysis.discard_mated import Mated
from invariantnets.analysis.discard_readings import read_where_left
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import check_layer
from invariantnets.results.result import Result
from invariantnets.statistics.lengths import norms

__all__ = ["Discard"]

SAME = 1e-6  # of float32 rows of length one, all that differs is rounding


@dataclass(frozen=True)
class Discard:
    """False non-match rate, and R² of the nuisances by a line, of what is left where low quality is discarded.

    Args:
        quality: ``norm``, the length of the features; or a number among the nuisances; higher is better. With a minus
            before it (``-abs_yaw``), lower is.
        fnmr: false non-match rate where nothing is discarded, which sets the threshold.
        limit: share discarded up to which the area is taken.
        per_person: mated comparisons of one, at most, lest a person of 200 images be most of all.
    """

    quality: str = "norm"
    fnmr: float = 0.05
    limit: float = 0.2
    per_person: int = 20
    name: ClassVar[str] = "discard"
    title: ClassVar[str] = "Low quality discarded"

    def __call__(self, material: Material) -> list[Result]:
        """As `Analysis`."""
        for knob, value in (("fnmr", self.fnmr), ("limit", self.limit)):
            if not 0 < value < 1:
                raise InvariantNetsError(f"analysis.discard.{knob}={value}: a share is needed, above 0 and below 1")
        check_layer(material.table, material.layer)
        quality = self._qualities(material)
        missing: list[str] = []
        mated = Mated(self.fnmr, self.limit, self.per_person, self.title)
        recognised, curve = mated.measure(material, quality, missing)
        read, curves = read_where_left(material, quality, self.quality.removeprefix("-"), self.title, missing)
        results = [*recognised, *read]
        if not results:
            raise InvariantNetsError("nothing to discard for: " + "; ".join(missing))
        material.keep(self.name, {**curve, **curves})
        column = self.quality.removeprefix("-")
        called = "length of the features" if column == "norm" else column
        called += ", lower is better" if self.quality.startswith("-") else ", higher is better"
        unknown = np.count_nonzero((material.table.split == "test") & np.isnan(quality))
        missing += [f"{unknown} test rows of unknown quality are left out"] if unknown else []
        said = "; ".join([f"quality: {called}", *missing])
        return [replace(r, note=f"{said}; {r.note}", chosen={"quality": self.quality}) for r in results]

    def _qualities(self, material: Material) -> np.ndarray:
        """``(N,)`` of every row of the table, higher is better, NaN where it is not known."""
        table, column = material.table, self.quality.removeprefix("-")
        numbers = [n.name for n in table.nuisances if n.kind == "continuous"]
        if column == "norm":
            quality = norms(table.features[material.layer])
        elif column in numbers:
            quality = np.asarray(table.nuisance[column], np.float64)
        else:
            raise InvariantNetsError(
                f"analysis.discard.quality={self.quality}: no number of that name among the nuisances; choose from "
                f"norm (the length of the features){''.join(f', {name}' for name in numbers)}"
            )
        known = quality[(table.split == "test") & np.isfinite(quality)]
        if len(known) < 2:
            raise InvariantNetsError(
                f"analysis.discard.quality={self.quality}: it is known in {len(known)} test rows, and two are needed"
            )
        if np.ptp(known) <= SAME * np.abs(known).max():
            hint = ": give quality=<a column of the table>" if column == "norm" else ""
            raise InvariantNetsError(
                f"analysis.discard.quality={self.quality}: all test rows have the same ({known[0]:.6g}), so that none "
                f"is discarded before others{hint}"
            )
        return -quality if self.quality.startswith("-") else quality
