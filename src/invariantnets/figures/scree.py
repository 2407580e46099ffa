"""Figure 6 of Rudd et al. (2016): how the variance of the features falls off."""

from __future__ import annotations

from collections.abc import Iterator

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import PALETTE, legend_above, new_axes
from invariantnets.results.select import FEATURES, select

__all__ = ["draw"]

_CAPTION = (
    "Singular values of the mean-centred test features, scaled to [-1, 1]: the spread along each direction, largest "
    "first. Features that kept the class alone would fall to zero at the ideal rank (classes − 1: so many directions "
    "part so many classes). The effective rank is the number of equally strong directions that would be as spread "
    "out. A long tail is variance within classes, which need not be the nuisance; and little variance can still be "
    "read perfectly."
)


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where the features were described."""
    rows = select(scene.run, "singular_value", FEATURES, by="component")
    values = {int(r.where["component"]): r.value for r in rows}
    if not values:
        return
    figure, axes = new_axes(3.0)
    component = sorted(values)
    axes.plot(component, [values[c] for c in component], color=PALETTE[0], marker="o", markersize=3, linewidth=1)
    for metric, name, colour, style in (
        ("ideal_rank", "ideal rank", PALETTE[1], "-"),
        ("effective_rank", "effective rank", PALETTE[2], "--"),
    ):
        for r in select(scene.run, metric, FEATURES):
            beyond = " (off the axis)" if r.value > component[-1] else ""
            if not beyond:
                axes.axvline(r.value, color=colour, linestyle=style, linewidth=1.2)
            axes.plot([], [], color=colour, linestyle=style, linewidth=1.2, label=f"{name} {r.value:.4g}{beyond}")
    axes.set_xlim(0, component[-1] + 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("component")
    axes.set_ylabel("singular value")
    legend_above(figure, axes)
    yield Drawn("scree.svg", figure, "Scree diagram", _CAPTION, "description")
