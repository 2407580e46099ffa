"""Which groups of a sweep are laid over each other, where more would not be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from invariantnets.figures.drawing import Scene
from invariantnets.figures.pareto import frontier, points
from invariantnets.figures.style import PALETTE
from invariantnets.results.select import Runs

__all__ = ["overlaid"]

_UNBEATEN = (
    " Of {count} {groups}, {shown} can be told apart: the first, {some}those that none beats both in accuracy and in "
    "what is left of the {target}, then others in their order."
)
_MORE = " Of {count} {groups}, the first {shown}: more could not be told apart."


def overlaid(scene: Scene, groups: Mapping[str, Runs]) -> tuple[Mapping[str, Runs], str]:
    """At most as many groups as there are colours, and what the caption says of the others.

    Args:
        scene: whose nuisances and accuracy decide.
        groups: of the scene.
    """
    most = len(PALETTE)
    if len(groups) <= most:
        return groups, ""
    wording = {
        "count": len(groups),
        "shown": most,
        "groups": "methods" if set(groups) <= set(scene.methods) else "groups",
    }
    for target in scene.chosen[:1]:
        best = frontier(points(groups, target, scene.accuracy))
        some = f"{most - 1} of " if len(best) >= most else ""
        if some:  # evenly along the frontier, with its ends
            best = [best[i * (len(best) - 1) // (most - 2)] for i in range(most - 1)]
        names = set(islice(dict.fromkeys([next(iter(groups)), *best, *groups]), most))
        return {name: groups[name] for name in groups if name in names}, _UNBEATEN.format(
            **wording, some=some, target=target
        )
    return dict(islice(groups.items(), most)), _MORE.format(**wording)
