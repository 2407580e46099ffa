"""What forgetting costs: recognition against what is left of a nuisance, a point a method."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import GREY, PALETTE, UP_TO, WIDTH, colour, entry, legend_above, up_to, whiskers
from invariantnets.results.format import fitted
from invariantnets.results.select import CLASS_ACCURACY, Runs, Spread, astray, kept, over_runs, strongest_of

__all__ = ["AIM", "RUDD2016_MAV", "RUDD2016_DATA", "draw", "family", "frontier", "pareto_figure", "points"]

RUDD2016_DATA = "rotated_mnist"
# Of that data: at most this R² at no less than this accuracy is what is aimed at; Rudd et al. (2016), section 4,
# reached this accuracy by MAV (μ-LeNet).
AIM = (0.02, 0.992)
RUDD2016_MAV = 0.9718
_CAPTION = (
    "A numbered point a method, one colour a family: {accuracy} against how much of the {target} the strongest honest "
    "probe{fitted} still reads: of the probes that are not told the answer, the best out of fold on the rows of train "
    "and val, so that as much is left, or more. Better is up and left; the grey line joins those that no other beats "
    "in both. Means, whiskers: {whiskers}. At the right, without a place on the axis: methods where every probe "
    "failed, or does not carry over to the test rows (R² below −0.02), which says nothing about invariance; hollow: so "
    "did the probes of some seeds, which are not in the mean. "
    "Triangles stand for what lies below the edge, the legend says where. Mind the axes: near 0 and near 100 % they "
    "are stretched."
)
_R2_TICKS = (-1, -0.3, -0.1, 0, 0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
_PER_CENT_TICKS = (10, 20, 40, 60, 80, 90, 95, 97, 98, 99, 99.5, 99.8)
# With room for a number inside; another at each turn of the colours.
_SHAPES = "osD"
# In per cent: no test set here is so large that smaller errors could be told apart.
_LEAST_ERROR = 0.05
# Methods with more than so many times the least error of all would press the others together.
_SHOWN = 4

Point = tuple[Spread, Spread]


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each nuisance, the methods of each data set."""
    methods = {name: runs for name, runs in scene.groups.items() if name in scene.methods}
    for target in scene.chosen:
        for data, part in scene.by_data(methods).items():
            published = RUDD2016_DATA in ([data] if data else scene.data.values())
            if figure := pareto_figure(part, target, scene.accuracy, published):
                strongest = [r for runs in part.values() for r in strongest_of(runs, target)]
                wording = {"target": target, "accuracy": scene.accuracy[0], "whiskers": scene.whiskers}
                bounded = UP_TO * any(_most(runs, target) is not None for runs in part.values())
                caption = _CAPTION.format(fitted=fitted(strongest), **wording) + bounded + scene.fewer
                title = f"What forgetting the {target} costs"
                yield scene.of_data(Drawn(f"pareto_{slug(target)}.svg", figure, title, caption, "leaks"), data)


def family(method: str) -> str:
    """The kind of a method: what stands before the first space of its name."""
    return method.partition(" ")[0]


def points(
    groups: Mapping[str, Runs], target: str, accuracy: tuple[str, str, str, str] = CLASS_ACCURACY
) -> dict[str, Point]:
    """Where each method stands.

    Args:
        groups: method → the results of each of its runs, each of one layer.
        target: the nuisance.
        accuracy: name, metric, target and probe of what should stay high, a fraction.

    Returns:
        Method → R² of the strongest honest probe (`kept`: at least chance; far below it, as if failed), and accuracy,
        over its runs, where both were measured. An R² without a run whose probe did not fail has no mean.
    """
    found: dict[str, Point] = {}
    for name, runs in groups.items():
        left, high = kept(runs, target), over_runs(runs, *accuracy[1:])
        if left is not None and None in high and high[None].runs:
            found[name] = left, high[None]
    return found


def frontier(placed: Mapping[str, Point]) -> list[str]:
    """The methods that no other beats in both, by ascending R²: each has the highest accuracy of all at most its R²."""
    best, kept = -math.inf, []
    known = {name: point for name, point in placed.items() if point[0].runs}  # no order holds with a mean that is none
    for name, (_, high) in sorted(known.items(), key=lambda item: (item[1][0].mean, -item[1][1].mean)):
        if high.mean > best:
            best = high.mean
            kept.append(name)
    return kept


def pareto_figure(
    groups: Mapping[str, Runs],
    target: str,
    accuracy: tuple[str, str, str, str] = CLASS_ACCURACY,
    published: bool = False,
) -> Figure | None:
    """Accuracy against the strongest honest probe's R², mean and whiskers over seeds.

    Args:
        groups: method → the results of each of its runs, each of one layer.
        target: the nuisance.
        accuracy: name, metric, target and probe of what should stay high, a fraction.
        published: mark what is aimed at and what Rudd et al. (2016) reached, on rotated MNIST.

    Returns:
        The figure; None where no method has both. A method whose every probe failed has no place on the axis of R²
        and stands beside it.
    """
    placed = points(groups, target, accuracy)
    if not placed:
        return None
    lost = any(not left.runs for left, _ in placed.values())
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes, *beside = figure.subplots(1, 1 + lost, sharey=True, squeeze=False, width_ratios=[7, 1][: 1 + lost])[0]
    best = [placed[name] for name in frontier(placed)]
    steps = [left.mean for left, _ in best], [100 * high.mean for _, high in best]
    axes.plot(*steps, drawstyle="steps-post", color=GREY, linewidth=1, zorder=1)
    floor = _scale_accuracy(axes, [high for _, high in placed.values()], published)
    strongest = [r for name in placed for r in strongest_of(groups[name], target)]
    families = list(dict.fromkeys(map(family, placed)))
    for number, (name, (left, high)) in enumerate(placed.items(), 1):
        i = families.index(family(name))
        panel, x = (axes, left.mean) if left.runs else (beside[0], 0.5)
        y, below = max(100 * high.mean, floor), 100 * high.mean < floor
        bars: dict[str, Any] = {} if below else {"yerr": 100 * np.array([whiskers(high.mean, high.low, high.high)]).T}
        if left.runs:
            bars["xerr"] = np.array([whiskers(left.mean, left.low, left.high)]).T
        face = "white" if left.failed else colour(i)
        look: dict[str, Any] = {
            "color": colour(i),
            "mfc": face,
            "marker": "v" if below else _SHAPES[i // len(PALETTE) % 3],
            "linestyle": "none",
        }
        panel.errorbar(x, y, markersize=8.5, elinewidth=0.7, clip_on=not below, **look, **bars)
        most = _most(groups[name], target)
        if most is not None and left.runs and not below:
            up_to(axes, x, most, y, colour(i))
        label = f"{number}  {name}" + (f" ({100 * high.mean:.1f} %)" if below else "")
        axes.plot([], [], markersize=6, label=entry(label), **look)
        ink = colour(i) if left.failed else "white"
        panel.annotate(str(number), (x, y), ha="center", va="center_baseline", color=ink, fontsize=5.5, zorder=4)
    reach = [_most(groups[name], target) for name in placed]
    known = [bound for left, _ in placed.values() if left.runs for bound in (left.mean, left.low, left.high)]
    _scale_r2(axes, [*known, *reach])
    if published:
        _mark(axes)
    for panel in beside:
        panel.set_xlim(0, 1)
        panel.set_xticks([])
        panel.grid(axis="x", visible=False)
        panel.set_xlabel("probes\nfailed" + "\nor R² < 0" * any(astray(r) for r in strongest))
    axes.set_xlabel(f"R² of {target} left (strongest honest probe; chance 0)")
    axes.set_ylabel(f"{accuracy[0]} (%)")
    legend_above(figure, axes, small=True)
    return figure


def _most(runs: Runs, target: str) -> float | None:
    """R² that no reader exceeds, mean over runs; None where nobody can say."""
    found = over_runs(runs, "r2_at_most", target, "any").get(None)
    return found.mean if found and found.runs else None


def _mark(axes: Axes) -> None:
    """The corner that is aimed at, and the best of Rudd et al. (2016)."""
    left, top = axes.get_xlim()[0], axes.get_ylim()[1]
    corner = Rectangle((left, 100 * AIM[1]), AIM[0] - left, top - 100 * AIM[1], color="#009E73", alpha=0.15, zorder=0)
    axes.add_patch(corner)
    axes.annotate("aim", (left, top), (3, -3), textcoords="offset points", ha="left", va="top", fontsize=8)
    axes.axhline(100 * RUDD2016_MAV, color="black", linestyle=":", linewidth=1, zorder=0)
    text = f"best MAV of Rudd et al. (2016), {100 * RUDD2016_MAV:.2f} %"
    axes.annotate(
        text,
        (1, 100 * RUDD2016_MAV),
        (-2, -2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=7.5,
        color="#555555",
    )


def _scale_r2(axes: Axes, bounds: Sequence[float | None]) -> None:
    """Linear in the correlation, the root of R² with its sign: 0.02, which is aimed at, is told from 0."""
    known = [bound for bound in bounds if bound is not None]
    axes.set_xscale("function", functions=(_correlation, _squared))
    axes.set_xlim(min([-0.002, *(1.2 * b for b in known)]), max([0.05, *(1.1 * b for b in known)]))
    _ticks(axes.xaxis, _R2_TICKS)


def _correlation(r2: np.ndarray) -> np.ndarray:
    return np.sign(r2) * np.sqrt(np.abs(r2))


def _squared(correlation: np.ndarray) -> np.ndarray:
    return np.sign(correlation) * np.square(correlation)


def _scale_accuracy(axes: Axes, heights: Sequence[Spread], published: bool) -> float:
    """Logarithmic in the error: 99 and 99.5 % are as far from each other as 98 and 99 %.

    Returns:
        The lower edge, in per cent.
    """
    most = _SHOWN * max(100 - 100 * max(spread.mean for spread in heights), _LEAST_ERROR)
    marked = [AIM[1], RUDD2016_MAV] if published else []
    shown = [s for s in heights if 100 - 100 * s.mean <= most]
    bounds = [*(b for s in shown for b in (s.mean, s.low, s.high) if b is not None), *marked]
    low, high = (max(100 - 100 * bound, _LEAST_ERROR) for bound in (min(bounds), max(bounds)))
    axes.set_yscale("function", functions=(_height, _per_cent))
    axes.set_ylim(floor := max(100 - 1.3 * low, 0), 100 - 0.7 * high)
    _ticks(axes.yaxis, _PER_CENT_TICKS)
    return floor


def _height(per_cent: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(100 - per_cent, 1e-3))


def _per_cent(height: np.ndarray) -> np.ndarray:
    return 100 - np.exp(-height)


def _ticks(axis: Axis, values: Sequence[float]) -> None:
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(FixedFormatter([f"{v:g}".replace("-", "−") for v in values]))
    axis.set_minor_locator(NullLocator())
