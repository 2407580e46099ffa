"""What is left of errors, and of a nuisance, where comparisons and images of low quality are discarded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREY, LEAST_R2, LINES, PALETTE, WIDTH, clipped, colour, entry, whiskers
from invariantnets.results.result import Result

__all__ = ["draw"]

# Beyond this share the rest is of too few for a rate to mean anything.
REACH = 0.95
_CAPTION = (
    "{what} of what is left if the share at the bottom, that of the lowest quality, is discarded ({quality}). Stairs: "
    "equal qualities go together, nothing is interpolated. {read} Dashed: the flat line of discarding at random. "
    "Bars at 0, 10 and 20 %: 95 % intervals, over people where they are known; what is right of them rests on ever "
    "fewer images, and its wiggles are luck. A curve that falls says that this quality foretells errors of this "
    "network, not that the images look good."
)
_FNMR = (
    "On top: mated pairs that are taken for two people; the threshold is fixed where nothing is discarded. Grey: "
    "perfect discarding, each pair an error."
)
_FMR = (
    "Below it: pairs of two people that are taken for one, of the images that reach the same least quality, at the "
    "same threshold. Where that rises, false non-matches are saved at the price of false matches."
)
_R2 = (
    "R² is by a line, as fitted to all known rows; where the nuisance has less range among the images left, R² falls "
    "though it is read as sharply: compare RMSE in the table."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Curves of the analysis ``discard``, where it was made."""
    arrays, results = scene.arrays.get("discard"), [r for r in scene.run if r.probe == "discard"]
    if not arrays or not results:
        return
    names = [str(name) for name in arrays.get("nuisances", [])]
    parts = ["fnmr", "fmr"] * ("fnmr" in arrays) + ["r2"] * bool(names)
    figure = Figure(figsize=(WIDTH, 0.4 + 2.4 * len(parts)), layout="constrained")
    panels = dict(zip(parts, np.ravel(figure.subplots(len(parts), 1, sharex=True, squeeze=False)), strict=True))
    if "fnmr" in panels:
        _fnmr(panels["fnmr"], arrays, results)
        _fmr(panels["fmr"], arrays, results)
    if "r2" in panels:
        _r2(panels["r2"], names, arrays, results)
    list(panels.values())[-1].set_xlabel("share discarded, lowest quality first (%)")
    what = {"fnmr": "The false non-match rate", "fmr": "the false match rate", "r2": "R² of nuisances"}
    caption = _CAPTION.format(
        what=_listed([what[part] for part in parts]),
        quality=results[0].note.partition(";")[0],
        read=" ".join({"fnmr": _FNMR, "fmr": _FMR, "r2": _R2}[part] for part in parts),
    )
    yield Drawn("discard.svg", figure, "What is left where low quality is discarded", caption, "analysis/discard")


def _fnmr(axes: Axes, arrays: Mapping[str, np.ndarray], results: list[Result]) -> None:
    discarded, rate = arrays["discarded"], 100 * arrays["fnmr"]
    shown = discarded <= REACH
    start = rate[0]
    axes.step(100 * discarded[shown], rate[shown], where="post", color=PALETTE[0], linewidth=1.2)
    axes.plot([0, start], [start, 0], color=GREY, linewidth=1)
    axes.axhline(start, color=GREY, linestyle="--", linewidth=1)
    axes.axvspan(0, 100 * float(arrays["limit"][0]), color=GREY, alpha=0.12, linewidth=0)
    _bars(axes, [r for r in results if r.metric == "fnmr"], PALETTE[0], 100, 0)
    axes.set_ylabel("false non-match rate (%)")
    axes.set_xlim(-1.5, 100 * REACH)
    axes.set_ylim(bottom=0)


def _fmr(axes: Axes, arrays: Mapping[str, np.ndarray], results: list[Result]) -> None:
    discarded, rate = arrays["discarded"], 100 * arrays["fmr"]
    shown = discarded <= REACH
    axes.step(100 * discarded[shown], rate[shown], where="post", color=PALETTE[1], linewidth=1.2)
    axes.axhline(rate[0], color=GREY, linestyle="--", linewidth=1)
    _bars(axes, [r for r in results if r.metric == "false_match_rate"], PALETTE[1], 100, 0)
    axes.set_ylabel("false match rate (%)")
    axes.set_xlim(-1.5, 100 * REACH)
    axes.set_ylim(bottom=0)


def _r2(axes: Axes, names: list[str], arrays: Mapping[str, np.ndarray], results: list[Result]) -> None:
    for i, name in enumerate(names):
        discarded, r2 = arrays[f"discarded_{i}"], np.maximum(arrays[f"r2_{i}"], LEAST_R2)
        shown = discarded <= REACH
        label = entry(clipped(name, 24))
        style = LINES[i % len(LINES)]
        axes.step(100 * discarded[shown], r2[shown], where="post", color=colour(i), linestyle=style, label=label)
        axes.axhline(r2[0], color=colour(i), linestyle="--", linewidth=0.6)
        _bars(axes, [r for r in results if r.metric == "r2" and r.target == name], colour(i), 1, i)
    axes.set_ylabel("R² by a line")
    axes.set_xlim(-1.5, 100 * REACH)
    axes.legend(loc="best", ncols=2)


def _listed(parts: list[str]) -> str:
    *first, last = parts
    text = f"{', '.join(first)} and {last}" if first else last
    return text[0].upper() + text[1:]


def _bars(axes: Axes, results: list[Result], shade: str, scale: float, place: int) -> None:
    """Where there are numbers; of several curves a little beside each other."""
    at = [float(r.where["discarded"].removesuffix(" %")) + 0.5 * place for r in results]
    bars = scale * np.array([whiskers(r.value, r.low, r.high) for r in results]).reshape(-1, 2).T
    value = [scale * r.value for r in results]
    axes.errorbar(at, value, np.nan_to_num(bars), fmt="none", color=shade, capsize=2, elinewidth=0.8)
