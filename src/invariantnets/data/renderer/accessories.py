"""Glasses, hat, scarf and clothes."""

from __future__ import annotations

import torch
from torch import Tensor

from invariantnets.data.renderer import anatomy, surface
from invariantnets.data.renderer.scene import Pen, column, variety

SHELL_X, SHELL_Z = 84.0, 109.0  # half axes (mm) of the elliptic cylinder that holds the glasses
LENS_X, LENS_Y = 32.5, 37.0


def hat(cos: Tensor, y: Tensor) -> Tensor:
    """Height (mm) above the brim of a woollen hat, for cos θ."""
    return y - 78 + 22 * (1 - cos)


def scarf(cos: Tensor, y: Tensor) -> Tensor:
    """Depth (mm) below the edge of a scarf."""
    return 16 * (1 - cos) - 86 - y


def clothes(cos: Tensor, y: Tensor) -> Tensor:
    """Depth (mm) below a collar."""
    return 7 * (1 - cos) - 102 - y


def dressed(radius: Tensor, skin: Tensor, wears_hat: Tensor, wears_scarf: Tensor) -> Tensor:
    """The outer radius ``(B, ROWS, COLUMNS)`` with hat and scarf; ``skin`` is the radius without hair."""
    theta, y = (torch.from_numpy(axis).to(radius) for axis in anatomy.grid())
    cos = theta.cos()
    if wears_hat.any():
        above = hat(cos, y)
        cap = 13 + 4 * torch.sigmoid((20 - above) / 2)
        radius = torch.lerp(radius, skin + cap, wears_hat[:, None, None] * (above / 5).clamp(0, 1))
    if wears_scarf.any():
        below = scarf(cos, y)
        fold = 17 + 3 * torch.sin(below / 4)
        outer = torch.maximum(radius, skin + fold)
        radius = torch.lerp(radius, outer, wears_scarf[:, None, None] * (below / 9).clamp(0, 1))
    return radius


def cloth(scene: Tensor) -> Tensor:
    """Three muted colours ``(B, 3, 3)`` of a picture."""
    tints = variety(scene, 9).view(-1, 3, 3).square()
    return 0.02 + 0.55 * torch.lerp(tints, tints.mean(2, keepdim=True), 0.45)


def dress(albedo: Tensor, gloss: Tensor, hits: surface.Hits, nuisance: dict[str, Tensor], pen: Pen) -> None:
    """Paint clothes, scarf and hat over ``(3, B, S, S)``, in place."""
    cos = hits.z / hits.rho
    tints = cloth(nuisance["scene"])
    one = torch.ones_like(nuisance["hat"])
    for i, (shape, worn) in enumerate(((clothes, one), (scarf, nuisance["scarf"]), (hat, nuisance["hat"]))):
        if not worn.any():  # nobody's, as in most videos: it would change nothing
            continue
        cover = pen.edge(shape(cos, hits.y)).mul_(worn[:, None, None])
        albedo.lerp_(column(tints[:, i]), cover)
        gloss.mul_(1 - cover)


def glasses(
    colour: Tensor, face: Tensor, origin: Tensor, direction: Tensor, nuisance: dict[str, Tensor], pen: Pen
) -> Tensor:
    """Frames, lenses and arms on an elliptic cylinder before the face, hidden where the face is nearer.

    Args:
        colour: ``(3, B, S, S)`` linear light; every row wears glasses.
        face: ``(B, S, S)``, depth of the face along the rays.
        origin: of the rays.
        direction: of the rays.
        nuisance: of these rows.
        pen: for the edges.
    """
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    a = (dx / SHELL_X).square() + (dz / SHELL_Z).square()
    b = ox * (dx / SHELL_X**2) + oz * (dz / SHELL_Z**2)
    c = (ox / SHELL_X).square() + (oz / SHELL_Z).square() - 1
    inside = b * b - a * c
    depth = (inside.clamp_min(0).sqrt() - b) / a
    x, y, z = ox + depth * dx, oy + depth * dy, oz + depth * dz
    style = variety(nuisance["scene"] + 0.37, 6)[..., None, None]
    across, up = (x.abs() - LENS_X) / (22 + 3 * style[:, 0]), (y - LENS_Y) / (15 + 6 * style[:, 1])
    square = (across.square().square() + up.square().square()).sqrt().sqrt()
    round_ = torch.hypot(across, up)
    rim = (torch.lerp(round_, square, style[:, 2].expand_as(square)) - 1) * 18
    thick = 0.8 + 1.2 * style[:, 3]
    front = (z > 0) & (x.abs() < 64)
    frame = pen.band(rim + thick, thick - rim) * front
    bridge = pen.band(y - 39, 42 - y) * (x.abs() < 10) * front
    arm = pen.band(y - 40 + 0.6 * thick, 43 - y) * ((x.abs() > 55) & (z > -5))
    seen = (depth > face - 3) & (inside > 0)
    lens = pen.edge(-rim) * front * seen
    dark = nuisance["dark_glasses"][:, None, None]
    colour = torch.lerp(colour, colour.new_full((), 0.02).expand_as(colour), lens * (0.06 + 0.86 * dark))
    metal = column(cloth(nuisance["scene"] + 0.61)[:, 0] * 0.25)
    return torch.lerp(colour, metal.expand_as(colour), (frame + bridge + arm).clamp_(0, 1) * seen)
