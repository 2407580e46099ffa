"""What is changed of the pictures that a network is shown: a transformation of the pixels, or a nuisance drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from invariantnets.data import SyntheticFaces
from invariantnets.data.renderer.nuisances import NEUTRAL, NUISANCES
from invariantnets.errors import InvariantNetsError
from invariantnets.inspection.inspection import Specimen
from invariantnets.inspection.looking import Shown
from invariantnets.inspection.transforming import TRANSFORMATIONS, Amounts, Transformation

__all__ = ["Change", "changes"]

_STEPS = 2  # from the base to each end of a range


@dataclass(frozen=True)
class Change(Amounts):
    """A change of each picture that is shown, by a transformation of the pixels or of a nuisance.

    Attributes:
        drawn: the nuisance is exact: the picture is drawn anew.
        binary: there are two amounts only, without and with.
        pictures: rows of what is shown and the amount → ``(b, C, H, W)`` uint8.
    """

    drawn: bool
    binary: bool
    pictures: Callable[[np.ndarray, float], Tensor]


def changes(specimen: Specimen, shown: Shown, wanted: Sequence[str] | None, border: str) -> list[Change]:
    """All changes that can be made, or those that were asked for: of the pixels first, then of exact nuisances.

    Args:
        specimen: whose pictures.
        shown: which of them.
        wanted: names; None: all.
        border: what fills a picture that moved; one of `transforming.BORDERS`.

    Raises:
        InvariantNetsError: one that is not there.
    """
    found = [_of_pixels(shown, t, border) for t in TRANSFORMATIONS.values()]
    images = specimen.images
    if isinstance(images, SyntheticFaces):
        units = {n.name: n for n in NUISANCES}
        found += [_drawn(images, shown, n.name, units[n.name].unit) for n in images.spec.nuisances]
    if wanted is None:
        return found
    known = {change.name for change in found}
    for name in wanted:
        if name not in known:
            exact = (
                "" if isinstance(images, SyntheticFaces) else "; nuisances are drawn anew of data=synthetic_faces alone"
            )
            raise InvariantNetsError(
                f"inspect.invariance.transformations: there is no {name!r}; choose from "
                f"{', '.join(c.name for c in found)}{exact}"
            )
    return [change for change in found if change.name in wanted]


def _of_pixels(shown: Shown, of: Transformation, border: str) -> Change:
    def pictures(rows: np.ndarray, strength: float) -> Tensor:
        return of.apply(shown.pixels(rows), strength, border)

    return Change(of.name, of.axis, of.strengths, of.base, of.stated, of.said, False, False, pictures)


def _drawn(images: SyntheticFaces, shown: Shown, name: str, unit: str) -> Change:
    """All else of the picture stays as it is; what it takes for the nuisance to show is there at every amount."""
    binary = next(n for n in NUISANCES if n.name == name).kind == "binary"
    # Of frames of a video alone are noise and the like, and only glasses are dark.
    needed = {"dark_glasses": "glasses", **dict.fromkeys(("blur", "noise", "compression"), "video_frame")}
    fixed = {needed[name]: 1.0} if name in needed else {}
    strengths: tuple[float, ...] = (0.0, 1.0)
    base, stated = 0.0, 1.0
    if not binary:
        spread = images.ranges[name]
        ends = [float(spread)] if isinstance(spread, int | float) else [float(v) for v in spread]
        low, high = ends[0], ends[-1]
        base = min(max(NEUTRAL[name], low), high)
        steps = [*np.linspace(low, base, _STEPS + 1), *np.linspace(base, high, _STEPS + 1)]
        strengths = tuple(sorted({round(float(v), 6) for v in steps} | {base}))
        far = high if high - base >= base - low else low
        stated = min(strengths, key=lambda v: abs(v - (base + far) / 2))
    text = name.replace("_", " ")
    mark = unit if unit == "°" else ""
    said = text if binary else f"{text} from {base:g} to {stated:g}{mark}"
    axis = f"{text} ({unit})" if unit else text
    return Change(
        name, axis, strengths, base, stated, said, True, binary, partial(_redrawn, images, shown, name, fixed)
    )


def _redrawn(
    images: SyntheticFaces, shown: Shown, name: str, fixed: dict[str, float], rows: np.ndarray, strength: float
) -> Tensor:
    return images.redrawn("test", shown.image[torch.from_numpy(rows)], {**fixed, name: strength})
