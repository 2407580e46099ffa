"""Maps by t-SNE, coloured by what is known of the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, PALETTE, WIDTH, clipped
from invariantnets.nuisance import Nuisance
from invariantnets.results.result import Result
from invariantnets.results.words import number

__all__ = ["draw"]

_CAPTION = (
    "Each point an image{of}, by t-SNE; {count} of them, the same map in every panel. Above each panel: how well the "
    "{k} neighbours of a point, of other sources, tell the nuisance by their mean, in the full features and on the "
    "map{chance}. Read those numbers first. On a map only who is near whom means anything: sizes of clusters, "
    "distances between them and empty space do not, and clumps appear in pure noise too. What mixes on the map may be "
    "told easily from the features, by a line for one. Shown are the nuisances that neighbours in the features tell "
    "best."
)
_MOST = 6  # categories that have a colour of their own


def draw(scene: Scene) -> Iterator[Drawn]:
    """The maps of the analysis ``tsne``, of all images and of one person, where they were made."""
    arrays = scene.arrays.get("tsne", {})
    kinds = {n.name: n for n in scene.table.nuisances} if scene.table is not None else {}
    for prefix, file, title in (
        ("", "tsne.png", "A map of the features"),
        ("one_", "tsne_one.png", "A map of the features of one person"),
    ):
        if f"{prefix}map" not in arrays:
            continue
        results = [
            r for r in scene.run if r.probe.startswith("tsne/") and (r.where["images of"] == "all") != bool(prefix)
        ]
        if not results:
            continue
        points, values = arrays[f"{prefix}map"], arrays[f"{prefix}values"]
        names = [str(name) for name in arrays[f"{prefix}names"]]
        figure = _figure(points, values, names, [kinds.get(name) for name in names], results, scene)
        low = [r.chance for r in results if r.metric == "r2" and r.chance is not None]
        chance = f" (R² of unrelated values: about {number(float(np.mean(low)), 'r2')})" if low else ""
        caption = _CAPTION.format(
            of=f" of {results[0].where['images of']}" if prefix else "",
            count=f"{len(points):,}",
            k=results[0].chosen["k"],
            chance=chance,
        )
        yield Drawn(file, figure, title, caption, "analysis/tsne")


def _figure(
    points: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    kinds: Sequence[Nuisance | None],
    results: Sequence[Result],
    scene: Scene,
) -> Figure:
    columns = 1 if len(names) < 2 else 2
    lines = -(-max(len(names), 1) // columns)
    figure = Figure(figsize=(WIDTH * 1.3, (3.2 if columns == 2 else 4.6) * lines), layout="constrained")
    panels = np.ravel(figure.subplots(lines, columns, squeeze=False))
    size = float(np.clip(6000 / len(points), 1.5, 14))
    for axes in panels:
        axes.set_axis_off()
    if not names:
        panels[0].scatter(points[:, 0], points[:, 1], s=size, color=PALETTE[0], linewidths=0)
    for axes, name, kind, column in zip(panels[: len(names)], names, kinds, values.T, strict=True):
        known = np.isfinite(column)
        axes.scatter(*points[~known].T, s=size, color="#DDDDDD", linewidths=0)
        if kind is not None and kind.kind in ("categorical", "binary"):
            _categories(axes, points[known], column[known].astype(int), kind.categories, size)
        else:
            wraps = kind is not None and kind.kind == "circular"
            # Few far values must not leave all others one colour.
            low, high = (0.0, 360.0) if wraps else np.percentile(column[known], [2, 98])
            colour = column[known] % 360 if wraps else column[known]
            look = {"cmap": "twilight" if wraps else "viridis", "vmin": low, "vmax": high, "linewidths": 0}
            shown = axes.scatter(points[known, 0], points[known, 1], s=size, c=colour, **look)
            figure.colorbar(shown, ax=axes, orientation="horizontal", shrink=0.7, aspect=25, pad=0.01)
        axes.set_title(_told(name, results, scene), fontsize=8)
        axes.set_aspect("equal", adjustable="datalim")
    return figure


def _categories(axes: Axes, points: np.ndarray, code: np.ndarray, names: Sequence[str], size: float) -> None:
    count = np.bincount(code, minlength=len(names))
    order = np.argsort(-count, kind="stable")[: _MOST if len(names) > _MOST else len(names)]
    rest = ~np.isin(code, order)
    if rest.any():
        axes.scatter(points[rest, 0], points[rest, 1], s=size, color=GREY, linewidths=0, label="others")
    for i, c in enumerate(order):
        here = points[code == c]
        axes.scatter(here[:, 0], here[:, 1], s=size, color=PALETTE[i], linewidths=0, label=clipped(names[c], 14))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, markerscale=2, handletextpad=0.1, fontsize=7)


def _told(name: str, results: Sequence[Result], scene: Scene) -> str:
    """The nuisance, and what neighbours tell of it."""
    found = {r.probe.partition("/")[2]: r for r in results if r.target == name}
    if not found:
        return scene.axis("", name).strip()
    metric = "R²" if found["map"].metric == "r2" else "accuracy"
    said = (number(found[space].value, found[space].metric) for space in ("features", "map"))
    return f"{scene.axis('', clipped(name, 24)).strip()}\n{metric} {' in the features, '.join(said)} on the map"
