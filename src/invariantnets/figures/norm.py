"""What the length of the features of a run tells of certainty, retrieval, and of what is known of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, PALETTE, marker, new_axes, whiskers
from invariantnets.results.result import Result
from invariantnets.results.select import NORM, select
from invariantnets.results.words import probe_name

__all__ = ["correlation_figure", "draw", "entropy_figure", "rank_figure"]

_ENTROPY = (
    "How unsure the network is (the entropy of its own prediction, 0 where it is certain), averaged over bins of "
    "images with as long a feature vector. Where it falls, long vectors are sure ones. The 2015 paper finds a "
    "correlation below −0.65 on LFW. Means of bins: the scatter inside is not shown. Bars: 95 % intervals."
)
_RANK = (
    "Mean length of the features of an image, by the rank at which its person is found in the gallery. If short "
    "vectors fail more often, the length can tell beforehand which images not to trust. Bars: 95 % intervals over "
    "identities."
)
_CORRELATION = (
    "Correlation of the length of the features with everything that is known of the image; |x| is by magnitude, "
    "whichever the side. Left of zero: the more of it, the shorter the vector. What goes together in the images shares "
    "a correlation. Bars: 95 % intervals; one that crosses zero says nothing."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Each where it was measured: certainty, retrieval, correlations."""
    for file, figure, title, caption in (
        ("norm_entropy.svg", entropy_figure(scene.run), "Length of the features and certainty", _ENTROPY),
        ("norm_rank.svg", rank_figure(scene.run), "Length of the features and retrieval", _RANK),
        (
            "norm_correlation.svg",
            correlation_figure(scene.run),
            "What the length of the features goes with",
            _CORRELATION,
        ),
    ):
        if figure is not None:
            yield Drawn(file, figure, title, caption, "description")


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
