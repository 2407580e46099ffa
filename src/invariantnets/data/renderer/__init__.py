"""A procedural renderer of faces: identities from a continuous space, nuisances known exactly. See docs/faces.md."""

from __future__ import annotations

from invariantnets.data.renderer.nuisances import HABITS, NUISANCES, RANGES, check_ranges, frontal, nuisances
from invariantnets.data.renderer.person import ASYMMETRIC, CODE, MASCULINE, TONED, identity
from invariantnets.data.renderer.render import Rendering, render, shapes
from invariantnets.data.renderer.surface import WINDOW

__all__ = [
    "ASYMMETRIC",
    "CODE",
    "HABITS",
    "MASCULINE",
    "NUISANCES",
    "RANGES",
    "TONED",
    "WINDOW",
    "Rendering",
    "check_ranges",
    "frontal",
    "identity",
    "nuisances",
    "render",
    "shapes",
]
