"""Results as the groups of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from invariantnets.results.result import Result
from invariantnets.results.runs import Group, Run


def grouped(found: Mapping[str, Sequence[list[Result]]], data: Mapping[str, str] | str = "digits") -> list[Group]:
    """Name → results of each seed; what they were looked at on, of all or of each."""
    return [
        Group(
            name,
            name,
            data if isinstance(data, str) else data[name],
            [Run(Path(name), results, {"seed": seed}) for seed, results in enumerate(runs)],
        )
        for name, runs in found.items()
    ]
