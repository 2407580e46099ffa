"""Where a nuisance is lost, by step of training: the online probes of a run beside its accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
from invariantnets.results.training_log import ACCURACY, ONLINE

__all__ = ["draw", "training_figure"]

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


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where the run's own metrics are at hand, and were probed at two steps or more."""
    arrays = scene.arrays.get("training")
    if arrays and (names := _shown(arrays)):
        count = len(_curves(arrays))
        more = f" Of {count} nuisances, the {len(names)} that were read best at any step." if len(names) < count else ""
        first = ", and to the left of 0 the one whose best step it began from" if arrays["step"].min() < 0 else ""
        caption = _CAPTION.format(first=first, more=more)
        yield Drawn("training.svg", training_figure(arrays), _TITLE, caption, "leaks")


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


def _curve(arrays: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a column where it has any."""
    column = arrays["values"][:, arrays["names"] == name]
    known = np.isfinite(column).all(1) & (column.shape[1] > 0)
    return arrays["step"][known], column[known].ravel()


def _curves(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Nuisances that were read at two steps or more → the most that was read of them."""
    every = [str(name) for name in arrays["names"] if str(name).startswith(ONLINE) and str(name).endswith("_r2")]
    found = {name: _curve(arrays, name)[1] for name in every}
    return {name[len(ONLINE) : -3]: float(value.max()) for name, value in found.items() if len(value) > 1}


def _shown(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Those that have a colour, the best read first."""
    most = _curves(arrays)
    return sorted(most, key=lambda name: -most[name])[: len(PALETTE)]
