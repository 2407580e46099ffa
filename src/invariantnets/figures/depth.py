"""Of one run, how much each probe reads of a nuisance at every layer."""

from __future__ import annotations

from collections.abc import Iterator

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.layers import by_layer
from invariantnets.figures.style import GREY, LEAST_R2, curves, legend_above, new_axes
from invariantnets.results.select import select
from invariantnets.results.words import probe_name

__all__ = ["draw"]

_CAPTION = (
    "How much of the {target} can be read at each layer, by the probes that are not told the answer; dotted is the "
    "strongest of them, chosen out of fold. The {target} is lost where the lines fall. A gap is a probe that "
    "failed, which is not invariance; nor is a line below 0, a reader that does not carry over to the test rows (below "
    "−0.5 it leaves the figure); and wide layers are easier to read linearly, so compare the dotted line first."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each nuisance that was probed at two layers or more."""
    runs = scene.depths[""]
    for target in scene.chosen:
        rows = [r for r in select(runs[0], "r2", target) if not r.uses_answer]
        layers = list(dict.fromkeys(r.layer for r in rows))
        if len(layers) < 2:
            continue
        figure, axes = new_axes(3.2)
        series = {}
        for probe, title in {r.probe: r.title for r in rows}.items():
            curve = by_layer(runs, "r2", target, probe)
            series[probe_name(probe, title)] = {layers.index(at): spread for at, spread in curve.items()}
        strongest = series.pop(probe_name("strongest"), {})
        curves(axes, series, 1)
        axes.plot(list(strongest), [s.mean for s in strongest.values()], "k:", linewidth=1.6, label="strongest of them")
        axes.axhline(0, color=GREY, linestyle="--", linewidth=1, label="chance")
        axes.set_xticks(range(len(layers)), layers, rotation=30 if len(layers) > 6 else 0)
        axes.set_xlim(-0.3, len(layers) - 0.7)
        axes.set_xlabel("layer, from the image to the output")
        axes.set_ylabel(f"R² of {target}")
        axes.set_ylim(max(axes.get_ylim()[0], LEAST_R2), 1.02)
        legend_above(figure, axes)
        caption = _CAPTION.format(target=target) + scene.fewer
        yield Drawn(f"depth_{slug(target)}.svg", figure, f"{target} against depth", caption, "leaks")
