"""ROC, CMC and DIR curves of the protocols, and what the norm of the features tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.plots import colour, marker, whiskers
from invariantnets.figures.style import GREY, PALETTE, legend_above, new_axes, styled
from invariantnets.results.result import Result
from invariantnets.results.select import IDENTITY, NORM, Runs, over_runs, select
from invariantnets.results.words import probe_name

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
        "Of the pairs of one person, the share that is accepted while at most so many pairs of two people are. Better "
        "is up and to the left; the dashed line is chance. A point below 1/n of the pairs cannot be told from none."
    ),
    "cmc": (
        "How often the right person is among the first so many of the gallery. It starts at the rank-1 "
        "rate; the dashed line is chance, rank over the size of the gallery."
    ),
    "dir": (
        "Of the probes whose person is in the gallery, the share that is found first and above the threshold, "
        "while at most so many strangers raise a false alarm. At 100 % it is the rank-1 rate."
    ),
}
_BAND = " Bands: {band}."
_ENTROPY = (
    "Entropy of the network's own prediction, averaged over bins of images with as long a feature vector. Where it "
    "falls, long vectors are sure ones. The 2015 paper finds a correlation below −0.65 on LFW. Bars: 95 % intervals."
)
_RANK = (
    "Mean length of the features of a probe, by the rank at which its person is found. If short vectors fail more "
    "often, the length can tell beforehand which images not to trust. Bars: 95 % intervals over identities."
)
_CORRELATION = (
    "Correlation of the length of the features with everything that is known of the image; |x| is by magnitude, "
    "whichever the side. Left of zero: the more of it, the shorter the vector. Bars: 95 % intervals; one that crosses "
    "zero says nothing."
)

# Those of series; chance is dashed.
LINES = ("-", "-.", ":")
# File, figure (None: nothing to draw), title and caption.
Drawn = tuple[str, Figure | None, str, str]


def protocol_figures(groups: Mapping[str, Runs]) -> Iterator[Drawn]:
    """The curve of each protocol: groups laid over each other, or the similarities of a single one.

    Args:
        groups: name → the results of each of its runs, each of one layer.
    """
    every = [r for runs in groups.values() for results in runs for r in results if r.target == IDENTITY]
    for protocol, (metric, by, across, up) in CURVES.items():
        probes = list(dict.fromkeys(r.probe for r in every if r.probe.partition("/")[0] == protocol))
        series = {}
        for name, runs in groups.items():
            for probe in probes:
                similarity = probe_name(probe).partition(", ")[2]
                shown = [name, similarity] if len(probes) > 1 else [name]
                series[", ".join(shown) if len(groups) > 1 else similarity] = (runs, probe)
        band = "± s.d. over seeds" if any(len(runs) > 1 for runs in groups.values()) else "95 % intervals"
        caption = _CAPTIONS[metric] + ("" if protocol.startswith("blufr") else _BAND.format(band=band))
        title = probe_name(protocol)
        yield f"{protocol}.svg", curve_figure(series, metric, by, (across, up)), title[0].upper() + title[1:], caption


@styled()
def curve_figure(
    series: Mapping[str, tuple[Runs, str]], metric: str, by: str, labels: tuple[str, str]
) -> Figure | None:
    """One curve a series, with a band; false accept rates on a logarithmic axis.

    Args:
        series: name in the legend → (runs, probe).
        metric: ``tar``, ``cmc`` or ``dir``.
        by: ``far`` or ``rank``.
        labels: of the two axes.

    Returns:
        The figure, or None where no run holds this curve.
    """
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
        axes.plot(x, [100 * curve[a].mean for a in at], label=name, **line)
        bands = [(curve[a].low, curve[a].high) for a in at]
        low, high = (np.array([np.nan if v is None else 100 * v for v in side]) for side in zip(*bands, strict=True))
        axes.fill_between(x, np.clip(low, 0, 100), np.clip(high, 0, 100), color=colour(i), alpha=0.18, linewidth=0)
    runs, probe = next(iter(series.values()))
    rows = select(runs[0], metric, IDENTITY, probe, by=by)
    guess = [(scale * r.where[by], 100 * r.chance) for r in rows if r.chance is not None]
    axes.plot(*np.array(guess).reshape(-1, 2).T, color=GREY, linestyle="--", linewidth=1, label="chance")
    if by == "far":
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0, 101)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    legend_above(figure, axes, columns=1 if max(map(len, curves)) > 24 else 2)
    return figure


def norm_figures(results: Sequence[Result]) -> Iterator[Drawn]:
    """What the length of the features tells, of one run.

    Args:
        results: of one layer.
    """
    yield "norm_entropy.svg", entropy_figure(results), "Length of the features and certainty", _ENTROPY
    yield "norm_rank.svg", rank_figure(results), "Length of the features and retrieval", _RANK
    yield "norm_correlation.svg", correlation_figure(results), "What the length of the features goes with", _CORRELATION


@styled()
def entropy_figure(results: Sequence[Result]) -> Figure | None:
    """Mean prediction entropy against the norm (2015, figure 5 c); None without a classifier."""
    rows = select(results, "mean_entropy", NORM, by="norm")
    if not rows:
        return None
    figure, axes = new_axes(3.0)
    bars = np.array([whiskers(r.value, r.low, r.high) for r in rows]).T
    norm = [r.where["norm"] for r in rows]
    axes.errorbar(norm, [r.value for r in rows], bars, color=PALETTE[0], marker="o", markersize=4, capsize=2)
    axes.set_xlabel("length of the feature vector")
    axes.set_ylabel("entropy of the prediction (nats)")
    axes.set_ylim(bottom=0)
    return figure


@styled()
def rank_figure(results: Sequence[Result]) -> Figure | None:
    """Mean norm by the rank of retrieval (2015, figure 5 d); None where nothing was retrieved."""
    rows = select(results, "mean_norm", NORM, "retrieval_rank", by="rank")
    if not rows:
        return None
    figure, axes = new_axes(3.0)
    bars = np.array([whiskers(r.value, r.low, r.high) for r in rows]).T
    place = np.arange(len(rows))
    axes.errorbar(place, [r.value for r in rows], bars, fmt="o", color=PALETTE[0], markersize=5, capsize=3)
    axes.set_xticks(place, [f"{r.where['rank']}\n(n = {r.n:,})" for r in rows])
    axes.set_xlim(-0.5, len(rows) - 0.5)
    axes.set_xlabel("rank at which the person is found")
    axes.set_ylabel("mean length")
    return figure


@styled()
def correlation_figure(results: Sequence[Result]) -> Figure | None:
    """Correlation of the norm with entropy, rank and nuisances, one row each; None where none is defined."""
    rows = [r for r in results if (r.metric, r.target) == ("correlation", NORM) and np.isfinite(r.value)]
    if not rows:
        return None
    rows.sort(key=lambda r: r.value, reverse=True)
    figure, axes = new_axes(0.9 + 0.22 * len(rows))
    bars = np.array([whiskers(r.value, r.low, r.high) for r in rows]).T
    place = np.arange(len(rows))
    axes.errorbar([r.value for r in rows], place, xerr=bars, fmt=marker(0), color=PALETTE[0], markersize=4, capsize=2)
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    names = [": ".join([probe_name(r.probe), *map(str, r.where.values())]) for r in rows]
    axes.set_yticks(place, names)
    axes.set_xlim(-1.02, 1.02)
    axes.set_xlabel("correlation with the length of the features")
    return figure
