"""Which neurons follow which nuisance, layer by layer, and what is lost where they are silenced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, LEAST_R2, WIDTH, clipped, colour, entry, legend_above, marker
from invariantnets.results.result import Result

__all__ = ["draw", "map_figure", "silenced_figure"]

NAME = "nuisance_neurons"
_MAP = (
    "Each column a neuron, each row a nuisance, a block for each layer; the colour is how far the neuron follows the "
    "nuisance on test images: the root of R², which is the size of their correlation, white where a line from train "
    "and val told no more than the mean. Neurons stand by the nuisance that they followed most on train and val, the "
    "strongest first.{less} A column that is dark in several rows follows what these have in common, and a neuron that "
    "follows yaw may follow the hair that it shows. A row without a dark column is no proof that the layer does not "
    "tell it: many neurons together may, see the table. The scale is one for all layers."
)
_SILENCED = (
    "What is left where the neurons that follow a nuisance most are silenced (coloured), and where as many at random "
    "are (grey: mean ± one standard deviation over draws). Top: recognition, a coloured line for the neurons of each "
    "nuisance. Below: R² of each nuisance from the embedding, dashed by the line that was fitted before, which "
    "falls also because what it is given has changed, solid and in grey by one that is fitted to what is left. Where "
    "the solid line stays up though the dashed one falls, other neurons tell the same. Where recognition falls as in "
    "grey, it is the number of silenced neurons that counts, not which. Values of R² below {least:g} are drawn there. "
    "Neurons are chosen on train and val; layers inside the network are measured on fewer images."
)
ROWS, LAYERS, COLUMNS = 10, 8, 256


def draw(scene: Scene) -> Iterator[Drawn]:
    """The map, where it was kept, and the curves, where something was silenced."""
    arrays = scene.arrays.get(NAME)
    about = f"analysis/{NAME}"
    if arrays:
        figure, less = map_figure(arrays)
        yield Drawn(f"{NAME}.png", figure, "Neurons by the nuisance they follow", _MAP.format(less=less), about)
    found = [r for r in scene.run if r.probe.partition("/")[0] == NAME and "silenced" in r.where]
    if found:
        caption = _SILENCED.format(least=LEAST_R2)
        yield Drawn(f"{NAME}_silenced.svg", silenced_figure(found), "Neurons silenced", caption, about)


def map_figure(arrays: Mapping[str, np.ndarray]) -> tuple[Figure, str]:
    """A block for each layer, and a sentence on what is not shown."""
    layers, names = [str(x) for x in arrays["layers"]], [str(x) for x in arrays["nuisances"]]
    most = np.max([arrays[f"known_{i}"].max(1) for i in range(len(layers))], 0)
    rows = np.sort(np.argsort(-most, kind="stable")[:ROWS])
    shown = list(range(len(layers)))[-LAYERS:]
    figure = Figure(figsize=(WIDTH * 1.3, 0.6 + len(shown) * (0.4 + 0.13 * len(rows))), layout="constrained")
    fewer = False
    for axes, i in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        known, r2 = arrays[f"known_{i}"][rows], arrays[f"r2_{i}"][rows]
        live = np.flatnonzero(known.max(0) > 0)
        strongest = live[np.argsort(-known[:, live].max(0), kind="stable")][:COLUMNS]
        order = strongest[np.argsort(known[:, strongest].argmax(0), kind="stable")]
        picture = np.sqrt(np.clip(r2[:, order], 0, 1))
        image = axes.imshow(picture, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        axes.set_yticks(range(len(rows)), [clipped(names[t], 18) for t in rows], fontsize=6)
        axes.set_xticks([])
        axes.grid(False)
        some = f"the strongest {len(order):,} of " if len(order) < len(live) else ""
        fewer = fewer or bool(some)
        axes.set_title(f"{clipped(layers[i], 24)}: {some}{len(live):,} neurons that vary", fontsize=7, loc="left")
    bar = figure.colorbar(image, ax=figure.axes, orientation="horizontal", shrink=0.5, aspect=40)
    bar.set_label("size of the correlation on test", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    less = f" Of a layer the {COLUMNS} neurons that follow any of these nuisances most are shown." if fewer else ""
    if len(rows) < len(names):
        less += f" Of {len(names)} nuisances the {len(rows)} that a single neuron follows most are shown."
    if len(shown) < len(layers):
        less += f" Of {len(layers)} layers the last {len(shown)} are shown."
    return figure, less


def silenced_figure(results: Sequence[Result]) -> Figure:
    """Recognition above, each nuisance below; a column for each layer."""
    layers = list(dict.fromkeys(str(r.where["layer"]) for r in results))[-3:]
    targets = list(dict.fromkeys(r.target for r in results))[:4]
    metric = next((r.metric for r in results if r.metric in ("auc", "accuracy")), "")
    lines = ([""] if metric else []) + targets
    figure = Figure(figsize=(WIDTH * 1.15, 0.9 + 1.35 * len(lines)), layout="constrained")
    every = figure.subplots(len(lines), len(layers), sharex="col", sharey="row", squeeze=False)
    for column, layer in enumerate(layers):
        here = [r for r in results if r.where["layer"] == layer]
        for row, line in enumerate(lines):
            axes = every[row, column]
            if line:
                place = targets.index(line)
                of = [r for r in here if r.target == line]
                _band(axes, of, "r2", "read anew, at random", "read anew")
                _curve(axes, of, "r2", "read as before, its neurons", place, "--")
                _curve(axes, of, "r2", "read anew, its neurons", place, "-")
                axes.axhline(0, color=GREY, linestyle=":", linewidth=0.8)
            else:
                _band(axes, here, metric, "at random", "AUC" if metric == "auc" else metric)
                for place, target in enumerate(targets):
                    _curve(axes, [r for r in here if r.target == target], metric, "its neurons", place, "-", target)
            if not column:
                name = {"auc": "AUC of pairs"}.get(metric, metric) if not line else f"R², {clipped(line, 14)}"
                axes.set_ylabel(name, fontsize=7)
            if not row:
                width = next(int(r.where["of"]) for r in here)
                axes.set_title(f"{clipped(layer, 16)}: {width:,} neurons", fontsize=8)
            axes.tick_params(labelsize=7)
        every[-1, column].set_xlabel("% silenced", fontsize=8)
    legend_above(figure, every[0, 0], columns=3)
    return figure


def _points(results: Sequence[Result], metric: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Share silenced in per cent and the value, ascending."""
    tail = f"{NAME}/{kind}"
    found = {r.where["silenced"]: r for r in results if r.metric == metric and r.probe == tail}
    at = sorted(found)
    return np.array([100 * n / found[n].where["of"] for n in at]), np.array([found[n].value for n in at])


def _curve(
    axes: Axes, results: Sequence[Result], metric: str, kind: str, place: int, line: str, label: str = ""
) -> None:
    x, y = _points(results, metric, kind)
    y = np.maximum(y, LEAST_R2) if metric == "r2" else y
    axes.plot(
        x, y, line, color=colour(place), marker=marker(place), markersize=3, linewidth=1.1, label=entry(label) or None
    )


def _band(axes: Axes, results: Sequence[Result], metric: str, kind: str, spread: str) -> None:
    """The mean over random draws from what is there without any silenced, and its standard deviation."""
    x, mean = _points(results, metric, kind)
    _, sd = _points(results, "sd_over_draws", spread)
    start = kind.replace("at random", "its neurons")
    first = _points(results, metric, start)[1][:1]
    if not len(x) or len(x) != len(sd):
        return
    x, mean, sd = (np.concatenate([a, b]) for a, b in (([0.0], x), (first, mean), ([0.0], sd)))
    low, high = mean - sd, mean + sd
    if metric == "r2":
        mean, low, high = (np.maximum(v, LEAST_R2) for v in (mean, low, high))
    axes.fill_between(x, low, high, color=GREY, alpha=0.35, linewidth=0)
    axes.plot(x, mean, color=GREY, linewidth=1, label="as many at random")
