"""At which layers a frontal view is told from a profile by its neighbours (Zhong et al. 2018, figure 6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.style import GREY, clipped, colour, marker, new_axes, whiskers

__all__ = ["draw"]

_CAPTION = (
    "How often the nearest neighbours of an image tell whether its {target} is small or large, layer by layer; there "
    "are as many of either, so that half are right by chance. Where the line falls, views of all kinds come to lie "
    "beside each other. A distance weighs every feature: what a layer knows in a few of many, its neighbours may not "
    "tell; compare what lines and other probes read. Grey: sides dealt out at random. Bars: 95 % intervals over people "
    "(over images where everybody was trained on); layers share their images, so that two of them may differ though "
    "their bars overlap."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of a run that measured two layers or more."""
    rows = [r for r in scene.depths.get("", [[]])[0] if r.probe.partition("/")[0] == "pose_knn"]
    for target in dict.fromkeys(r.target for r in rows):
        told = [r for r in rows if r.target == target and r.probe == "pose_knn/knn"]
        if len(told) < 2:
            continue
        figure, axes = new_axes(3.2)
        place = np.arange(len(told))
        bars = 100 * np.array([whiskers(r.value, r.low, r.high) for r in told]).T
        look: dict[str, Any] = {"color": colour(0), "marker": marker(0), "markersize": 4, "capsize": 2}
        axes.errorbar(place, [100 * r.value for r in told], bars, **look)
        at = {r.layer: i for i, r in enumerate(told)}
        shuffled = [r for r in rows if r.target == target and r.probe == "pose_knn/shuffled"]
        axes.plot(
            [at[r.layer] for r in shuffled], [100 * r.value for r in shuffled], marker(1), color=GREY, markersize=3
        )
        axes.axhline(50, color=GREY, linestyle="--", linewidth=1)
        names = [clipped(r.layer, 16) for r in told]
        axes.set_xticks(place, names, rotation=30 if len(told) > 6 else 0)
        axes.set_xlim(-0.3, len(told) - 0.7)
        axes.set_ylim(min(40, *(100 * (r.low or r.value) - 2 for r in told)), 102)
        axes.set_xlabel("layer, from the image to the output")
        axes.set_ylabel(f"% told by neighbours (n = {told[0].n:,})")
        title = f"{target}, small or large, by neighbours against depth"
        yield Drawn(
            f"pose_depth_{slug(target)}.svg", figure, title, _CAPTION.format(target=target), "analysis/pose_knn"
        )
