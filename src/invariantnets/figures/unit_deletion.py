"""What is left where units are deleted (Parde et al. 2021): who it is, and each nuisance, by how many are left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, LEAST_R2, LINES, WIDTH, colour, entry, legend_above, marker
from invariantnets.results.result import Result

__all__ = ["deletion_figure", "draw"]

_TITLE = "What is left where units are deleted"
_CAPTION = (
    "Units of the layer are deleted at random. Above: areas under the ROC, of pairs of images (who it is) by the "
    "cosine of what is left, and of nuisances of two categories; below: R² of other nuisances; both by ridge "
    "regression fitted anew to what is left. Means and ± one standard deviation over random draws; dashed: chance. A "
    "curve that stays high to the left is of something that nearly every unit knows; one that falls at once is spread "
    "over many of them, or sits in few. With one unit a cosine is nothing but a sign. Areas and R² have other scales: "
    "shapes can be compared, heights cannot.{more}"
)
MOST = 7  # curves of R², as there are colours


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where it was measured."""
    found = [r for r in scene.run if r.probe == "unit_deletion"]
    if found:
        figure, left_out = deletion_figure(found)
        more = f" The {MOST} nuisances of which most is read are shown, {left_out} are not." if left_out else ""
        yield Drawn("unit_deletion.svg", figure, _TITLE, _CAPTION.format(more=more), "analysis/unit_deletion")


def deletion_figure(results: Sequence[Result]) -> tuple[Figure, int]:
    """Areas above, R² below, as far as there are any; and how many nuisances are not shown."""
    panels: list[tuple[str, list[str]]] = []
    left_out = 0
    for metric in ("auc", "r2"):
        most: dict[str, float] = {}
        for r in results:
            if r.metric == metric and np.isfinite(r.value):
                most[r.target] = max(most.get(r.target, -np.inf), r.value)
        names = sorted(most, key=lambda name: (name != "identity", -most[name]))
        left_out += len(names[MOST:])
        if names:
            panels.append((metric, names[:MOST]))
    figure = Figure(figsize=(WIDTH, 0.7 + 2.2 * len(panels)), layout="constrained")
    every = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    place = 0
    for axes, (metric, names) in zip(every, panels, strict=True):
        for name in names:
            curve = {r.where["units"]: r.value for r in results if (r.metric, r.target) == (metric, name)}
            spread = {r.where["units"]: r.value for r in results if (r.metric, r.target) == ("sd_over_draws", name)}
            units = sorted(curve)
            mean = np.array([curve[u] for u in units])
            sd = np.array([spread.get(u, 0.0) for u in units])
            least = 0.0 if metric == "auc" else LEAST_R2
            look = {"color": colour(place), "marker": marker(place), "linestyle": LINES[place % len(LINES)]}
            axes.plot(units, np.maximum(mean, least), **look, markersize=4, linewidth=1.2, label=entry(name))
            band = (np.maximum(mean - sd, least), np.maximum(mean + sd, least))
            axes.fill_between(units, *band, color=colour(place), alpha=0.15, linewidth=0)
            place += 1
        axes.axhline(0.5 if metric == "auc" else 0.0, color=GREY, linestyle="--", linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_ylabel("AUC" if metric == "auc" else "R²")
        axes.set_ylim(top=1.02)
    last = every[-1]
    units = sorted({int(r.where["units"]) for r in results})
    last.set_xticks(units, [f"{u:,}" for u in units])
    last.minorticks_off()
    last.set_xlabel("units that are left")
    # One legend over both: the names of all curves.
    for axes in every[1:]:
        for line in axes.get_lines():
            if not str(line.get_label()).startswith("_"):
                every[0].plot(
                    [],
                    [],
                    color=line.get_color(),
                    marker=line.get_marker(),
                    linestyle=line.get_linestyle(),
                    markersize=4,
                    label=line.get_label(),
                )
    legend_above(figure, every[0], columns=3)
    return figure, left_out
