"""Shares of the variance of features: who it is, then each nuisance within."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure

from invariantnets.figures.drawing import Drawn, Scene
from invariantnets.figures.style import GREYS, PALETTE, clipped, legend_above, new_axes
from invariantnets.results.result import Result

__all__ = ["draw", "shares_figure"]

_CAPTION = (
    "What the variance of all features together is made of: who is on the image, then each nuisance in turn, as far as "
    "people and those before it have not explained it already, and the rest. Below: the same of labels and nuisances "
    "that are shuffled: so much is explained by chance, and the more of it the fewer images there are of each person. "
    "Nuisances that go together share what they explain, and the first in turn gets it. Numbers come in bins, and what "
    "is within a bin is in the rest. A small share can still be read without error: it is enough that it lies in a "
    "direction of its own."
)
MOST = 6  # nuisances, as there are colours beside that of people


def draw(scene: Scene) -> Iterator[Drawn]:
    """Where it was measured."""
    found = [r for r in scene.run if r.probe == "nesting/each in turn"]
    if found:
        title = "Variance of the features: who it is, then what varies within"
        yield Drawn("nesting.svg", shares_figure(found), title, _CAPTION, "analysis/nesting")


def shares_figure(results: Sequence[Result]) -> Figure:
    """Two stacked bars: what is explained in turn, and what would be by chance.

    Args:
        results: of people, of each nuisance in turn, and of the rest.
    """
    shares = {str(r.where["of"]): (r.value, r.chance or 0.0) for r in results}
    shares.pop("the rest")
    people, *nuisances = shares
    largest = sorted(nuisances, key=lambda name: -shares[name][0])[:MOST]
    shown = [name for name in nuisances if name in largest]
    parts = [(people, *shares[people], PALETTE[0])]
    parts += [(clipped(name, 24), *shares[name], PALETTE[1 + i]) for i, name in enumerate(shown)]
    if merged := [shares[name] for name in nuisances if name not in largest]:
        first, second = (sum(values) for values in zip(*merged, strict=True))
        parts.append((f"{len(merged)} others", first, second, GREYS[0]))
    explained, guessed = sum(part[1] for part in parts), sum(part[2] for part in parts)
    parts.append(("the rest", 1 - explained, 1 - guessed, GREYS[2]))
    figure, axes = new_axes(1.7)
    reached = [0.0, 0.0]
    for name, value, chance, colour in parts:
        axes.barh(
            [1, 0],
            [100 * value, 100 * chance],
            left=reached,
            color=colour,
            height=0.6,
            label=f"{name} {100 * value:.1f} %",
        )
        reached = [reached[0] + 100 * value, reached[1] + 100 * chance]
    axes.set_yticks([1, 0], ["features", "shuffled"])
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the variance (%)")
    legend_above(figure, axes, columns=3)
    return figure
