"""Figures 3, 4 and 6 of Rudd et al. (2016), what can be read, by depth too, and the trade-off of a sweep.

Each takes runs: lists of results of one layer (`select.at_layer`). One run is drawn with its bootstrap intervals,
several runs of a group with mean ± s.d. over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from invariantnets.figures.style import GREY, GREYS, MARKERS, PALETTE, legend_above, new_axes, styled
from invariantnets.results.result import Result
from invariantnets.results.select import (
    CLASS_ACCURACY,
    FEATURES,
    LABEL,
    Runs,
    Spread,
    failed,
    nuisances,
    over_runs,
    select,
)
from invariantnets.results.words import probe_name


@styled()
def prediction_figure(series: Mapping[str, tuple[Runs, str]], target: str, unit: str = "") -> Figure | None:
    """Figure 3: predicted mean ± s.d. of a nuisance at each true value.

    Args:
        series: name in the legend → (runs, probe).
        target: the nuisance.
        unit: its unit, for the axes.

    Returns:
        The figure, or None where no run holds ``predicted_mean`` of this target.
    """
    figure, axes = new_axes(3.6)
    curves = {}
    for name, (runs, probe) in series.items():
        mean = over_runs(runs, "predicted_mean", target, probe, by=target)
        deviation = over_runs(runs, "predicted_std", target, probe, by=target)
        # A failed probe has no runs to average: better no line than a flat one.
        at = sorted(x for x in mean if mean[x].runs and x in deviation)
        if at:
            curves[name] = np.array([[x, mean[x].mean, deviation[x].mean] for x in at]).T
    if not curves:
        return None
    true = np.unique(np.concatenate([c[0] for c in curves.values()]))
    axes.plot(true, true, color="black", linewidth=0.8, label="perfect reading")
    chance = [
        r.chance
        for runs, probe in series.values()
        for results in runs
        for r in select(results, "predicted_mean", target, probe, by=target)
        if r.chance is not None
    ]
    guess = float(np.mean(chance if chance else true))
    axes.axhline(guess, color=GREY, linestyle="--", linewidth=1, label="chance: always the mean")
    step = np.diff(true).min() if len(true) > 1 else 1.0
    for i, (name, (x, centre, spread)) in enumerate(curves.items()):
        shift = (i - (len(curves) - 1) / 2) * 0.16 * step  # side by side, so that bars do not hide each other
        look: dict[str, Any] = {"color": colour(i), "marker": marker(i), "markersize": 4, "linewidth": 1.2}
        axes.errorbar(x + shift, centre, spread, capsize=2, label=name, **look)
    suffix = f" ({unit})" if unit else ""
    axes.set_xlabel(f"true {target}{suffix}")
    axes.set_ylabel(f"predicted {target}{suffix}")
    if len(true) <= 13:
        axes.set_xticks(true)
    legend_above(figure, axes, columns=1 if max(map(len, curves)) > 26 else 2)
    return figure


@styled()
def class_error_figure(series: Mapping[str, tuple[Runs, str]]) -> Figure | None:
    """Figure 4: classification error of each class and over all, in per cent; softmax in grey, the others in colour.

    Args:
        series: name in the legend → (runs, probe).

    Returns:
        The figure, or None where no run holds accuracies by class.
    """
    bars: dict[str, dict[Any, Spread]] = {}
    for name, (runs, probe) in series.items():
        by_class = over_runs(runs, "accuracy", LABEL, probe, by="label")
        if by_class:
            bars[name] = by_class
            if overall := over_runs(runs, "accuracy", LABEL, probe):
                bars[name]["all"] = overall[None]
    if not bars:
        return None
    classes = sorted({c for b in bars.values() for c in b if c != "all"})
    groups = [*classes, "all"]
    figure, axes = new_axes(3.6)
    width, greys, colours = 0.84 / len(bars), cycle(GREYS), cycle(PALETTE)
    for i, (name, by_class) in enumerate(bars.items()):
        shown = [(g, by_class[g]) for g in groups if g in by_class and np.isfinite(by_class[g].mean)]
        middle = np.array([groups.index(g) + (0.4 if g == "all" else 0) for g, _ in shown])
        x = middle + (i - (len(bars) - 1) / 2) * width
        error = np.array([100 * (1 - s.mean) for _, s in shown])
        whiskers = np.array([_error_whiskers(s) for _, s in shown]).T
        colour = next(greys if series[name][1] == "softmax" else colours)
        hatch = "////" if _uses_answer(*series[name]) else None
        axes.bar(x, error, width, label=name, facecolor=colour, edgecolor="white", linewidth=0.3, hatch=hatch)
        axes.errorbar(x, error, whiskers, fmt="none", ecolor="#222222", elinewidth=0.7)
    axes.set_xticks([*range(len(classes)), len(classes) + 0.4], [str(g) for g in groups])
    axes.set_xlabel("class")
    axes.set_ylabel("classification error (%)")
    axes.set_ylim(bottom=0)
    axes.grid(axis="x", visible=False)
    legend_above(figure, axes, columns=1 if max(map(len, bars)) > 28 else 2)
    return figure


@styled()
def scree_figure(results: Sequence[Result]) -> Figure | None:
    """Figure 6: the leading singular values of the mean-centred features of one run."""
    values = {int(r.where["component"]): r.value for r in select(results, "singular_value", FEATURES, by="component")}
    if not values:
        return None
    figure, axes = new_axes(3.0)
    component = sorted(values)
    axes.plot(component, [values[c] for c in component], color=PALETTE[0], marker="o", markersize=3, linewidth=1)
    for metric, name, colour, style in (
        ("ideal_rank", "ideal rank", PALETTE[1], "-"),
        ("effective_rank", "effective rank", PALETTE[2], "--"),
    ):
        for r in select(results, metric, FEATURES):
            beyond = " (off the axis)" if r.value > component[-1] else ""
            if not beyond:
                axes.axvline(r.value, color=colour, linestyle=style, linewidth=1.2)
            axes.plot([], [], color=colour, linestyle=style, linewidth=1.2, label=f"{name} {r.value:.4g}{beyond}")
    axes.set_xlim(0, component[-1] + 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("component")
    axes.set_ylabel("singular value")
    legend_above(figure, axes)
    return figure


@styled()
def depth_figure(results: Sequence[Result], target: str) -> Figure | None:
    """R² of each honest probe against the layers in their order; None for fewer than two layers.

    Args:
        results: of all layers.
        target: the nuisance.
    """
    rows = [r for r in select(results, "r2", target) if not r.uses_answer]
    layers = list(dict.fromkeys(r.layer for r in rows))
    if len(layers) < 2:
        return None
    figure, axes = new_axes(3.2)
    for i, probe in enumerate(dict.fromkeys(r.probe for r in rows)):
        sound = [r for r in rows if r.probe == probe and not failed(r)]
        bounds = np.array([whiskers(r.value, r.low, r.high) for r in sound]).reshape(-1, 2).T
        strongest = probe == "strongest"
        axes.errorbar(
            [layers.index(r.layer) for r in sound],
            [r.value for r in sound],
            bounds,
            color="black" if strongest else colour(i),
            linestyle=":" if strongest else "-",
            marker="none" if strongest else marker(i),
            markersize=4,
            linewidth=1.6 if strongest else 1,
            capsize=2,
            label=probe_name(probe),
        )
    axes.axhline(0, color=GREY, linestyle="--", linewidth=1, label="chance")
    axes.set_xticks(range(len(layers)), layers, rotation=30 if len(layers) > 6 else 0)
    axes.set_xlim(-0.3, len(layers) - 0.7)
    axes.set_xlabel("layer, from the image to the output")
    axes.set_ylabel(f"R² of {target}")
    axes.set_ylim(top=1.02)
    legend_above(figure, axes)
    return figure


@styled()
def readable_figure(results: Sequence[Result]) -> Figure | None:
    """R² of the strongest honest probe of each nuisance, best first; None for fewer than two nuisances.

    A nuisance whose every probe failed has a row and no point.

    Args:
        results: of one layer.
    """
    rows = [r for target in nuisances(results) for r in select(results, "r2", target, "strongest")]
    if len(rows) < 2:
        return None
    lost, sound = ([r for r in rows if failed(r) is of] for of in (True, False))
    rows = lost + sorted(sound, key=lambda r: r.value)  # the axis counts from below
    figure, axes = new_axes(0.9 + 0.2 * len(rows))
    for place in range(len(lost)):
        axes.text(0, place, " every probe failed", va="center", color="#555555", fontsize=8)
    for place, r in enumerate(rows[len(lost) :], len(lost)):
        bar = np.array([whiskers(r.value, r.low, r.high)]).T
        axes.errorbar(r.value, place, xerr=bar, fmt=marker(0), color=colour(0), markersize=4, capsize=2)
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [r.target for r in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(right=1.02)
    axes.set_xlabel("R² (strongest honest probe; chance 0)")
    return figure


@styled()
def trade_off_figure(
    groups: Mapping[str, Runs], target: str, accuracy: tuple[str, str, str, str] = CLASS_ACCURACY
) -> Figure | None:
    """How well the class is known against the strongest honest probe's R²: one point a run, one colour a group.

    A run whose every probe failed has no place on the axis of R² and is left out.

    Args:
        groups: name → the results of each of its runs, each of one layer.
        target: the nuisance.
        accuracy: name, metric, target and probe of what should stay high, a fraction.
    """
    figure, axes = new_axes(3.8)
    drawn = []
    for i, (name, runs) in enumerate(groups.items()):
        points = []
        for results in runs:
            leak, high = select(results, "r2", target, "strongest"), select(results, *accuracy[1:])
            if leak and high and not failed(leak[0]) and not failed(high[0]):
                points.append((leak[0], high[0]))
        if not points:
            continue
        drawn.append(name)
        axes.errorbar(
            [leak.value for leak, _ in points],
            [100 * high.value for _, high in points],
            xerr=np.array([whiskers(r.value, r.low, r.high) for r, _ in points]).T,
            yerr=np.array([whiskers(100 * r.value, _percent(r.low), _percent(r.high)) for _, r in points]).T,
            fmt=marker(i),
            color=colour(i),
            markersize=5,
            elinewidth=0.6,
            label=name,
        )
    if not drawn:
        return None
    axes.set_xlabel(f"R² of {target} left (strongest honest probe; chance 0)")
    axes.set_ylabel(f"{accuracy[0]} (%)")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    _note(axes, "better: up and to the left")
    legend_above(figure, axes, columns=1 if max(map(len, drawn)) > 24 else 2)
    return figure


def colour(i: int) -> str:
    """Of the i-th series."""
    return PALETTE[i % len(PALETTE)]


def marker(i: int) -> str:
    """Of the i-th series."""
    # One place on at each turn of the colours, so that no two of the first 49 look alike.
    return MARKERS[(i + i // len(PALETTE)) % len(MARKERS)]


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def whiskers(value: float, low: float | None, high: float | None) -> tuple[float, float]:
    """Lengths of an error bar; a percentile interval may, rarely, leave its estimate outside."""
    return (0.0 if low is None else max(value - low, 0.0), 0.0 if high is None else max(high - value, 0.0))


def _error_whiskers(accuracy: Spread) -> tuple[float, float]:
    """The same for the error in per cent, never below zero or above one hundred."""
    error = 100 * (1 - accuracy.mean)
    high = None if accuracy.low is None else min(100 * (1 - accuracy.low), 100.0)
    low = None if accuracy.high is None else max(100 * (1 - accuracy.high), 0.0)
    return whiskers(error, low, high)


def _uses_answer(runs: Runs, probe: str) -> bool:
    return any(r.uses_answer for results in runs for r in select(results, "accuracy", LABEL, probe))


def _note(axes: Axes, text: str) -> None:
    axes.annotate(text, (0.02, 0.98), xycoords="axes fraction", ha="left", va="top", color="#555555", fontsize=8)
