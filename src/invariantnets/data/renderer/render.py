"""Codes and nuisances in, pictures and landmarks out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from invariantnets.data.renderer import accessories, anatomy, appearance, basis, person, quality, surface
from invariantnets.data.renderer.nuisances import NAMES, SCENE
from invariantnets.data.renderer.scene import Pen, background
from invariantnets.errors import InvariantNetsError

PIXELS = 1 << 17  # of a chunk: its temporaries stay in the cache of a CPU
DEVICE_PIXELS = 1 << 23  # and fill an accelerator


@dataclass
class Rendering:
    """Pictures and where their landmarks are.

    Attributes:
        image: ``(B, 3, size, size)`` uint8, RGB.
        landmarks: ``(B, 68, 2)`` float32, (x, y) in pixels in iBUG's order; pixel centres are whole numbers.
    """

    image: Tensor
    landmarks: Tensor


@torch.no_grad()
def render(codes: Tensor, nuisance: Mapping[str, Tensor], size: int) -> Rendering:
    """Draw one picture per row, on the device of ``codes``.

    Args:
        codes: ``(B, D)`` points of the identity space.
        nuisance: name → ``(B,)``, as ``nuisances`` gives it.
        size: side of the pictures in pixels.

    Raises:
        InvariantNetsError: codes of another space, a nuisance that is missing, a size below 8.
    """
    missing = [name for name in (*NAMES, SCENE) if name not in nuisance]
    if missing:
        raise InvariantNetsError(
            f"render: nuisance lacks {', '.join(missing)}; take them from nuisances() or frontal()"
        )
    if codes.ndim != 2 or codes.shape[1] != len(person.CODE):
        raise InvariantNetsError(f"render: codes must be (B, {len(person.CODE)}), got {tuple(codes.shape)}")
    if size < 8:
        raise InvariantNetsError(f"render: size must be at least 8 pixels, got {size}")
    rows = max(1, (PIXELS if codes.device.type == "cpu" else DEVICE_PIXELS) // size**2)
    image = torch.empty(len(codes), 3, size, size, dtype=torch.uint8, device=codes.device)
    landmarks = torch.empty(len(codes), 68, 2, device=codes.device)
    # The largest temporary, written anew for each chunk: fresh memory costs page faults.
    maps = basis.room(min(rows, len(codes)), len(appearance.MAPS) - len(anatomy.FIELDS), codes.device)
    for start in range(0, len(codes), rows):
        chunk = slice(start, start + rows)
        values = {name: nuisance[name][chunk].to(codes) for name in (*NAMES, SCENE)}
        part = codes[chunk]
        drawn, landmarks[chunk] = _draw(part, values, size, maps[: len(part)])
        image[chunk] = _recorded(drawn, values)
    return Rendering(image, landmarks)


def _light(nuisance: dict[str, Tensor]) -> Tensor:
    """Unit vectors ``(B, 3)`` towards the light, in camera coordinates; azimuth 90° is the right of the picture."""
    azimuth, elevation = torch.deg2rad(nuisance["light_azimuth"]), torch.deg2rad(nuisance["light_elevation"])
    level = elevation.cos()
    return torch.stack([azimuth.sin() * level, elevation.sin(), azimuth.cos() * level], 1)


@torch.no_grad()
def shapes(codes: Tensor, nuisance: Mapping[str, Tensor]) -> Tensor:
    """The 68 landmarks of heads as they are, from the front and in mm: what `render` turns and projects.

    Args:
        codes: ``(B, D)`` points of the identity space.
        nuisance: name → ``(B,)``; of these the expression.

    Returns:
        ``(B, 68, 3)``: x to the right of the picture, y upwards, z towards the camera.
    """
    z = person.named(codes)
    parameters = _parameters(z, nuisance)
    maps = basis.fields(parameters, basis.room(len(codes), 0, codes.device))
    points = _landmarks(parameters, maps[:, anatomy.FIELDS.index("radius")])
    upright = torch.zeros(len(codes), device=codes.device)
    pose = surface.Pose.of(upright, upright, upright, *person.scale(z))
    return points * pose.scale[:, None] - pose.pivot


def _parameters(z: dict[str, Tensor], nuisance: Mapping[str, Tensor]) -> Tensor:
    values = {**person.parameters(z), **{name: nuisance[name] for name in anatomy.EXPRESSION}}
    return torch.stack([values[name] for name in anatomy.PARAMETERS], 1)


def _landmarks(parameters: Tensor, radius: Tensor) -> Tensor:
    theta, y = basis.landmarks(parameters).unbind(2)
    r = surface.sample(radius[:, None], surface.lookup((theta / 2).sin(), y)[:, None])[:, 0, 0]
    return torch.stack([r * theta.sin(), y, r * theta.cos()], 2)


def _draw(codes: Tensor, nuisance: dict[str, Tensor], size: int, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures ``(B, 3, size, size)`` in [0, 1] and landmarks of a chunk; ``maps`` is overwritten."""
    z = person.named(codes)
    parameters = _parameters(z, nuisance)
    pose = surface.Pose.of(nuisance["yaw"], nuisance["pitch"], nuisance["roll"], *person.scale(z))
    basis.fields(parameters, maps)
    named = dict(zip(appearance.MAPS, maps.unbind(1), strict=True))
    radius = accessories.dressed(appearance.grown(named), named["radius"], nuisance["hat"], nuisance["scarf"])
    named["across"][:], named["along"][:] = surface.slopes(radius)
    named["hollow"][:] = appearance.hollow(radius)
    caster = surface.Caster(radius, named["across"], named["along"], pose.direction)
    hits, origin = surface.intersect(caster, pose, size)

    painted = surface.sample(maps[:, appearance.UNPAINTED :], hits.at)
    on = dict(zip(appearance.MAPS[appearance.UNPAINTED :], painted.unbind(1), strict=True))
    pen = Pen(surface.WINDOW / size)
    albedo, gloss = appearance.paint(on, person.colours(z), pen)
    accessories.dress(albedo, gloss, hits, nuisance, pen)
    normal, inverse = appearance.normals(hits, on, pose.scale)
    light = torch.einsum("bij,bi->jb", pose.turn, _light(nuisance))[..., None, None]
    view = pose.turn[:, 2].T[..., None, None]
    colour = appearance.lit(albedo, gloss, normal, on["hollow"], light, view, nuisance["light_strength"])
    cover = appearance.cover(hits.miss * inverse, (normal * view).sum(0), pen)
    shown = torch.lerp(background(nuisance, size), colour, cover)
    wearing = nuisance["glasses"].nonzero()[:, 0]
    if len(wearing):
        worn = {name: value[wearing] for name, value in nuisance.items()}
        shown[:, wearing] = accessories.glasses(
            shown[:, wearing], hits.depth[wearing], origin[:, wearing], pose.direction[:, wearing], worn, pen
        )
    image = shown.clamp_(0, 1).sqrt_().transpose(0, 1).contiguous()  # gamma 2
    return image, pose.project(_landmarks(parameters, named["radius"]), size)


def _recorded(image: Tensor, nuisance: dict[str, Tensor]) -> Tensor:
    """Pictures as uint8, video frames degraded: in the memory that the drawing has left, not in fresh one."""
    frames = nuisance["video_frame"].nonzero()[:, 0]
    if len(frames) == len(image):
        image = quality.degrade(image, nuisance)
    elif len(frames):
        image[frames] = quality.degrade(image[frames], {name: value[frames] for name, value in nuisance.items()})
    return image.mul_(255).round_().to(torch.uint8)
