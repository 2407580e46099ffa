"""What is read, and what can be read at most, against what is released: the bits of a code, or the size of noise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import WIDTH, colour, entry, legend_above, marker, whiskers
from invariantnets.results.format import fitted
from invariantnets.results.select import Runs, Spread, over_runs, select, strongest_of

__all__ = ["draw"]

_CAPTION = (
    "Above: {accuracy}. Below, of the same releases, the {target} from both sides: what the strongest honest probe "
    "reads (full symbols{fitted}), and what no reader can exceed on these test rows, however trained (hollow, dashed). "
    "The truth lies in the shaded strip between. {how} Where the upper line is near 1 it says nothing; where both are "
    "near 0 little is left, whoever looks. Means, whiskers: {whiskers}."
)
# What is varied, as results name it → the axis, how its bound comes about, and the words of a group's name for it.
_VARIED = {
    "bits": (
        "bits of the code (log₂ of the codes in the test rows)",
        "It is the share that the codes' own means explain, so that it rises with their number even where there is "
        "nothing to read: the dotted line is what is left of it without that luck.",
        r"\s*\b(?:codes|levels|groups)=\S+",
    ),
    "sigma": (
        "σ of the noise",
        "It is what the Bayes reader finds, who knows every test row before the noise.",
        r"\s*\bsigma=\S+",
    ),
}


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each nuisance, where groups of a sweep release differently and have bounds."""
    for target in scene.chosen:
        for varied, (axis, how, words) in _VARIED.items():
            groups = {n: runs for n, runs in scene.groups.items() if _place(runs, target, varied) is not None}
            if len(groups) < 2:
                continue
            series: dict[str, dict[str, Runs]] = {}
            for name, runs in groups.items():
                series.setdefault(re.sub(words, "", name).strip() or "release", {})[name] = runs
            strongest = [r for runs in groups.values() for r in strongest_of(runs, target)]
            figure = _figure(series, target, varied, axis, scene.accuracy)
            wording = {"accuracy": scene.accuracy[0], "target": target, "how": how, "whiskers": scene.whiskers}
            caption = _CAPTION.format(fitted=fitted(strongest), **wording) + scene.fewer
            title = f"What can be read of the {target}, from both sides"
            yield Drawn(f"two_sided_{varied}_{slug(target)}.svg", figure, title, caption, "leaks")


def _place(runs: Runs, target: str, varied: str) -> float | None:
    """Where a group stands on the axis: the mean over its runs."""
    bounds = [r for results in runs for r in select(results, "r2_at_most", target, "any")]
    found = [float(r.chosen[varied]) for r in bounds if varied in r.chosen]
    return float(np.mean(found)) if found and len(found) == len(bounds) else None


def _figure(
    series: Mapping[str, Mapping[str, Runs]], target: str, varied: str, axis: str, accuracy: tuple[str, str, str, str]
) -> Figure:
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.4])
    for i, (name, groups) in enumerate(series.items()):
        placed = sorted((p, n) for n, runs in groups.items() if (p := _place(runs, target, varied)) is not None)
        look: dict[str, Any] = {"color": colour(i), "marker": marker(i), "markersize": 4.5, "elinewidth": 0.7}

        def curve(*what: str, placed: Any = placed, groups: Mapping[str, Runs] = groups) -> list[tuple[float, Spread]]:
            found = [(place, over_runs(groups[n], *what).get(None)) for place, n in placed]
            return [(place, spread) for place, spread in found if spread and spread.runs]

        high = curve(*accuracy[1:])
        above.errorbar(*_points(high, 100), **look, linewidth=1.2)
        read, most = curve("r2", target, "strongest"), curve("r2_at_most", target, "any")
        below.errorbar(*_points(read), **look, linewidth=1.2, label=entry(name))
        below.errorbar(*_points(most), **{**look, "mfc": "white"}, linestyle="--", linewidth=1)
        less = curve("r2_at_most_adjusted", target, "any")
        below.plot([p for p, _ in less], [s.mean for _, s in less], color=colour(i), linestyle=":", linewidth=1)
        floor = np.interp([p for p, _ in most], *_line(read)) if read else np.zeros(len(most))
        below.fill_between([p for p, _ in most], floor, [s.mean for _, s in most], color=colour(i), alpha=0.12)
    above.set_ylabel(f"{accuracy[0]} (%)")
    below.set_ylabel(f"R² of {target}")
    below.set_xlabel(axis)
    below.set_ylim(bottom=min(0.0, below.get_ylim()[0]))
    below.xaxis.set_major_locator(MaxNLocator(7))
    legend_above(figure, below)
    return figure


def _line(found: list[tuple[float, Spread]]) -> tuple[list[float], list[float]]:
    return [place for place, _ in found], [spread.mean for _, spread in found]


def _points(found: list[tuple[float, Spread]], scale: float = 1) -> tuple[list[float], list[float], np.ndarray]:
    """Places, means, and lengths of whiskers."""
    places, means = _line(found)
    bars = np.array([whiskers(s.mean, s.low, s.high) for _, s in found]).reshape(-1, 2).T
    return places, [scale * m for m in means], scale * bars
