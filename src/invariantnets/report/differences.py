"""What each group of a sweep has more or less than the first, of the same images or people."""

from __future__ import annotations

from collections.abc import Sequence

from invariantnets.report.papers.comparison import Comparison
from invariantnets.results.format import span
from invariantnets.results.paired import HOW, Less, less
from invariantnets.results.runs import Group
from invariantnets.results.select import IDENTITY, LABEL, select, with_figures

__all__ = ["compare"]

_ASKED = {
    "EER": ("eer", IDENTITY, "verification/cosine"),
    "rank 1": ("rank1", IDENTITY, "closed_set/cosine"),
    "DIR at 1 % FAR": ("dir_far1", IDENTITY, "open_set/cosine"),
    "softmax": ("accuracy", LABEL, "softmax"),
    "MAV": ("accuracy", LABEL, "mav"),
}
_FIRST = ("softmax", "none")  # of methods and releases, what the others are compared with
NOTE = (
    "Recognition in points of per cent, R² of the strongest honest reader of each. Each group less the one that is "
    "named, within each seed; mean ± s.d. over seeds. "
)


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Lay out the differences from the group without a method or release, or the first.

    Args:
        groups: of a sweep.

    Returns:
        A row for each other group that was looked at on the same data; None where nothing was measured on common
        draws.
    """
    every = {g.name: [r.here for r in g.runs] for g in groups}
    columns = dict(_ASKED)
    columns |= {f"R² of {target}": ("r2", target, "strongest") for target in with_figures(every.values())}
    columns = {
        name: what for name, what in columns.items() if any(select(r, *what) for runs in every.values() for r in runs)
    }
    rows, paired = [], False
    for data in dict.fromkeys(g.data for g in groups):
        here = [g for g in groups if g.data == data]
        base = next((g for g in here if g.method in _FIRST), here[0])
        for group in here:
            found: list[Less] = [less(group, base, what) for what in columns.values()]
            if group is base or not any(of.values for of in found):
                continue
            cells = [
                of.text(what[0], 3 if what[0] == "r2" else 2) for of, what in zip(found, columns.values(), strict=True)
            ]
            seeds, sources = ([getattr(of, k) for of in found if of.values] for k in ("seeds", "sources"))
            rows.append((f"{group.name} less {base.name}", *cells, span([n for n in sources if n]), span(seeds)))
            paired = paired or any(of.variance is not None for of in found)
    if not paired:
        return None
    header = ("", *columns, "images or people", "seeds")
    return Comparison("What groups differ by", header, rows, NOTE + HOW, "differences")
