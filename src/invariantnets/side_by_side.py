"""Several tables or networks in one report, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import Evaluation, Reported, Subject, evaluate, readers_of, subject_of
from invariantnets.features.table import FeatureTable
from invariantnets.probes import DEFAULT, Probe
from invariantnets.report import render_sweep

__all__ = ["SideBySide", "compare"]


@dataclass(frozen=True, repr=False)
class SideBySide(Reported):
    """What was measured of each. In a notebook it shows itself as one report, printed as the headline of each.

    Attributes:
        evaluations: name → what was measured.
    """

    evaluations: Mapping[str, Evaluation]

    def __repr__(self) -> str:
        return "\n\n".join(f"{name}\n{found!r}" for name, found in self.evaluations.items())

    def to_frame(self) -> pd.DataFrame:
        """A row a number, its columns the fields of `Result` after ``name``."""
        frames = []
        for name, found in self.evaluations.items():
            frame = found.to_frame()
            frame.insert(0, "name", name)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def save(self, folder: str | Path) -> Path:
        """Write a folder for each, and ``report.html`` over all, whose path is returned.

        Raises:
            InvariantNetsError: the folder cannot be written to.
        """
        folder = Path(folder)
        for number, found in enumerate(self.evaluations.values()):
            found.save(folder / str(number))
        return render_sweep(folder)


def compare(
    subjects: Mapping[str, FeatureTable | Subject],
    probes: Sequence[Probe | str] = DEFAULT,
    *,
    data: str = "the same data",
    **options: Any,
) -> SideBySide:
    """Measure several tables or networks in the same way, and set them side by side.

    Args:
        subjects: name → a table of features, or what `invariantnets.subjects` makes of a network.
        probes: as of `run_suite`.
        data: what to call what all of them looked at.
        **options: as of `run_suite`.

    Raises:
        InvariantNetsError: fewer than two, an unknown probe, or a table that cannot be used; the message says which.
    """
    if len(subjects) < 2:
        raise InvariantNetsError(f"compare({list(subjects)}): give two tables or more; run_suite measures one")
    readers, found = readers_of(probes), {}
    for name, given in subjects.items():
        subject = subject_of(given) if isinstance(given, FeatureTable) else given
        try:
            found[name] = evaluate(replace(subject, model=name, data=data), readers, **options)
        except InvariantNetsError as error:
            raise InvariantNetsError(f"{name}: {error}") from error
    return SideBySide(found)
