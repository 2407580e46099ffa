"""Where a nuisance is lost, by step of training: the online probes of a run beside its accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import (
    GREY,
    LEAST_R2,
    LINES,
    PALETTE,
    WIDTH,
    colour,
    entry,
    legend_above,
    marker,
)
from invariantnets.results.select import FEW_NUISANCES
from invariantnets.results.training_log import ACCURACY, ONLINE

__all__ = ["draw", "layers_figure", "training_figure"]

_TITLE = "Where it is lost, by step of training"
_MAV = f"{ONLINE}mav_accuracy"
_CAPTION = (
    "What the online probes wrote while this network was trained{first}: R² of each nuisance in the embedding by a "
    "label-blind linear reader, and below it the accuracy on the validation images. A nuisance is lost where its line "
    "falls while the accuracy stays; where both fall, the features fell apart. Follow the lines, and do not compare "
    "their heights with those of this report: the probes are fitted to validation images and read on others of them, "
    "divided anew each time, of the classes that were trained on; stronger readers find more. The network of this "
    "report is the one that was best at validation, not always the last. No intervals: a file of one number a step has "
    "none, so that a jump between two neighbours may be their division.{more}"
)

_LAYERS = (
    "R² of each nuisance that the online probes wrote while this network was trained, at the layers that "
    "callbacks.online_probes.layers names, from the first to the embedding, light to dark. Where only the dark lines "
    "fall, the layers before keep the nuisance, and it is dropped at the end; where all fall, the network stops "
    "computing it. Layers of more than 1,024 numbers are read after a random projection, which shows less than is "
    "there, and wide layers are easier to read by a line: follow each line, and do not compare heights. As in the "
    "figure by step, the probes are fitted to validation images, and no line has an interval."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where the run's own metrics are at hand, and were probed at two steps or more."""
    arrays = scene.arrays.get("training")
    if arrays and (names := _shown(arrays)):
        count = len(_curves(arrays))
        more = f" Of {count} nuisances, the {len(names)} that were read best at any step." if len(names) < count else ""
        first = ", and to the left of 0 the one whose best step it began from" if arrays["step"].min() < 0 else ""
        caption = _CAPTION.format(first=first, more=more)
        yield Drawn("training.svg", training_figure(arrays), _TITLE, caption, "leaks")
        if layers := _layers(arrays):
            title = "Where it is lost, by layer and by step of training"
            shown = [name for name in names if any(f"{ONLINE}{at}/{name}_r2" in arrays["names"] for at in layers)]
            shown = shown[:FEW_NUISANCES]
            yield Drawn("training_layers.svg", layers_figure(arrays, shown, layers), title, _LAYERS, "leaks")


def training_figure(arrays: Mapping[str, np.ndarray]) -> Figure:
    """R² of the nuisances above, accuracy below, by step.

    Args:
        arrays: of `training_log`.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.6, 1))
    look = {"markersize": 3.5, "linewidth": 1.2}
    for i, name in enumerate(_shown(arrays)):
        step, value = _curve(arrays, f"{ONLINE}{name}_r2")
        style = {"color": colour(i), "marker": marker(i), "linestyle": LINES[i % len(LINES)]}
        above.plot(step, np.maximum(value, LEAST_R2), **style, **look, label=entry(name))
    above.axhline(0, color=GREY, linestyle="--", linewidth=1)
    above.set_ylabel("R² (online probe)")
    above.set_ylim(top=1.02)
    for name, said, line in ((ACCURACY, "its own answers", "-"), (_MAV, "nearest class mean", ":")):
        step, value = _curve(arrays, name)
        if len(step):
            below.plot(step, 100 * value, color="k", linestyle=line, marker=".", **look, label=said)
            above.plot([], [], color="k", linestyle=line, marker=".", **look, label=f"below: {said}")
    below.set_ylabel("accuracy (%)")
    below.set_xlabel("step of training")
    for axes in (above, below):
        if arrays["step"].min() < 0:
            axes.axvline(-0.5, color=GREY, linewidth=1)
    legend_above(figure, above)
    return figure


def layers_figure(arrays: Mapping[str, np.ndarray], nuisances: Sequence[str], layers: Sequence[str]) -> Figure:
    """A panel for each nuisance, a line for each layer, the embedding last and dark.

    Args:
        arrays: of `training_log`.
        nuisances: that are shown.
        layers: that were read beside the embedding, in order of execution.
    """
    figure = Figure(figsize=(WIDTH, 0.7 + 1.9 * len(nuisances)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(nuisances), 1, sharex=True))
    names = {at: f"{ONLINE}{at}/" for at in layers} | {"the embedding": ONLINE}
    ramp = matplotlib.colormaps["viridis"]
    for panel, nuisance in zip(panels, nuisances, strict=True):
        for i, (layer, prefix) in enumerate(names.items()):
            step, value = _curve(arrays, f"{prefix}{nuisance}_r2")
            panel.plot(
                step,
                np.maximum(value, LEAST_R2),
                color=ramp(0.85 - 0.85 * i / max(len(names) - 1, 1)),
                marker=marker(i),
                markersize=3.5,
                linewidth=1.2,
                label=layer,
            )
        panel.axhline(0, color=GREY, linestyle="--", linewidth=1)
        panel.set_ylabel(f"R² of {nuisance}")
        panel.set_ylim(top=1.02)
    panels[-1].set_xlabel("step of training")
    legend_above(figure, panels[0])
    return figure


def _layers(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """That were read beside the embedding, in the order in which they were asked for."""
    parts = [str(name).split("/") for name in arrays["names"] if str(name).startswith(ONLINE)]
    return list(dict.fromkeys(part[1] for part in parts if len(part) == 3))


def _curve(arrays: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a column where it has any."""
    column = arrays["values"][:, arrays["names"] == name]
    known = np.isfinite(column).all(1) & (column.shape[1] > 0)
    return arrays["step"][known], column[known].ravel()


def _curves(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Nuisances that were read at two steps or more → the most that was read of them."""
    every = [str(name) for name in arrays["names"] if str(name).startswith(ONLINE) and str(name).endswith("_r2")]
    found = {name: _curve(arrays, name)[1] for name in every if "/" not in name[len(ONLINE) :]}  # of the embedding
    return {name[len(ONLINE) : -3]: float(value.max()) for name, value in found.items() if len(value) > 1}


def _shown(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Those that have a colour, the best read first."""
    most = _curves(arrays)
    return sorted(most, key=lambda name: -most[name])[: len(PALETTE)]
