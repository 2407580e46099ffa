"""Tables 2 and 4 of Zhang et al. (2015), people by parts, beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from invariantnets.report.papers.comparison import Comparison
from invariantnets.results.format import chance, span, summary
from invariantnets.results.runs import Group
from invariantnets.results.select import IDENTITY, over_runs, select
from invariantnets.results.words import NONE

# What is summed → the probe of `invariantnets.protocols.run_piper`, and the paper's accuracy in per cent.
PAPER = {
    "global alone": ("global", "67.60"),
    "face alone (the paper's DeepFace)": ("part face", "46.66"),
    "poselets": ("poselets", "72.18"),
    "global and face": ("global and face", "79.95"),
    "global and poselets": ("global and poselets", "78.79"),
    "face and poselets": ("parts", "78.08"),
    "all, not filled": ("unfilled", "75.35"),
    "all, filled": ("filled", "83.05"),
}
WAYS = ("image", "album")
NOTE = (
    "Accuracy; ours: mean ± s.d. over seeds (one seed: 95 % interval over people). Halves by image, as in the paper: "
    "both halves of a person's pictures show the same days and clothes. By album they do not. A part that is silent "
    "guesses, as in the paper. What differs: the paper has photographs of 581 people, 6,442 of them to learn from, 107 "
    "poselets, and networks trained on ImageNet first; its chance is 0.17 %."
)


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Put our sums of parts beside the paper's.

    Args:
        groups: of a sweep.

    Returns:
        A row for each sum, the paper's order; None where no run recognised people by a face and other parts.
    """
    runs = [run.here for group in groups for run in group.runs]
    ours = [r for r in runs if select(r, "accuracy", IDENTITY, "piper/image/part face")]
    if not ours:
        return None
    rows = []
    for name, (probe, paper) in PAPER.items():
        cells = [
            summary(over_runs(ours, "accuracy", IDENTITY, f"piper/{way}/{probe}").get(None), "accuracy") for way in WAYS
        ]
        if set(cells) != {NONE}:
            rows.append((name, f"{paper} %", *cells))
    guess = [chance(ours, "accuracy", IDENTITY, f"piper/{way}/filled") for way in WAYS]
    rows.append(("chance", "0.17 %", *guess))
    whole = [r for results in ours for r in select(results, "accuracy", IDENTITY, "piper/image/filled")]
    pictures, people = span([r.n for r in whole]), span([r.sources for r in whole])
    sizes = f"Ours: n = {pictures} pictures of {people} people, seeds: {len(ours)}."
    header = ("what is summed", "Zhang et al.", "ours, halves by image", "ours, halves by album")
    return Comparison("Beside tables 2 and 4 of Zhang et al. (2015)", header, rows, f"{NOTE} {sizes}", "zhang2015")
