"""People in clothes, drawn: pictures, keypoints, what is seen of them, and which part each pixel shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch

from invariantnets.data.people.cloth import HAIR, SKIRT
from invariantnets.data.people.mesh import KINDS, Body
from invariantnets.data.people.paint import Sitter, behind, shaded
from invariantnets.data.people.person import BALD, GAMMA, HANGS, Outfits, People
from invariantnets.data.people.pose import rotations
from invariantnets.data.people.raster import rasterise

FINE = 2  # samples along the side of a pixel


class Figure(NamedTuple):
    """A person on a picture of ``size`` pixels; pixel centres are whole numbers.

    Attributes:
        image: ``(size, size, 3)`` uint8 RGB.
        keypoints: ``(K, 2)`` float64, x to the right and y down; left is the person's left.
        visible: ``(K,)`` bool: the foremost thing there is the person's own part around it. See docs/people.md.
        part: ``(size, size)`` uint8: 0 is the background, ``n`` is ``PARTS[n - 1]``; at the sample a quarter of a
            pixel left of, and above, each pixel's centre.
        box: ``(4,)`` float64: least x and y, greatest x and y, of all that is drawn of the person.
    """

    image: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    part: np.ndarray
    box: np.ndarray


class Placed(NamedTuple):
    """A body in front of the camera.

    Attributes:
        place: ``(V, 3)`` in pixels: x to the right, y down, and how far away.
        faces: ``(n,)`` numbers of the triangles that are drawn.
        normal: ``(V, 3)`` unit normals: x to the right, y away, z up.
        joints: ``(K, 3)`` keypoints, as ``place``.
        scale: pixels of a metre.
        box: ``(4,)`` as that of a `Figure`.
    """

    place: np.ndarray
    faces: np.ndarray
    normal: np.ndarray
    joints: np.ndarray
    scale: float
    box: np.ndarray


def posed(body: Body, who: People, row: int, poses: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One person in some poses.

    Args:
        body: the mesh.
        who: some people.
        row: which of them.
        poses: angle → ``(P,)`` degrees.

    Returns:
        ``(P, V, 3)``, and at rest ``(V, 3)``: metres, x to the person's left, y backwards, z up.
    """
    model, turned = body.model, rotations(poses)
    count = len(turned["head"])
    given = torch.eye(4).repeat(count, model.bone_count, 1, 1)
    for bone, matrix in turned.items():
        given[:, model.bone_labels.index(bone), :3, :3] = torch.from_numpy(matrix).float()
    shape, change = ({k: float(v[row]) for k, v in part.items()} for part in (who.phenotype, who.change))
    with torch.no_grad():
        rest = model(phenotype_kwargs=shape, local_changes_kwargs=change)
        moved, _ = model.get_bone_transforms(given, rest["rest_bone_poses"])
        # One by one: sums of a batch are rounded as its size has it, and a picture would depend on its neighbours.
        vertices = [model.get_skinned_vertices(rest["rest_vertices"], one[None]) for one in moved]
    return torch.cat(vertices).double().numpy(), rest["rest_vertices"][0].double().numpy()


def normals(body: Body, place: np.ndarray) -> np.ndarray:
    """``(V, 3)`` unit normals of vertices ``(V, 3)``, outwards: of the triangles around each, by their areas."""
    a, b, c = (place[corner] for corner in body.faces.T)
    found = body.around @ np.cross(b - a, c - a)
    return found / np.maximum(np.sqrt(np.einsum("vi,vi->v", found, found)), 1e-12)[:, None]


def _over(sitter: Sitter, worn: Outfits) -> np.ndarray:
    """``(V,)`` how far hair and clothes stand off the body, in metres."""
    kind, limb = sitter.body.kind, sitter.body.limb
    hair = np.clip(sitter.above / 0.03, 0, 1) * (0.008 + 0.014 * sitter.hair) * (sitter.hair > BALD)
    top, bottom = worn.loose
    upper = (kind == KINDS.index("torso")) | ((kind == KINDS.index("arm")) & (limb < worn.sleeve))
    lower = (kind == KINDS.index("leg")) & (limb < worn.leg)
    return hair + np.where(upper, top, 0) + np.where(lower, bottom * (0.6 + 1.2 * np.clip(limb, 0, 1)), 0)


def drawn_faces(sitter: Sitter, worn: Outfits) -> np.ndarray:
    """Numbers of the triangles that are drawn: hair as long as it is, and no body under a skirt."""
    body = sitter.body
    height = body.canonical[body.faces[:, 0], 2]
    hair = (body.sheet == HAIR) & (sitter.hair > HANGS) & (height > 0.86 - 0.42 * sitter.hair)
    if not worn.skirt:
        return np.flatnonzero((body.sheet == 0) | hair)
    corner = body.faces[:, 0]
    hidden = np.where(
        body.kind == KINDS.index("leg"), body.limb < 0.40, (body.kind == 1) & (body.canonical[:, 2] < 0.09)
    )
    return np.flatnonzero(((body.sheet == 0) & ~hidden[corner]) | hair | (body.sheet == SKIRT))


def placed(sitter: Sitter, vertices: np.ndarray, worn: Outfits, scene: Mapping[str, float], size: int) -> Placed:
    """A posed body before the camera: dressed, turned, and fitted into the picture with room around it.

    The camera has no perspective. At yaw and pitch 0 it stands level before the person.

    Args:
        sitter: the person.
        vertices: ``(V, 3)`` posed, as `posed` gives them.
        worn: one outfit.
        scene: name → value: of ``yaw``, ``pitch``, ``zoom``, ``across``, ``down``.
        size: side of the picture.
    """
    yaw, pitch = np.deg2rad(scene["yaw"]), np.deg2rad(scene["pitch"])
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    tip = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    view = tip @ turn
    normal = normals(sitter.body, vertices)
    seen = (vertices + _over(sitter, worn)[:, None] * normal) @ view.T
    faces = drawn_faces(sitter, worn)
    used = np.zeros(len(seen), bool)
    used[sitter.body.faces[faces].ravel()] = True
    low, high = (of(seen[used], 0) for of in (np.amin, np.amax))
    extent = high - low
    scale = float(scene["zoom"] * size / max(extent[0], extent[2]))
    left, above = (scene[name] * (size - scale * extent[axis]) - 0.5 for axis, name in ((0, "across"), (2, "down")))

    def pixels(at: np.ndarray) -> np.ndarray:
        return np.stack([left + scale * (at[:, 0] - low[0]), above + scale * (high[2] - at[:, 2]), scale * at[:, 1]], 1)

    box = np.array([left, above, left + scale * extent[0], above + scale * extent[2]])
    return Placed(pixels(seen), faces, normal @ view.T, pixels(sitter.body.keypoints @ vertices @ view.T), scale, box)


def seen_joints(sitter: Sitter, at: Placed, part: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """``(K,)`` whether a keypoint is seen: a part that carries it is foremost there, and not too far before it.

    "There" is any of the three by three samples around it, since toes and noses are at the edge of a body.

    Args:
        sitter: the person.
        at: the body before the camera.
        part: ``(H, W)`` of the foremost triangles, `FINE` samples along the side of a pixel.
        depth: ``(H, W)`` of them.
    """
    near = np.rint(FINE * (at.joints[:, :2] + 0.5) - 0.5).astype(int)
    found = np.zeros(len(near), bool)
    for step in np.ndindex(3, 3):
        column, row = np.clip(near + step - np.array(1), 0, len(part) - 1).T
        carried = sitter.body.carries[np.arange(len(near)), part[row, column]]
        found |= carried & (at.joints[:, 2] - depth[row, column] <= at.scale * sitter.flesh)
    return found


def draw(
    body: Body, who: People, row: int, worn: Outfits, poses: Mapping[str, np.ndarray], scene: Mapping[str, np.ndarray],
    size: int,
) -> Iterator[Figure]:  # fmt: skip
    """Pictures of one person.

    Args:
        body: the mesh.
        who: some people.
        row: which of them.
        worn: outfits, one for each picture.
        poses: angle → ``(P,)`` degrees.
        scene: name → ``(P,)``: what a picture is like, see `invariantnets.data.people.scenes`.
        size: side of the pictures in pixels.
    """
    vertices, rest = posed(body, who, row, poses)
    sitter = Sitter.of(body, who, row, rest)
    for picture, one in enumerate(vertices):
        outfit = Outfits(*(values[picture] for values in worn))
        yield _figure(sitter, one, outfit, {name: float(values[picture]) for name, values in scene.items()}, size)


def _figure(sitter: Sitter, vertices: np.ndarray, worn: Outfits, scene: Mapping[str, float], size: int) -> Figure:
    at = placed(sitter, vertices, worn, scene, size)
    fine = FINE * (at.place[:, :2] + 0.5) - 0.5
    surface = rasterise(fine, at.place[:, 2], sitter.body.faces[at.faces], FINE * size, FINE * size)
    shown = surface.face >= 0
    number = at.faces[surface.face[shown]]
    part = np.zeros(shown.shape, np.uint8)
    part[shown] = sitter.body.part[number]
    lit = np.zeros((*shown.shape, 4))
    lit[shown, :3] = shaded(sitter, at.normal, number, surface.share[shown], worn, scene)
    lit[shown, 3] = 1
    mean = np.add.reduce([lit[i::FINE, j::FINE] for i, j in np.ndindex(FINE, FINE)]) / FINE**2
    colour = mean[..., :3] + (1 - mean[..., 3:]) * behind(scene, size, at.box)
    image = (255 * np.clip(colour, 0, 1) ** GAMMA + 0.5).astype(np.uint8)
    visible = seen_joints(sitter, at, part, surface.depth)
    return Figure(image, at.joints[:, :2], visible, part[::FINE, ::FINE], at.box)
