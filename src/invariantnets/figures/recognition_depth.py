"""Of one run, how well people or classes are told at every layer, above what is read of nuisances there."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.layers import by_layer
from invariantnets.figures.style import GREY, LEAST_R2, WIDTH, curves, legend_above
from invariantnets.results.select import CLASS_ACCURACY, IDENTITY, Spread

__all__ = ["draw"]

# Name, metric, target and probe of what is drawn above. Of people it is what Zhong and Deng (2018) print in table II.
_TOLD = (
    ("verification accuracy", "accuracy", IDENTITY, "verification/cosine"),
    ("verification AUC", "auc", IDENTITY, "verification/cosine"),
    CLASS_ACCURACY,
)
_CAPTION = (
    "Above: how well the features of each layer tell {whom}; dashed: chance.{below} "
    "Whiskers: {whiskers}{people}. A cosine weighs all features alike, so that a layer may hold more of who it is "
    "than it tells here; layers of very many features are read after a random projection, which costs some of it; and "
    "layers share their images, so that two of them may differ though their whiskers overlap.{fewer}"
)

_BELOW = (
    " Below: R² of nuisances by the strongest honest probe. A layer that discriminates rises above; one that forgets "
    "falls below, and the two need not go together."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where two layers or more were measured."""
    runs = scene.depths.get("", [[]])
    told = {name: by_layer(runs, *what) for name, *what in _TOLD}
    told = {name: curve for name, curve in told.items() if len(curve) > 1}
    if not told:
        return
    read = {target: by_layer(runs, "r2", target, "strongest") for target in scene.chosen}
    read = {target: curve for target, curve in read.items() if len(curve) > 1}
    people = any(name != CLASS_ACCURACY[0] for name in told)
    whom = "whether two pictures are of one person (10 folds of pairs, by the cosine)" if people else "the class"
    first = next(what[1:] for what in _TOLD if what[0] in told)
    chance = next(r.chance for r in runs[0] if (r.metric, r.target, r.probe) == first)
    over = ", of verification over people" if people else ""
    wording = {"below": _BELOW if read else "", "fewer": scene.fewer if read else ""}
    caption = _CAPTION.format(whom=whom, whiskers=scene.whiskers, people=over, **wording)
    figure = _figure(told, read, chance)
    yield Drawn("recognition_depth.svg", figure, "Recognition against depth", caption, "recognition")


def _figure(told: dict[str, dict[str, Spread]], read: dict[str, dict[str, Spread]], chance: float | None) -> Figure:
    """Both panels, or the upper alone where no nuisance was read at two layers."""
    layers = list(dict.fromkeys(at for part in (told, read) for curve in part.values() for at in curve))
    panels = 2 if read else 1
    figure = Figure(figsize=(WIDTH, 0.8 + 2.1 * panels), layout="constrained")
    every = figure.subplots(panels, sharex=True, squeeze=False)[:, 0]
    # One list of names for both panels, each with a look of its own.
    names = [*told, *read]
    for axes, part, scale in zip(every, (told, read)[:panels], (100, 1)[:panels], strict=True):
        placed = {n: {layers.index(at): s for at, s in part.get(n, {}).items()} for n in names}
        curves(axes, placed, scale)
    above, last = every[0], every[-1]
    above.set_ylabel("told (%)")
    if chance is not None:
        above.axhline(100 * chance, color=GREY, linestyle="--", linewidth=1)
    if last is not above:
        last.axhline(0, color=GREY, linestyle="--", linewidth=1)
        last.set_ylabel("R² (strongest)")
        last.set_ylim(max(last.get_ylim()[0], LEAST_R2), 1.02)
        for line in last.containers:
            above.errorbar([], [], color=line[0].get_color(), marker=line[0].get_marker(), markersize=4,
                           linestyle=line[0].get_linestyle(), linewidth=1.2, label=line.get_label())  # fmt: skip
    last.set_xticks(range(len(layers)), layers, rotation=30 if len(layers) > 6 else 0)
    last.set_xlabel("layer, from the image to the output")
    legend_above(figure, above)
    return figure
