"""Published numbers beside ours, as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invariantnets.results.format import chance, summary
from invariantnets.results.runs import Group
from invariantnets.results.select import IDENTITY, RECOGNITION, Spread, over_runs, select

# What none of the columns of Taigman et al. (2015) has: column → nuisance.
NUISANCES = {"R² of yaw": "yaw", "R² of light": "light_azimuth", "R² of expression": "smile"}


@dataclass(frozen=True)
class Comparison:
    """What a publication measured, and what we measured of the same.

    Attributes:
        title: for a heading.
        header: of the columns.
        rows: each as long as the header.
        note: what must be known to compare fairly.
        file: its name on disk, without suffix.
    """

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str
    file: str

    def to_text(self) -> str:
        """For a terminal, in aligned columns."""
        lines = [self.header, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", self.note, ""])

    def to_markdown(self) -> str:
        """For the docs; a bar within a cell, as of ``|yaw|``, would end it."""
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        lines = [tuple(cell.replace("|", "\\|") for cell in line) for line in lines]
        return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", self.note, ""])


def probed(groups: Sequence[Group]) -> dict[str, str]:
    """Those of `NUISANCES` that were probed in any of the groups."""
    every = [r.here for group in groups for r in group.runs]
    return {name: t for name, t in NUISANCES.items() if any(select(r, "r2", t, "strongest") for r in every)}


def recognition(groups: Sequence[Group], targets: Sequence[str], guessed: bool = False) -> tuple[str, ...]:
    """Cells of a row: the columns of the 2015 paper's tables, then the R² that is left of each nuisance.

    Args:
        groups: whose runs are summarised.
        targets: nuisances.
        guessed: what chance gives in place of what was measured.
    """
    runs = [r.here for group in groups for r in group.runs]
    measured = [(metric, IDENTITY, probe) for _, metric, probe in RECOGNITION]
    measured += [("r2", target, "strongest") for target in targets]
    if guessed:
        return tuple(chance(runs, *what) for what in measured)
    return tuple(summary(over_runs(runs, *what).get(None), what[0]) for what in measured)


def where(group: Group, groups: Sequence[Group]) -> str:
    """What stands beside the paper's place: our data, and the network where several were trained."""
    return f"ours, {group.network}" if len({g.model for g in groups}) > 1 else f"ours on {group.data}"


def highest_rank1(groups: Mapping[str, Group]) -> str | None:
    """The name of the group that finds most people first; None where nobody was looked for."""
    found = {
        name: over_runs([r.here for r in g.runs], "rank1", IDENTITY, "closed_set/cosine").get(None)
        for name, g in groups.items()
    }
    means = {name: rank1.mean for name, rank1 in found.items() if rank1 is not None and rank1.runs}
    return max(means, key=lambda name: means[name]) if means else None


def mean_bounds(found: Spread) -> tuple[float, float] | None:
    """95 % of the mean over seeds, by Student's t; of a single run its own interval, None where it has none."""
    from scipy.special import stdtrit  # here: to import it takes a tenth of a second

    if found.deviation is None:
        return None if found.low is None or found.high is None else (found.low, found.high)
    half = float(stdtrit(found.runs - 1, 0.975)) * found.deviation / math.sqrt(found.runs)
    return found.mean - half, found.mean + half
