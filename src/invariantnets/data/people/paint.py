"""Colours of skin, face, hair and clothes, light, and what is behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from invariantnets.data.people.cloth import HAIR, SKIRT
from invariantnets.data.people.mesh import KIND, KINDS, Body
from invariantnets.data.people.person import BALD, GAMMA, Outfits, People
from invariantnets.data.renderer.scene import background, variety

# Of the mean body, in metres.
EYES = (0.0308, 0.7284)  # how far an eye is from the middle, and its height
WAIST, COLLAR = 0.115, 0.590  # heights
# Hair begins at this height, by how far behind the face it is.
HAIRLINE = ((-0.17, -0.118, -0.088, -0.074, -0.05, -0.03, 0.04), (0.802, 0.782, 0.745, 0.700, 0.700, 0.672, 0.655))
# A joint is seen through so many times its way to the nearest skin, but through so many metres at least, and at most
# so many more than that way: between what is before a joint that faces the camera, and what is where it does not.
THROUGH, SKIN_DEEP, BODY_DEEP = 3.3, 0.035, 0.1


class Sitter(NamedTuple):
    """One person to be drawn.

    Attributes:
        body: the mesh.
        colour: skin, hair, brow, iris, lips → ``(3,)`` linear-light RGB.
        beard: how dense, from 0 to 1.
        hair: how long, from 0 to 1.
        above: ``(V,)`` how far above the line where the hair begins, in metres of the mean body; ears are far below.
        flesh: ``(K,)`` how much of the person's own flesh is before a keypoint at most, in metres: 3.3 times the way
            from it to the nearest skin at rest, and 3.5 cm or more, but no more than 10 cm longer than that way.
    """

    body: Body
    colour: dict[str, np.ndarray]
    beard: float
    hair: float
    above: np.ndarray
    flesh: np.ndarray

    @classmethod
    def of(cls, body: Body, who: People, row: int, rest: np.ndarray) -> Sitter:
        """One of some people, whose vertices at rest are ``(V, 3)``."""
        x, y, z = body.canonical.T
        line = np.interp(y, *HAIRLINE) + who.hairline[row] * np.clip((-0.05 - y) / 0.06, 0, 1)
        line = line + 0.25 * np.clip(np.abs(x) - 0.045, 0, 1) * (y < -0.1)  # the temples
        skin = rest[body.kind >= 0]
        near = np.array([np.sqrt(((skin - joint) ** 2).sum(1).min()) for joint in body.keypoints @ rest])
        colour = {name: values[row].astype(np.float64) for name, values in who.colour.items()}
        return cls(
            body, colour, float(who.beard[row]), float(who.hair[row]), np.where(body.ears > 0.3, -1.0, z - line),
            np.clip(THROUGH * near, SKIN_DEEP, near + BODY_DEEP),
        )  # fmt: skip


def behind(scene: Mapping[str, float], size: int, box: np.ndarray) -> np.ndarray:
    """A wall, a floor and a soft shadow on it: ``(size, size, 3)`` linear light.

    Args:
        scene: name → value: of ``background``, ``clutter``, ``scene``.
        size: side of the picture.
        box: ``(4,)`` of the person.
    """
    values = {name: torch.tensor([scene[name]]) for name in ("background", "clutter", "scene")}
    wall = background(values, size)[:, 0].permute(1, 2, 0).double().numpy() ** (1 / GAMMA)
    tint = variety(values["scene"], 41)[0, 37:].double().numpy()
    middle, feet = (box[0] + box[2]) / 2, box[3]
    x, y = np.arange(size), np.arange(size)[:, None]
    floor = np.clip(y - feet + (0.03 + 0.22 * tint[3]) * size + 0.5, 0, 1)[..., None]
    shade = np.exp(-(((x - middle) / (0.16 * size)) ** 2) - ((y - feet + 0.012 * size) / (0.022 * size)) ** 2)
    ground = (0.25 + 0.75 * wall.mean()) * (0.55 + 0.6 * tint[:3]) * (1 - 0.55 * shade[..., None])
    return wall + floor * (ground - wall)


def shaded(
    sitter: Sitter, normal: np.ndarray, number: np.ndarray, share: np.ndarray, worn: Outfits, scene: Mapping[str, float]
) -> np.ndarray:
    """Linear-light RGB ``(n, 3)`` of points on the body.

    Args:
        sitter: the person.
        normal: ``(V, 3)`` unit normals before the camera: x to the right, y away, z up.
        number: ``(n,)`` of the triangle of each point.
        share: ``(n, 3)`` its barycentric coordinates there.
        worn: one outfit.
        scene: name → value: of the light's ``light_azimuth``, ``light_elevation``, ``light_strength``.
    """
    body = sitter.body
    field = np.column_stack([normal, body.canonical, body.limb, body.lips, sitter.above])
    a, b, c = body.faces[number].T
    value = field[a] * share[:, :1] + field[b] * share[:, 1:2] + field[c] * share[:, 2:]
    facing = value[:, :3] / np.maximum(np.sqrt(np.einsum("ni,ni->n", value[:, :3], value[:, :3])), 1e-9)[:, None]
    azimuth, elevation = np.deg2rad(scene["light_azimuth"]), np.deg2rad(scene["light_elevation"])
    towards = np.array([np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)])
    direct = np.clip((facing @ towards + 0.2) / 1.2, 0, 1)
    ambient = 0.30 + 0.14 * facing[:, 2] - 0.06 * facing[:, 1]
    return _painted(sitter, number, value[:, 3:], worn) * (ambient + 0.85 * scene["light_strength"] * direct)[:, None]


def _painted(sitter: Sitter, number: np.ndarray, value: np.ndarray, worn: Outfits) -> np.ndarray:
    """What colour each point is, ``(n, 3)``: skin, face, hair, clothes."""
    x, y, z, limb, lips, above = value.T
    sheet, ball = sitter.body.sheet[number], sitter.body.eye[number]
    tone, own = sitter.colour, sheet == 0
    kind = np.where(own, KIND[sitter.body.part[number]], -1)
    head, trunk, arm, leg = (kind == KINDS.index(name) for name in ("head", "torso", "arm", "leg"))
    found = np.broadcast_to(tone["skin"], (len(x), 3)).copy()

    def lay(where: np.ndarray, colour: np.ndarray, much: np.ndarray | float = 1.0) -> None:
        at = np.flatnonzero(where)
        weight = much[at][:, None] if isinstance(much, np.ndarray) else much
        found[at] += weight * (colour - found[at])

    face = head & (y < -0.08)
    lay(face, tone["lips"], np.clip(2 * lips, 0, 1))
    if sitter.beard > 0.3:
        low = (
            np.clip((0.672 - z) / 0.012, 0, 1) * np.clip((z - 0.600) / 0.015, 0, 1) * np.clip((-0.075 - y) / 0.01, 0, 1)
        )
        lay(head & (lips < 0.3), tone["hair"], 0.8 * sitter.beard * low)
    aside, over = np.abs(x) - EYES[0], z - EYES[1]
    arch = over - 0.021 + 6 * (aside - 0.004) ** 2 - 0.02 * aside
    lay(face & (np.abs(aside) < 0.02) & (np.abs(arch) < 0.0042), tone["brow"], 0.9)
    lay(face & (np.abs(aside) < 0.017) & (np.abs(over) < 0.007) & ~ball, 0.55 * tone["skin"], 0.6)
    off = np.hypot(aside, over)
    lay(ball, np.array((0.62, 0.60, 0.57)))
    lay(ball & (off < 0.0068), tone["iris"])
    lay(ball & (off < 0.003), np.array((0.01, 0.01, 0.01)))
    if sitter.hair > BALD:
        lay(head & (above > 0) & ~ball, tone["hair"], np.clip(above / 0.006, 0, 1))
    lay(sheet == HAIR, tone["hair"])
    open_neck = worn.neck * np.clip(1 - np.abs(x) / 0.09, 0, 1) * (y < -0.02)
    top = ((trunk | head) & (z >= WAIST) & (z < COLLAR - open_neck + 0.45 * np.abs(x))) | (arm & (limb < worn.sleeve))
    lay(top, worn.top)
    if worn.stripes:
        lay(top & (np.where(arm, 0.45 * limb, z) % 0.07 < 0.035), worn.second)
    lay((trunk & (z < WAIST)) | (leg & (limb < max(worn.leg, 0.12))) | (sheet == SKIRT), worn.bottom)
    if not worn.skirt:
        lay(trunk & (np.abs(z - WAIST) < 0.01), 0.5 * worn.bottom)
    lay((kind == KINDS.index("foot")) | (leg & (limb > 0.985)), worn.shoes)
    return found
