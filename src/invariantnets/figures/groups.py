"""Errors of each group at one threshold for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import GREY, WIDTH, clipped, colour, entry, marker, whiskers
from invariantnets.results.result import Result
from invariantnets.results.select import FEW_NUISANCES
from invariantnets.results.words import number

__all__ = ["draw", "groups_figure"]

_CAPTION = (
    "Errors of each group at thresholds that are the same for everybody, chosen on other people for a promised FMR. "
    "Left, logarithmic: pairs of two people of the group that match, hollow at the left edge where none does. Right: "
    "pairs of one person of the group that do not. Dashed: the rate of everybody, pairs across groups among them. "
    "Bars: 95 % intervals over people; of many groups one lies apart by luck. {beside} Pairs within a group match "
    "more often than pairs across where people of a group are alike, so that all groups may lie right of the line."
)
_BESIDE = "GARBE at {promised}: {value}; of groups drawn at random {middle}, 95 % of them from {low} to {high} (p {p})."
_ENDS = ("value", "low", "high")
_TAKEN = " With what chance adds taken off it is {value}, 95 % interval {low} to {high}."


def draw(scene: Scene) -> Iterator[Drawn]:
    """One of each attribute, of a few."""
    rates = [r for r in scene.run if r.about == "analysis" and r.probe == "groups" and r.metric != "p_value"]
    attributes = list(dict.fromkeys(r.target for r in rates))
    for name in attributes[:FEW_NUISANCES]:
        caption = _CAPTION.format(beside=_beside([r for r in scene.run if r.target == name]))
        figure = groups_figure([r for r in rates if r.target == name], name)
        yield Drawn(
            f"groups_{slug(name)}.svg",
            figure,
            f"Errors by {name}, at one threshold for all",
            caption,
            "analysis/groups",
        )


def groups_figure(results: Sequence[Result], name: str) -> Figure:
    """FMR and FNMR of the groups of an attribute, a colour for each promised FMR.

    Args:
        results: of the attribute, ``where`` its name is the group.
        name: of the attribute.
    """
    promised = list(dict.fromkeys(r.where["promised FMR"] for r in results))
    everybody, *groups = dict.fromkeys(r.where[name] for r in results)
    figure = Figure(figsize=(WIDTH, 1.3 + 0.4 * len(groups)), layout="constrained")
    found = {(r.metric, r.where["promised FMR"], r.where[name]): r for r in results}
    panels = {"false_match_rate": "FMR (%)", "false_non_match_rate": "FNMR (%)"}
    axes = figure.subplots(1, 2, sharey=True)
    for panel, (metric, label) in zip(axes, panels.items(), strict=True):
        shown = [r for r in results if r.metric == metric and r.value > 0]
        logarithmic = metric == "false_match_rate"
        floor = 0.5 * min((r.value for r in shown), default=1e-6) if logarithmic else 0.0
        for i, rate in enumerate(promised):
            of_all = found[metric, rate, everybody].value
            if of_all > 0:
                panel.axvline(100 * of_all, color=colour(i), linestyle="--", linewidth=0.8)
        for (i, rate), (place, group) in product(enumerate(promised), enumerate(groups)):
            r = found[metric, rate, group]
            value, low, high = (100 * max(v or 0.0, floor) for v in (r.value, r.low, r.high))
            panel.errorbar(
                [value],
                [place + 0.2 * (i - (len(promised) - 1) / 2)],
                xerr=np.array([whiskers(value, low, high)]).T,
                color=colour(i),
                marker=marker(i),
                markersize=4,
                capsize=2,
                linestyle="none",
                fillstyle="full" if r.value > 0 else "none",
                label=entry(rate) if logarithmic and not place else None,
            )
        panel.set_xlabel(label)
        if logarithmic:
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter("{x:g}")
        else:
            panel.set_xlim(left=0)
        panel.grid(axis="y", color=GREY, alpha=0)
    axes[0].set_yticks(range(len(groups)), [clipped(group, 16) for group in groups])
    axes[0].set_ylim(len(groups) - 0.5, -0.5)
    handles, labels = axes[0].get_legend_handles_labels()
    look: dict[str, Any] = {"ncols": 4, "handlelength": 1.2, "columnspacing": 0.9, "title": "promised FMR"}
    figure.legend(handles, labels, loc="outside upper left", **look)
    return figure


def _beside(results: Sequence[Result]) -> str:
    """GARBE at the highest promised FMR at which it is defined, beside groups drawn at random."""
    lines = [r for r in results if str(r.where.get("measure", "")).startswith("GARBE")]
    for promised in dict.fromkeys(r.where["promised FMR"] for r in lines):
        here = {r.probe: r for r in lines if r.where["promised FMR"] == promised and r.metric != "p_value"}
        (p,) = [r.value for r in lines if r.where["promised FMR"] == promised and r.metric == "p_value"]
        value, random = here["groups/measured"].value, here["groups/at random"]
        if np.isfinite(value) and random.low is not None:
            ends = {
                name: number(v, "inequality")
                for name, v in (("middle", random.value), ("low", random.low), ("high", random.high))
            }
            found = {"promised": promised, "value": number(value, "inequality"), "p": number(p, "p_value")}
            return _BESIDE.format(**found, **ends) + _taken(here.get("groups/chance taken off"))
    return "GARBE is not defined: a kind of error does not occur."


def _taken(r: Result | None) -> str:
    """Without what chance adds, where that is known."""
    if r is None or r.low is None or r.high is None:
        return ""
    return _TAKEN.format(**{name: number(v, "inequality") for name, v in vars(r).items() if name in _ENDS})
