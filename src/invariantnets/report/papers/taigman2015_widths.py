"""Table 1 of Taigman et al. (2015), recognition against the width of the bottleneck, beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from invariantnets.report.papers.comparison import Comparison, highest_rank1, probed, recognition, where
from invariantnets.results.runs import Group
from invariantnets.results.select import RECOGNITION
from invariantnets.results.words import NONE

# Width → verification, rank 1, rank 10, DIR at 1 % FAR, in per cent with the decimals that the paper gives.
PAPER = {
    4096: ("97.00", "60.9", "78.7", "41.9"),
    1024: ("96.72", "64.9", "83.9", "44.7"),
    512: ("96.78", "67.4", "85.2", "46.1"),
    256: ("97.17", "72.3", "90.4", "46.3"),
    128: ("96.42", "69.1", "88.8", "44.1"),
    64: ("96.10", "66.5", "87.7", "36.7"),
    32: ("94.50", "39.6", "70.8", "12.2"),
    16: ("92.75", "23.2", "52.9", "5.37"),
    8: ("89.42", "7.00", "24.7", "0.33"),
}
NOTE = (
    "Ours: mean ± s.d. over seeds (one seed: 95 % interval). R²: strongest honest probe, 0 is chance, less a reader "
    "that does not carry over; light is its azimuth, expression the smile. What differs: the paper's network sees "
    "152×152 pixels, aligned in 3D, and learned from 4 million photographs of 4,030 people; ours is as it was "
    "trained, see its configuration. The paper verifies by a kernel SVM on χ² distances, learned on LFW; ours by "
    "cosine, of which the threshold alone is learned. The paper's closed set is 3,143 probes in a gallery of 4,249, "
    "that of the LFW lists here 7,484 in 5,748; its open set is drawn from LFW anew here, with its sizes. Numbers on "
    "other data than LFW have galleries and chances of their own: compare how they change with the width, not how "
    "high they are."
)


def widths(groups: Sequence[Group]) -> dict[str, dict[str, int]]:
    """The widths of F7, of every network of which the sweep holds two or more.

    Args:
        groups: of a sweep.

    Returns:
        Network and data (``deepface_mini on lfw``) → group → ``model.backbone.bottleneck``. A network that
        has one width in more than one setting is left out: its groups differ in something else, too.
    """
    found: dict[str, dict[str, int]] = {}
    for group in groups:
        if (width := _width(group)) is not None:
            found.setdefault(group.network, {})[group.name] = width
    return {network: of for network, of in found.items() if 1 < len(of) == len(set(of.values()))}


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Put our bottleneck sweep beside the paper's.

    Args:
        groups: of a sweep.

    Returns:
        A row for each width and data set, the paper's first; None without two widths of a network (`widths`).
    """
    swept = widths(groups)
    if not swept:
        return None
    ours = [(swept[g.network][g.name], g) for g in groups if g.name in swept.get(g.network, {})]
    measured = [g for _, g in ours]
    nuisances = probed(measured)
    rows: list[tuple[str, ...]] = []
    for width in sorted({*PAPER, *(width for width, _ in ours)}, reverse=True):
        if width in PAPER:
            cells = tuple(f"{value} %" for value in PAPER[width])
            rows.append((str(width), "paper on LFW", *cells, *(NONE for _ in nuisances), NONE))
        for group in (g for w, g in ours if w == width):
            cells = recognition([group], list(nuisances.values()))
            rows.append((str(width), where(group, measured), *cells, str(len(group.runs))))
    header = ("dimension", "where", *(name for name, _, _ in RECOGNITION), *nuisances, "seeds")
    return Comparison("Beside table 1 of Taigman et al. (2015)", header, rows, f"{NOTE} {_best(ours)}", "bottleneck")


def _best(ours: Sequence[tuple[int, Group]]) -> str:
    """At which width each network finds most people first."""
    said = ["256 in the paper"]
    for network in dict.fromkeys(group.network for _, group in ours):
        best = highest_rank1({str(width): group for width, group in ours if group.network == network})
        said += [f"{best} for {network}"] if best else []
    return f"Rank 1 is highest at {', '.join(said)}."


def _width(group: Group) -> int | None:
    width = group.setting("model", "backbone", "bottleneck")
    return width if isinstance(width, int) else None
