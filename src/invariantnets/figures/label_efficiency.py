"""How much of a nuisance is read from few labelled rows and from many, and where that is heading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.overlaid import overlaid
from invariantnets.figures.style import GREY, LINES, colour, entry, legend_above, marker, new_axes, whiskers
from invariantnets.results.select import Runs, Spread, failed, over_runs, select

__all__ = ["draw"]

ROWS = "labelled_rows"
_CAPTION = (
    "R² of the strongest honest probe against the labelled rows that it saw: at each size it was chosen and fitted on "
    "these alone, and it read the same test rows. A line that still climbs at its right end says that more labels "
    "would find more; one that is flat early says that few are enough to find what is there. × at 0: every probe "
    "failed, which says nothing about invariance. {bands}{dashed}{more}"
)
_DASHED = (
    " Dashed: where a − b n^−c, fitted to the last sizes, is heading, with its 95 % range; it is no measurement, and "
    "left out where it cannot be said."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of a run a line for each nuisance; of a sweep a figure for each, with a line for each group."""
    if scene.layer:
        lines = {target: (scene.groups[""], target) for target in scene.chosen}
        if found := _figure(lines, "R² (strongest honest probe; chance 0)"):
            figure, dashed = found
            caption = _caption(scene, dashed, scene.fewer)
            yield Drawn("label_efficiency.svg", figure, "What labels are worth", caption, "leaks")
        return
    for target in scene.chosen:
        for data, part in scene.by_data(scene.groups).items():
            groups, fewer = overlaid(scene, {name: runs for name, runs in part.items() if _curve(runs, target)})
            if found := _figure({name: (runs, target) for name, runs in groups.items()}, f"R² of {target} (chance 0)"):
                figure, dashed = found
                caption, title = _caption(scene, dashed, fewer + scene.fewer), f"What labels are worth: {target}"
                yield scene.of_data(
                    Drawn(f"label_efficiency_{slug(target)}.svg", figure, title, caption, "leaks"), data
                )


def _caption(scene: Scene, dashed: bool, more: str) -> str:
    bands = f"Bands: {scene.whiskers}."
    return _CAPTION.format(bands=bands, dashed=_DASHED if dashed else "", more=more)


def _curve(runs: Runs, target: str) -> dict[int, Spread]:
    """Labelled rows → R², ascending."""
    return dict(sorted(over_runs(runs, "r2", target, "strongest", ROWS).items()))


def _figure(lines: Mapping[str, tuple[Runs, str]], label: str) -> tuple[Figure, bool] | None:
    """The figure, and whether anything in it is dashed; None where nothing was measured at two sizes."""
    curves = {name: curve for name, (runs, target) in lines.items() if len(curve := _curve(runs, target)) > 1}
    if not curves:
        return None
    figure, axes = new_axes(3.2)
    axes.set_xscale("log")
    dashed = False
    for i, (name, curve) in enumerate(curves.items()):
        _line(axes, i, name, curve)
        dashed |= _ahead(axes, i, *lines[name], last=max(curve))
    axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
    axes.set_ylim(top=1.02)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
    axes.set_xlabel("labelled rows")
    axes.set_ylabel(label)
    legend_above(figure, axes)
    return figure, dashed


def _line(axes: Axes, i: int, name: str, curve: Mapping[int, Spread]) -> None:
    """A line with its band, interrupted where every probe failed."""
    sound = {n: s for n, s in curve.items() if s.runs}
    value = [s.mean if s.runs else np.nan for s in curve.values()]
    axes.plot(
        list(curve),
        value,
        color=colour(i),
        linestyle=LINES[i % len(LINES)],
        marker=marker(i),
        markersize=4,
        linewidth=1.2,
        label=entry(name),
    )
    reach = np.array([whiskers(s.mean, s.low, s.high) for s in curve.values()]).T
    axes.fill_between(list(curve), value - reach[0], value + reach[1], color=colour(i), alpha=0.2, linewidth=0)
    lost = [n for n in curve if n not in sound]
    axes.plot(lost, [0] * len(lost), "x", color=colour(i), markersize=4)


def _ahead(axes: Axes, i: int, runs: Runs, target: str, last: int) -> bool:
    """The law of the runs, a decade further, where it can be said of each."""
    found = [r for results in runs for r in select(results, "r2_heading", target, "strongest")]
    if len(found) < len(runs) or any(failed(r) for r in found):
        return False
    to = min(int(r.chosen[ROWS]) for r in found)
    n = np.geomspace(last, to, 40)
    laws = [r.chosen["a"] - r.chosen["b"] * n ** -r.chosen["c"] for r in found]
    axes.plot(n, np.mean(laws, axis=0), "--", color=colour(i), linewidth=1)
    spread = over_runs(runs, "r2_heading", target, "strongest")[None]
    bar = np.array([whiskers(spread.mean, spread.low, spread.high)]).T
    axes.errorbar([to], [spread.mean], bar, color=colour(i), fmt="none", capsize=2, elinewidth=0.8)
    return True
