"""How much of every nuisance can be read: one row each, best first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from invariantnets.figures.attributes import areas
from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, colour, marker, new_axes, no_less, whiskers
from invariantnets.results.select import failed, not_probed, nuisances, select

__all__ = ["draw"]

_CAPTION = (
    "How much of each nuisance can be read from the features, by the strongest honest probe: of the probes that are "
    "not told the answer, the best out of fold on the rows of train and val. R² is 0 for guessing and 1 for a perfect "
    "reading. Right of the dashed line: it can be read. A whisker that crosses the line, a point left of it (a reader "
    "that does not carry over to the test rows; below −0.5 it stands at −0.5), and a probe that failed, say nothing "
    "about invariance. Whiskers: {whiskers}."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where two nuisances or more were probed, but not where `attributes` shows all of them.

    One whose every probe failed has a row and no point.
    """
    rows = [r for target in nuisances(scene.run) for r in select(scene.run, "r2", target, "strongest")]
    if len(rows) < 2 or len(areas(scene)) == len(rows):
        return
    lost, sound = ([r for r in rows if failed(r) is of] for of in (True, False))
    rows = lost + sorted(sound, key=lambda r: r.value)  # the axis counts from below
    figure, axes = new_axes(0.9 + 0.2 * len(rows))
    for place, r in enumerate(lost):
        why = "not probed" if not_probed(r) else "every probe failed"
        axes.text(0, place, f" {why}", va="center", color="#555555", fontsize=8)
    for place, r in enumerate(rows[len(lost) :], len(lost)):
        shown = no_less(r.value, r.low, r.high)
        bar = np.array([whiskers(*shown)]).T
        axes.errorbar(shown[0], place, xerr=bar, fmt=marker(0), color=colour(0), markersize=4, capsize=2)
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [r.target for r in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(right=1.02)
    axes.set_xlabel("R² (strongest honest probe; chance 0)")
    yield Drawn("readable.svg", figure, "What can be read", _CAPTION.format(whiskers=scene.whiskers), "leaks")
