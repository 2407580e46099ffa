"""Figures 7 and 8 of Rudd et al. (2016): the features themselves, as heat maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from invariantnets.analysis.blocks import block_order, sort_samples
from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import clipped, new_axes
from invariantnets.randomness import numpy_rng

__all__ = ["draw", "heat_map"]

# More columns than a phone has pixels would be averaged away by the screen, unseen.
SAMPLES = 700
# Of more classes the columns of one are too narrow to see what varies within it.
CLASSES = 20
_HEAT = (
    "Each column one test sample, each row one feature; {count} of {total} samples{of}, drawn at random (seed {seed}), "
    "sorted by class and, within it, by {nuisance}. Even horizontal stripes within a class are what invariance looks "
    "like; a gradient from the left to the right of a class is the nuisance. Colours stop at the 0.5th and "
    "99.5th percentile; what is dark is weak, and weak is not gone."
)
_CLASSES = " and {shown} of {every} classes"
_BLOCKS = (
    "The same samples, rows reordered so that each feature stands with the class it speaks for: the one inside which "
    "it is active most exclusively (Rudd et al. 2016, equation 1, over all test rows{of}). Bright off-diagonal blocks "
    "are features that two classes share. Any features, even random ones, look more block-like after such sorting: "
    "compare with the heat map before, and between models."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Features × test samples, rows as they are (figure 7) and in block-diagonal order (figure 8).

    Columns are sorted by class, then by the first nuisance. The order of the rows comes from every test row of the
    classes that are drawn (equation 1); what is drawn are `SAMPLES` of them, without replacement.

    Raises:
        InvariantNetsError: there is no test row.
    """
    table = scene.table
    if table is None:
        return
    test, (results,) = table.part("test"), scene.depths[""]
    seed = results[0].seed if results else 0
    rng = numpy_rng(seed)
    classes = every = np.unique(test.label)
    kept = np.arange(len(test))
    if len(every) > CLASSES:
        classes = np.sort(rng.choice(every, CLASSES, replace=False))
        kept = np.flatnonzero(np.isin(test.label, classes))
    count = min(SAMPLES, len(kept))
    rows = np.sort(kept[rng.choice(len(kept), count, replace=False)])
    nuisance = table.nuisances[0].name if table.nuisances else "their order"
    value = test.nuisance[nuisance][rows] if table.nuisances else np.zeros(count)
    rows = rows[sort_samples(test.label[rows], value)]
    features = np.asarray(test.features[scene.layer])
    order, cluster = block_order(features[kept], np.searchsorted(classes, test.label[kept]), len(classes))
    # A constant feature speaks for no class.
    names = np.array([*(clipped(table.classes[c] if table.classes else c) for c in classes), "none"])
    shown, column = features[rows].T, np.searchsorted(classes, test.label[rows])
    few = len(classes) < len(every)
    caption = _HEAT.format(
        count=count,
        total=f"{len(test):,}",
        of=_CLASSES.format(shown=len(classes), every=len(every)) if few else "",
        seed=seed,
        nuisance=nuisance,
    )
    across = "samples: by class, then by " + (scene.axis("", nuisance).strip() if table.nuisances else nuisance)
    plain, blocks = (
        heat_map(shown, column, names, across),
        heat_map(shown[order], column, names, across, cluster[order]),
    )
    yield Drawn("heat_map.png", plain, "Features by sample", caption, "description")
    caption = _BLOCKS.format(of=" of these classes" if few else "")
    yield Drawn("blocks.png", blocks, "Features in block-diagonal order", caption, "description")


def heat_map(
    image: np.ndarray, label: np.ndarray, names: np.ndarray, across: str, cluster: np.ndarray | None = None
) -> Figure:
    """One heat map with the classes marked below and, if given, the clusters at the left.

    Args:
        image: ``(D, N)`` features.
        label: ``(N,)`` ascending, number of the class of each column.
        names: of the classes, and at last of no class.
        across: label of the columns.
        cluster: ``(D,)`` ascending, number of the class that each row speaks for.
    """
    figure, axes = new_axes(4.2)
    low, high = np.percentile(image, [0.5, 99.5])
    if low == high:  # nearly all zeros: the few that are not are what there is to see
        low, high = image.min(), image.max()
    drawn = axes.imshow(image, aspect="auto", cmap="viridis", vmin=low, vmax=high, interpolation="antialiased")
    figure.colorbar(drawn, ax=axes, shrink=0.6, aspect=30, pad=0.02)
    axes.grid(visible=False)
    _mark_groups(axes.xaxis, axes.axvline, label, names)
    shown = sum(len(t.get_text()) for t in axes.get_xticklabels())
    axes.tick_params(axis="x", rotation=90 if shown > 40 else 0)
    axes.set_xlabel(across)
    if cluster is None:
        axes.set_ylabel("feature")
    else:
        _mark_groups(axes.yaxis, axes.axhline, cluster, names)
        axes.set_ylabel("features: by the class they speak for")
    return figure


def _mark_groups(axis: Axis, line: Callable[..., object], group: np.ndarray, names: np.ndarray) -> None:
    """Name each run of equal values at its middle and draw a thin line between neighbours."""
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    ends = np.r_[starts[1:], len(group)]
    wide = (ends - starts) > 0.025 * len(group)  # names closer than that would overlap
    axis.set_ticks(((starts + ends - 1) / 2)[wide], list(names[group[starts][wide]]))
    axis.set_tick_params(length=0, labelsize=7 if len(names) > 12 else 8)
    for start in starts[1:]:
        line(start - 0.5, color="white", linewidth=0.5, alpha=0.7)
