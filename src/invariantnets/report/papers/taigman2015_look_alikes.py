"""Table 2 of Taigman et al. (2015), recognition after training on chosen people, beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invariantnets.errors import InvariantNetsError
from invariantnets.report.papers.comparison import Comparison, highest_rank1, probed, recognition, where
from invariantnets.results.format import span
from invariantnets.results.runs import Group
from invariantnets.results.select import RECOGNITION
from invariantnets.results.words import NONE, number

# How the people were chosen, people, pictures → width of the features ("+": the network of section 3.4) →
# verification, rank 1, rank 10, DIR at 1 % FAR, in per cent.
PAPER = {
    ("random", "108K", "3.2M"): {
        "256": ("97.35", "69.7", "88.5", "51.3"),
        "512": ("97.62", "68.1", "87.8", "46.5"),
        "1024": ("96.90", "70.2", "90.1", "51.0"),
        "2048": ("96.47", "68.4", "88.1", "47.0"),
    },
    ("random", "250K", "7.5M"): {
        "256": ("96.33", "59.6", "86.0", "38.1"),
        "512": ("97.10", "74.0", "91.7", "54.7"),
        "1024": ("97.67", "74.9", "90.9", "58.7"),
        "2048": ("96.30", "63.9", "81.7", "45.3"),
    },
    ("hyperplanes", "55K", "4.5M"): {
        "1024": ("97.57", "75.9", "91.1", "56.2"),
        "256+": ("97.58", "77.0", "91.7", "57.6"),
        "1024+": ("98.00", "82.1", "93.7", "59.2"),
        "2048+": ("97.92", "77.9", "92.0", "54.5"),
    },
}
BY = ("random", "hyperplanes", "instances")
NOTE = (
    "Ours: mean ± s.d. over seeds (one seed: 95 % interval). R²: strongest honest probe, 0 is chance, less a reader "
    "that does not carry over; light is its azimuth, expression the smile. Chosen at random, by the hyperplanes "
    "nearest to those of random seeds (2015 paper, section 3.3), or by instances: single pictures near the seeds' "
    "pictures. Label noise: share of our pool's training pictures that carry somebody else's name. What differs: ours "
    "are as many pictures and steps in all three, the paper's sets differ in both; its pool is 10 million people of a "
    "social network with 50 photographs each, ours what the configuration says; its networks marked + have twice the "
    "filters in L4 to L6. For instances it has no numbers, only 'substantially worse', of a Siamese network trained "
    "on pairs of them. It verifies by a kernel SVM on χ² distances, learned on LFW; ours by cosine. Numbers on other "
    "data than LFW have galleries and chances of their own: compare the rows of one data set."
)


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Put our ways to choose people beside the paper's.

    Args:
        groups: of a sweep.

    Returns:
        The paper's rows and ours by ``data.by``, then what guessing gives; None without two ways to choose.
    """
    ours = sorted((g for g in groups if _by(g) in BY), key=lambda g: (g.data, g.model, _noise(g)))
    if len({_by(g) for g in ours}) < 2:
        return None
    nuisances = probed(ours)
    rows: list[tuple[str, ...]] = []
    for by in BY:
        for (chosen, people, pictures), widths in PAPER.items():
            for width, values in widths.items() if chosen == by else ():
                cells = (*(f"{v} %" for v in values), *(NONE for _ in nuisances))
                rows.append((by, "paper on LFW", people, pictures, width, NONE, *cells, NONE))
        for group in (g for g in ours if _by(g) == by):
            setting = (_people(group), _pictures(group), _width(group), number(_noise(group), "accuracy", places=0))
            cells = recognition([group], list(nuisances.values()))
            rows.append((by, where(group, ours), *setting, *cells, str(len(group.runs))))
    for data in dict.fromkeys(g.data for g in ours):
        guess = recognition([g for g in ours if g.data == data], list(nuisances.values()), guessed=True)
        rows.append(("chance", f"on {data}", *[NONE] * 4, *guess, NONE))
    names = (name for name, _, _ in RECOGNITION)
    header = ("chosen by", "where", "people", "pictures", "dimension", "label noise", *names, *nuisances, "seeds")
    note = f"{NOTE} {_best(ours)}"
    return Comparison("Beside table 2 of Taigman et al. (2015)", header, rows, note, "bootstrapping")


def _best(ours: Sequence[Group]) -> str:
    """Which choice finds most people first, on each data and with each share of wrong names."""
    said = ["hyperplanes in the paper"]
    for place, noise in dict.fromkeys((where(g, ours), _noise(g)) for g in ours):
        same = {str(_by(g)): g for g in ours if (where(g, ours), _noise(g)) == (place, noise)}
        if (best := highest_rank1(same)) is not None and len(same) > 1:
            said.append(f"{best} for {place} at {number(noise, 'accuracy', places=0)} label noise")
    return f"Rank 1 is highest by {', '.join(said)}."


def _by(group: Group) -> str | None:
    by = group.setting("data", "by")
    return by if isinstance(by, str) else None


def _noise(group: Group) -> float:
    return float(group.setting("data", "label_noise") or 0)


def _width(group: Group) -> str:
    return str(group.setting("model", "backbone", "bottleneck") or NONE)


def _people(group: Group) -> str:
    counts = [r.setting("data", "num_classes") for r in group.runs]
    return span([c for c in counts if isinstance(c, int)])


def _pictures(group: Group) -> str:
    """How many were trained on; unknown where a run's table of them is gone."""
    from invariantnets.data.bootstrap import load_pictures  # here: it loads Lightning, which other reports do without

    counts = []
    for run in group.runs:
        try:
            counts.append(int((load_pictures(Path(str(run.setting("data", "pictures")))).split == "train").sum()))
        except InvariantNetsError:
            continue
    return span(counts)
