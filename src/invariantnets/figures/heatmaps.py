"""Figures 7 and 8 of Rudd et al. (2016): the features themselves, as heat maps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from invariantnets.analysis.blocks import block_order, sort_samples
from invariantnets.features.table import FeatureTable
from invariantnets.figures.style import new_axes, styled
from invariantnets.randomness import numpy_rng

# More columns than a phone has pixels would be averaged away by the screen, unseen.
SAMPLES = 700
MARKED = 100  # groups whose borders are drawn: of more, the borders would be all there is to see


def heat_maps(table: FeatureTable, layer: str, seed: int) -> tuple[Figure, Figure, int]:
    """Features × test samples, rows as they are (figure 7) and in block-diagonal order (figure 8).

    Columns are sorted by class, then by the first nuisance. The order of the rows comes from every test row
    (equation 1); what is drawn are `SAMPLES` of them, drawn without replacement.

    Args:
        table: with test rows.
        layer: whose features.
        seed: of the draw.

    Returns:
        Figure 7, figure 8 and the number of samples drawn.

    Raises:
        InvariantNetsError: there is no test row.
    """
    test = table.part("test")
    features = np.asarray(test.features[layer])
    count = min(SAMPLES, len(test))
    rows = np.sort(numpy_rng(seed).choice(len(test), count, replace=False))
    value = test.nuisance[table.nuisances[0].name][rows] if table.nuisances else np.zeros(count)
    rows = rows[sort_samples(test.label[rows], value)]
    shown, label = features[rows].T, test.label[rows]
    order, cluster = block_order(features, test.label, table.num_classes)
    names = np.array([*map(str, range(table.num_classes)), "none"])  # a constant feature speaks for no class
    return _heat_map(shown, label), _heat_map(shown[order], label, names[cluster[order]]), count


@styled()
def _heat_map(image: np.ndarray, label: np.ndarray, cluster: np.ndarray | None = None) -> Figure:
    """One heat map of ``(D, N)`` features with the classes marked below and, if given, the clusters at the left."""
    figure, axes = new_axes(4.2)
    low, high = np.percentile(image, [0.5, 99.5])
    if low == high:  # nearly all zeros: the few that are not are what there is to see
        low, high = image.min(), image.max()
    drawn = axes.imshow(image, aspect="auto", cmap="viridis", vmin=low, vmax=high, interpolation="antialiased")
    figure.colorbar(drawn, ax=axes, shrink=0.6, aspect=30, pad=0.02)
    axes.grid(visible=False)
    _mark_groups(axes.xaxis, axes.axvline, label)
    axes.set_xlabel("samples: by class, then by nuisance")
    if cluster is None:
        axes.set_ylabel("feature")
    else:
        _mark_groups(axes.yaxis, axes.axhline, cluster)
        axes.set_ylabel("features: by the class they speak for")
    return figure


def _mark_groups(axis: Axis, line: Callable[..., object], group: np.ndarray) -> None:
    """Name each run of equal values at its middle and draw a thin line between neighbours."""
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    ends = np.r_[starts[1:], len(group)]
    wide = (ends - starts) > 0.02 * len(group)  # names closer than that would overlap
    axis.set_ticks(((starts + ends - 1) / 2)[wide], [str(g) for g in group[starts][wide]])
    axis.set_tick_params(length=0)
    for start in starts[1:] if len(starts) <= MARKED else ():
        line(start - 0.5, color="white", linewidth=0.5, alpha=0.7)
