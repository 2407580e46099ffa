"""Thresholds that were chosen on some people, on others: one error against the other, and the promise beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, PALETTE, legend_above, new_axes, whiskers
from invariantnets.results.arrays import Arrays

__all__ = ["draw", "met_figure", "promise_figure"]

_MET = (
    "Each threshold lets in some pairs of two people (FMR, across, logarithmic) and turns away some of one person "
    "(FNMR, up): further down and left is better. All thresholds were chosen on {known} pairs of two calibration "
    "people, and both rates are those that other people met ({others} pairs of two, {mated} of one). Marks: the "
    "thresholds that were asked for, with the FMR that was promised. Bars and band: 95 % intervals over the other "
    "people, at these very thresholds. Thin bars without caps: of thresholds that as many people choose so, who are a "
    "sample, too. At the dotted line a single pair of two people matches: near it nothing is known of the FMR. "
    "Thresholds that no such pair reached are left out."
)
_PROMISE = (
    "The FMR that other people met at a threshold, against the FMR of the calibration people that it was chosen for, "
    "both logarithmic. On the dashed line the promise is kept; above it more strangers match than was promised. "
    "Hollow, at the lower edge: no pair matched, and only the upper end of the interval says anything. Bars and dark "
    "band: 95 % intervals over the other people, at this very threshold. Light band: that the calibration people are "
    "a sample, too, is in it, so that where it leaves the dashed line the others are not like them. Left of 3 / "
    "pairs (dotted) no promise is supported. The others are of the same data: of another camera, age or country this "
    "figure says nothing."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Both, where thresholds were chosen."""
    arrays = scene.arrays.get("thresholds")
    if arrays is None:
        return
    known, others, mated = (f"{int(count):,}" for count in arrays["pairs"])
    caption = _MET.format(known=known, others=others, mated=mated)
    yield Drawn(
        "thresholds.svg",
        met_figure(arrays),
        "Errors of other people at chosen thresholds",
        caption,
        "analysis/thresholds",
    )
    yield Drawn(
        "thresholds_promise.svg",
        promise_figure(arrays),
        "The promised FMR, and that met",
        _PROMISE,
        "analysis/thresholds",
    )


def met_figure(arrays: Arrays) -> Figure:
    """FNMR against FMR of the other people, the thresholds that were asked for marked."""
    figure, axes = new_axes(3.4)
    met = arrays["fmr_value"]
    line = met > 0
    x, y = 100 * met[line], 100 * arrays["fnmr_value"][line]
    axes.plot(x, y, color=PALETTE[0], linewidth=1.2, label="other people")
    low, high = (100 * arrays[f"fnmr_{end}"][line] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=PALETTE[0], alpha=0.18, linewidth=0)
    marks = np.flatnonzero(arrays["asked"] & line).tolist()
    for i in marks:
        here: dict[str, Any] = {"color": PALETTE[1], "linestyle": "none", "elinewidth": 0.7, "alpha": 0.8}
        at = ([100 * met[i]], [100 * arrays["fnmr_value"][i]])
        axes.errorbar(*at, _bars(arrays, "fnmr", i, "so_"), _bars(arrays, "fmr", i, "so_"), **here)
    for place, i in enumerate(marks):
        axes.errorbar(
            [100 * met[i]],
            [100 * arrays["fnmr_value"][i]],
            _bars(arrays, "fnmr", i),
            _bars(arrays, "fmr", i),
            color=PALETTE[1],
            marker="o",
            markersize=5,
            capsize=2,
            linestyle="none",
            label=None if place else "promised FMR",
        )
        text = f"{100 * arrays['promised'][i]:.3g} %"
        at = (100 * met[i], 100 * arrays["fnmr_value"][i])
        axes.annotate(text, at, xytext=(6, 6), textcoords="offset points", color=PALETTE[1], fontsize=8)
    axes.axvline(100 / arrays["pairs"][1], color=GREY, linestyle=":", linewidth=1, label="one pair of two people")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("FMR: pairs of two people that match (%)")
    axes.set_ylabel("FNMR: pairs of one that do not (%)")
    legend_above(figure, axes)
    return figure


def promise_figure(arrays: Arrays) -> Figure:
    """The FMR that was met against that promised."""
    figure, axes = new_axes(3.4)
    promised, met = 100 * arrays["promised"], arrays["fmr_value"]
    floor = 0.5 / arrays["pairs"][1]
    line = met > 0
    axes.plot(promised, promised, color=GREY, linestyle="--", linewidth=1, label="the promise")
    axes.plot(promised[line], 100 * met[line], color=PALETTE[0], linewidth=1.2, label="met by other people")
    low, high = (100 * np.maximum(arrays[f"fmr_{end}"], floor) for end in ("low", "high"))
    axes.fill_between(promised, low, high, color=PALETTE[0], alpha=0.25, linewidth=0)
    low, high = (100 * np.maximum(arrays[f"fmr_so_{end}"], floor) for end in ("low", "high"))
    axes.fill_between(promised, low, high, color=PALETTE[0], alpha=0.12, linewidth=0, label="thresholds chosen so")
    for i in np.flatnonzero(arrays["asked"]):
        value = 100 * max(met[i], floor)
        bars = whiskers(value, 100 * max(arrays["fmr_low"][i], floor), 100 * arrays["fmr_high"][i])
        look: dict[str, Any] = {"color": PALETTE[1], "marker": "o", "markersize": 5, "capsize": 2}
        axes.errorbar([promised[i]], [value], np.array([bars]).T, fillstyle="full" if met[i] else "none", **look)
    axes.axvline(300 / arrays["pairs"][0], color=GREY, linestyle=":", linewidth=1, label="3 / calibration pairs")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=50 * floor)
    axes.set_xlabel("promised FMR (%)")
    axes.set_ylabel("FMR met (%)")
    legend_above(figure, axes)
    return figure


def _bars(arrays: Arrays, rate: str, i: int, kind: str = "") -> np.ndarray:
    low, value, high = (float(arrays[f"{rate}_{end}"][i]) for end in (f"{kind}low", "value", f"{kind}high"))
    low, high = (value if np.isnan(end) else end for end in (low, high))
    return np.array([whiskers(100 * value, 100 * low, 100 * high)]).T
