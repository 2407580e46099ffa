"""Where in the network a nuisance goes: what is left of it, and how well the class is known, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene, slug
from invariantnets.figures.pareto import family
from invariantnets.figures.style import GREY, LEAST_R2, WIDTH, curves, legend_above
from invariantnets.results.select import CLASS_ACCURACY, Runs, Spread, kept, over_runs

__all__ = ["by_layer", "draw", "layered", "layers_figure"]

_CAPTION = (
    "From the image to the output: how much of the {target} the strongest honest probe reads at each layer{below}. A "
    "method forgets where its line falls; a line that is interrupted has a layer where every probe failed, which says "
    "nothing about invariance; nor does a line below 0, a reader that does not carry over to the test rows (below "
    "−0.5 it leaves the figure). {shown} of {count}: of each family the one that keeps least at its last layer. "
    "Whiskers: {whiskers}."
)
Curve = dict[str, Spread]


def draw(scene: Scene) -> Iterator[Drawn]:
    """Of each nuisance, the groups of each data set that were probed at two layers or more."""
    for target in scene.chosen:
        for data, part in scene.by_data(scene.depths).items():
            if figure := layers_figure(part, target, scene.accuracy):
                below = f", and below it {scene.accuracy[0]}" if len(figure.axes) > 1 else ""
                wording = {"target": target, "below": below, "whiskers": scene.whiskers}
                shown = {"shown": len(layered(part, target)), "count": len(part)}
                caption = _CAPTION.format(**wording, **shown) + scene.fewer
                drawn = Drawn(f"layers_{slug(target)}.svg", figure, f"Where the {target} goes", caption, "leaks")
                yield scene.of_data(drawn, data)


def by_layer(runs: Runs, metric: str, target: str, probe: str) -> Curve:
    """Layer → one measurement over the runs, from the image to the output, of the layers where it was made.

    Args:
        runs: the results of each, of all layers.
        metric: e.g. ``r2``.
        target: e.g. ``angle``.
        probe: which one.
    """
    layers = dict.fromkeys(r.layer for results in runs for r in results)
    parts = {at: over_runs([[r for r in rs if r.layer == at] for rs in runs], metric, target, probe) for at in layers}
    return {layer: found[None] for layer, found in parts.items() if None in found}


def layered(groups: Mapping[str, Runs], target: str) -> list[str]:
    """The groups to draw: of each family that was probed at two layers or more, the one that keeps least at its last.

    Args:
        groups: name → the results of each of its runs, of all layers.
        target: the nuisance.
    """
    least: dict[str, tuple[float, str]] = {}
    for name, runs in groups.items():
        curve = list(by_layer(runs, "r2", target, "strongest"))
        if len(curve) > 1:
            last = kept([[r for r in results if r.layer == curve[-1]] for results in runs], target)
            mean = last.mean if last is not None and last.runs else float("inf")
            least[family(name)] = min((mean, name), least.get(family(name), (mean, name)))
    return [name for _, name in least.values()]


def layers_figure(
    groups: Mapping[str, Runs], target: str, accuracy: tuple[str, str, str, str] = CLASS_ACCURACY
) -> Figure | None:
    """R² of the strongest honest probe, and accuracy below it where it was measured, against the layers in their order.

    Args:
        groups: name → the results of each of its runs, of all layers.
        target: the nuisance.
        accuracy: name, metric, target and probe of what should stay high, a fraction.

    Returns:
        The figure; None where no run was probed at two layers.
    """
    shown = {name: groups[name] for name in layered(groups, target)}
    if not shown:
        return None
    parts = [
        {name: by_layer(runs, *what) for name, runs in shown.items()}
        for what in (("r2", target, "strongest"), accuracy[1:])
    ]
    order = list(dict.fromkeys(layer for part in parts for curve in part.values() for layer in curve))
    panels = 2 if any(parts[1].values()) else 1
    figure = Figure(figsize=(WIDTH, 2.5 * panels), layout="constrained")
    every = figure.subplots(panels, sharex=True, squeeze=False)[:, 0]
    for axes, part, scale in zip(every, parts[:panels], (1, 100)[:panels], strict=True):
        placed = {name: {order.index(at): s for at, s in curve.items()} for name, curve in part.items()}
        curves(axes, placed, scale)
    above, last = every[0], every[-1]
    above.axhline(0, color=GREY, linestyle="--", linewidth=1)
    above.set_ylim(max(above.get_ylim()[0], LEAST_R2), 1.02)
    if last is not above:
        last.set_ylabel(f"{accuracy[0]} (%)")
    above.set_ylabel(f"R² of {target}")
    last.set_xticks(range(len(order)), order, rotation=30 if len(order) > 6 else 0)
    last.set_xlabel("layer, from the image to the output")
    legend_above(figure, above)
    return figure
