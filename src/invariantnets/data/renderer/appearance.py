"""From surface to picture: what is painted where, and the light on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from invariantnets.data.renderer import anatomy, surface
from invariantnets.data.renderer.scene import Pen, column

MAPS = (*anatomy.FIELDS, "across", "along", "hollow")
UNPAINTED = 2  # hull and radius have done their work before anything is painted
AMBIENT, DIFFUSE, WRAP, GLOSS = 0.28, 0.85, 0.25, 0.13


def grown(maps: dict[str, Tensor]) -> Tensor:
    """The outer radius: skin, and hair where hair grows, thin at its edge."""
    across, _ = surface.slopes(maps["hair"])
    maps["hair"].mul_(across.square_().mul_(1 / 85**2).add_(1).rsqrt_())  # heights become distances
    cover = (maps["hair"] * (1 / 15)).add_(0.1).clamp_(0, 1)
    return torch.lerp(maps["radius"], maps["hull"], cover.mul_(2 - cover))


def hollow(radius: Tensor) -> Tensor:
    """How far the surface lies below its surroundings (mm): a cheap ambient occlusion."""
    coarse = F.avg_pool2d(radius[:, None], 4, 4)
    coarse = F.avg_pool2d(coarse, 3, 1, 1, count_include_pad=False)
    smooth = F.interpolate(coarse, size=radius.shape[1:], mode="bilinear", align_corners=False)
    return (smooth[:, 0] - radius).clamp(-6, 10)


def paint(on: dict[str, Tensor], colours: dict[str, Tensor], pen: Pen) -> tuple[Tensor, Tensor]:
    """Albedo ``(3, B, S, S)`` and gloss ``(B, S, S)``."""
    shade = on["pigment"].exp()
    flush = on["redness"] * colours["flush"][:, None, None]
    albedo = column(colours["skin"]) * shade * (1 - flush * flush.new_tensor((-0.06, 0.26, 0.24))[:, None, None, None])
    strand = (1 + 0.28 * on["grain"]).clamp_min_(0.3)
    beard = torch.sigmoid(on["beard"] * 0.6).mul_(colours["beard"][:, None, None]).mul_(0.88)
    albedo.lerp_(column(colours["hair"] * 0.9) * strand, beard)
    lips = pen.band(on["lip_above"], on["lip_below"])
    albedo.lerp_(column(colours["lips"]) * shade, lips * 0.9)
    inside = pen.band(on["mouth_above"], on["mouth_below"])
    teeth = pen.edge(6.0 - on["mouth_above"]).mul_(pen.edge(on["mouth_above"] - 0.6))
    mouth = albedo.new_tensor((0.045, 0.012, 0.010))[:, None, None, None].expand_as(albedo)
    mouth = torch.lerp(mouth, albedo.new_full((), 0.62).expand_as(albedo), teeth)
    albedo.lerp_(mouth, inside)
    rim = pen.band(on["lid_above"] + 1.5, on["lid_below"] + 0.7)
    albedo.lerp_(albedo * 0.25, rim)
    eye = pen.band(on["lid_above"], on["lid_below"])
    ball = albedo.new_tensor((0.62, 0.58, 0.55))[:, None, None, None] * (
        0.45 + 0.55 * (on["lid_above"] * 0.3).clamp(0, 1)
    )
    ball = torch.lerp(ball, column(colours["iris"]), pen.edge(on["iris"]))
    ball = torch.lerp(ball, ball * 0.12, pen.edge(on["iris"] - 2.4))
    albedo.lerp_(ball, eye)
    brow = pen.band(on["brow_above"], on["brow_below"])
    albedo.lerp_(column(colours["brow"]).expand_as(albedo), brow.mul_(0.85))
    hair = torch.sigmoid((on["hair"] + 2.0 * on["grain"]) * min(0.7, 1.6 / pen.pixel))
    albedo.lerp_(column(colours["hair"]) * strand, hair)
    gloss = (1 - 0.6 * hair + 1.2 * lips + 0.4 * eye) * (1 - beard)
    return albedo, gloss


def normals(hits: surface.Hits, on: dict[str, Tensor], scale: Tensor) -> tuple[Tensor, Tensor]:
    """Unit normals ``(3, B, S, S)`` and 1 / slope of the surface's equation, from its radii's slopes."""
    sin, cos = hits.x / hits.rho, hits.z / hits.rho
    turn = on["across"] / hits.rho
    wide, tall, deep = scale.T[..., None, None]
    n = torch.stack([(sin - turn * cos) / wide, -on["along"] / tall, (cos + turn * sin) / deep])
    inverse = torch.rsqrt(n.square().sum(0))
    return n.mul_(inverse), inverse


def cover(miss: Tensor, towards: Tensor, pen: Pen) -> Tensor:
    """Share of a pixel that the head covers.

    Rays that still approach the surface are hits; the others fade within a pixel of the silhouette.
    """
    return (1.3 - miss * (1 / pen.pixel) + 8 * towards.clamp_min(0)).clamp_(0, 1)


def lit(
    albedo: Tensor, gloss: Tensor, normal: Tensor, hollows: Tensor, light: Tensor, view: Tensor, strength: Tensor
) -> Tensor:
    """Linear-light colours: ambient with occlusion, wrapped diffuse and a highlight.

    Args:
        albedo: ``(3, B, S, S)``.
        gloss: ``(B, S, S)``.
        normal: ``(3, B, S, S)`` in head coordinates, as are the next two.
        hollows: ``(B, S, S)`` from ``hollow``.
        light: ``(3, B, 1, 1)``, towards the light.
        view: ``(3, B, 1, 1)``, towards the camera.
        strength: ``(B,)``.
    """
    strength = strength[:, None, None]
    open_sky = (1 - 0.085 * hollows).clamp_(0.35, 1.25)
    facing = (normal * light).sum(0)
    diffuse = ((facing + WRAP) * (1 / (1 + WRAP))).clamp_min_(0)
    ambient = (AMBIENT + 0.10 * normal[1]) * open_sky
    halfway = F.normalize(light + view, dim=0)
    shine = (normal * halfway).sum(0).clamp_(0, 1).pow(24) * gloss * (GLOSS * strength)
    return albedo * (ambient + diffuse * open_sky * (DIFFUSE * strength)) + shine * (facing > 0)
