"""ROC, CMC and DIR curves of the protocols of recognition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.overlaid import overlaid
from invariantnets.figures.style import GREY, LINES, colour, entry, legend_above, new_axes
from invariantnets.results.select import IDENTITY, Runs, over_runs, select
from invariantnets.results.words import probe_name

__all__ = ["draw"]

# protocol → metric of its curve, what it runs over, its axes.
CURVES = {
    "verification": ("tar", "far", "false accept rate (%)", "true accept rate (%)"),
    "closed_set": ("cmc", "rank", "rank", "mate among the first (%)"),
    "open_set": ("dir", "far", "false alarm rate (%)", "detected and identified (%)"),
    "blufr_verification": ("tar", "far", "false accept rate (%)", "true accept rate (%)"),
    "blufr_open_set": ("dir", "far", "false alarm rate (%)", "detected and identified (%)"),
}
_CAPTIONS = {
    "tar": (
        "ROC (receiver operating characteristic): of the pairs of one person, the share that is accepted while at most "
        "so many pairs of two people are. Better is up and to the left; the dashed line is chance. A point left of 1/n "
        "of the pairs of two people cannot be told from no false accept at all."
    ),
    "cmc": (
        "CMC (cumulative match characteristic): how often the right person, the mate, is among the first so many of "
        "the gallery. It starts at the rank-1 rate; the dashed line is chance, rank over the size of the gallery, so "
        "that galleries of other sizes cannot be compared."
    ),
    "dir": (
        "DIR (detection and identification rate): of the images whose person is in the gallery, the share that is "
        "found first and above the threshold, while at most so many strangers raise a false alarm. At 100 % it is "
        "the rank-1 rate. A point left of 1/n of the strangers rests on no stranger at all."
    ),
}
_BAND = " Bands: {band}."


def draw(scene: Scene) -> Iterator[Drawn]:
    """The curve of each protocol: groups laid over each other, or the similarities of a single one."""
    for data, part in scene.by_data(scene.groups).items():
        every = [r for runs in part.values() for results in runs for r in results if r.target == IDENTITY]
        groups, only = overlaid(scene, part)
        for protocol, (metric, by, across, up) in CURVES.items():
            probes = list(dict.fromkeys(r.probe for r in every if r.probe.partition("/")[0] == protocol))
            series = {}
            for name, runs in groups.items():
                for probe in probes:
                    similarity = probe_name(probe).partition(", ")[2]
                    shown = [name, similarity] if len(probes) > 1 else [name]
                    series[", ".join(shown) if len(groups) > 1 else similarity] = (runs, probe)
            if figure := _figure(series, metric, by, (across, up)):
                band = _BAND.format(band=scene.whiskers) if not protocol.startswith("blufr") else ""
                title = probe_name(protocol)
                title = title[0].upper() + title[1:]
                drawn = Drawn(f"{protocol}.svg", figure, title, _CAPTIONS[metric] + band + only, "recognition")
                yield scene.of_data(drawn, data)


def _figure(series: Mapping[str, tuple[Runs, str]], metric: str, by: str, labels: tuple[str, str]) -> Figure | None:
    """One curve a series, with a band; false accept rates on a logarithmic axis."""
    curves = {name: over_runs(runs, metric, IDENTITY, probe, by=by) for name, (runs, probe) in series.items()}
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return None
    figure, axes = new_axes(3.4)
    scale = 100 if by == "far" else 1
    for i, (name, curve) in enumerate(curves.items()):
        at = sorted(curve)
        x = scale * np.array(at)
        line: dict[str, Any] = {"color": colour(i), "linestyle": LINES[i % len(LINES)], "linewidth": 1.4}
        axes.plot(x, [100 * curve[a].mean for a in at], label=entry(name), **line)
        bands = [(curve[a].low, curve[a].high) for a in at]
        low, high = (np.array([np.nan if v is None else 100 * v for v in side]) for side in zip(*bands, strict=True))
        alpha = 0.5 / (2 + len(curves))
        axes.fill_between(x, np.clip(low, 0, 100), np.clip(high, 0, 100), color=colour(i), alpha=alpha, linewidth=0)
    runs, probe = next(iter(series.values()))
    rows = select(runs[0], metric, IDENTITY, probe, by=by)
    guess = [(scale * r.where[by], 100 * r.chance) for r in rows if r.chance is not None]
    axes.plot(*np.array(guess).reshape(-1, 2).T, color=GREY, linestyle="--", linewidth=1, label="chance")
    if by == "far":
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(0, 101)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    legend_above(figure, axes)
    return figure
