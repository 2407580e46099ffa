"""Hair that hangs and a skirt, as sheets beside the mesh: they take its shape and follow its bones."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

HAIR, SKIRT = 1, 2
THICK = 0.018  # of the hair, in metres; all here is in those of the mean body: x to its left, y backwards, z up


def source() -> str:
    """SHA-256 of this file: what an older one made is not taken for this one's."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _ellipses(own: np.ndarray, heights: np.ndarray, widest: float) -> np.ndarray:
    """Half width, half depth and middle of a body at some heights, ``(rows, 3)``, and nowhere narrower than above."""
    found: list[tuple[float, float, float]] = []
    for height in heights:
        _, y, _ = near = own[(np.abs(own[:, 2] - height) < 0.02) & (np.abs(own[:, 0]) < widest)].T
        half = (np.abs(near[0]).max(), (y.max() - y.min()) / 2)
        found.append(
            (*(max(pair) for pair in zip(half, found[-1][:2] if found else half, strict=True)), (y.max() + y.min()) / 2)
        )
    return np.array(found)


def hair(own: np.ndarray) -> np.ndarray:
    """Where hair hangs around a body ``(V, 3)``: ``(rows, columns, 3)``, from ear to ear and down to the back."""
    turn = np.deg2rad(np.linspace(108, -108, 33))[None, :]  # from the back
    down = np.linspace(0, 1, 15)[:, None]
    behind = np.clip(1.25 * np.cos(turn), 0, 1)
    z = 0.80 - down * (0.16 + 0.20 * behind)  # it ends on the shoulders at the sides, on the back behind
    wide, deep, middle = np.moveaxis(_ellipses(own, np.linspace(0.80, 0.70, 6), 0.074), 1, 0)
    half, long, centre = (np.interp(-z, -np.linspace(0.80, 0.70, 6), of) for of in (wide, deep, middle))
    # Its upper edge and its two ends are under the hair of the head.
    off = THICK * np.clip(6 * down, 0.1, 1) * np.clip((np.deg2rad(110) - np.abs(turn)) / np.deg2rad(30), 0.1, 1)
    x = (half + off + 0.02 * down) * np.sin(turn)
    y = centre + (long + off) * np.cos(turn) + 0.085 * behind * np.clip((0.70 - z) / 0.16, 0, 1)
    return np.stack([x, y, z], 2)


def skirt(own: np.ndarray) -> np.ndarray:
    """A skirt around a body ``(V, 3)``: ``(rows, columns, 3)``, from the waist to the knees."""
    turn = np.linspace(0, 2 * np.pi, 41)[None, :]
    down = np.linspace(0, 1, 16)[:, None]
    height = 0.125 - 0.50 * down
    wide, deep, middle = (of[:, None] for of in _ellipses(own, height[:, 0], 0.29).T)
    off = 0.003 + 0.02 * np.clip(6 * down, 0, 1) + 0.05 * down
    return np.stack([(wide + off) * np.sin(turn), middle[0] - (deep + off) * np.cos(turn), height + 0 * turn], 2)


def _triangles(rows: int, columns: int, first: int) -> np.ndarray:
    """A grid's, seen from outside, and then the same from inside; columns go anticlockwise as one looks down."""
    number = first + np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    one = np.concatenate([np.stack([a, c, b], 2).reshape(-1, 3), np.stack([b, c, d], 2).reshape(-1, 3)])
    return np.concatenate([one, one[:, ::-1]])


def _weights(sheet: int, place: np.ndarray, bones: list[str]) -> np.ndarray:
    """``(V, J)`` how much each bone carries each vertex."""
    weights = np.zeros((len(place), len(bones)))
    if sheet == HAIR:
        free = np.clip((0.70 - place[:, 2]) / 0.14, 0, 1)  # from the neck down it lies on the back
        weights[:, bones.index("head")], weights[:, bones.index("spine01")] = 1 - free, free
        return weights
    legs = 0.9 * np.clip((0.16 - place[:, 2]) / 0.35, 0, 1)
    left = np.clip(0.5 + 0.5 * place[:, 0] / (0.6 * np.abs(place[:, 0]).max()), 0, 1)
    weights[:, bones.index("root")] = 1 - legs
    weights[:, bones.index("upperleg02.L")], weights[:, bones.index("upperleg02.R")] = legs * left, legs * (1 - left)
    return weights


def dressed(data: Any) -> tuple[Any, Tensor]:
    """A model with the sheets added: each vertex takes the shape of the body's nearest one.

    Args:
        data: ``anny``'s ``ModelData``.

    Returns:
        The same with more vertices and triangles, and ``(F,)`` uint8: 0 for the body's triangles, `HAIR` or `SKIRT`.
    """
    own, bones = data.template_vertices.double().numpy(), list(data.metadata.bone_labels)
    added: list[np.ndarray] = []
    anchor, weights, faces, sheet = [], [], [data.faces.numpy()], [np.zeros(len(data.faces), np.uint8)]
    # Hair is as the head that it hangs from, not as the shoulder that it comes near.
    for number, grid in ((HAIR, hair(own)), (SKIRT, skirt(own))):
        place = grid.reshape(-1, 3)
        near = place if number == SKIRT else np.column_stack([place[:, :2], np.maximum(place[:, 2], 0.70)])
        anchor.append(np.array([((own - one) ** 2).sum(1).argmin() for one in near]))
        rows, columns, _ = grid.shape
        triangles = _triangles(rows, columns, len(own) + sum(len(one) for one in added))
        added.append(place)
        weights.append(_weights(number, place, bones))
        faces.append(triangles)
        sheet.append(np.full(len(triangles), number, np.uint8))
    at = torch.from_numpy(np.concatenate(anchor))
    carried = torch.from_numpy(np.concatenate(weights)).to(data.vertex_bone_weights)
    most = data.vertex_bone_weights.shape[1]
    share, bone = carried.topk(min(most, len(bones)), 1)
    extended = replace(
        data,
        template_vertices=torch.cat(
            [data.template_vertices, torch.from_numpy(np.concatenate(added)).to(data.template_vertices)]
        ),
        blendshapes=torch.cat([data.blendshapes, data.blendshapes[:, at]], 1),
        vertex_bone_weights=torch.cat([data.vertex_bone_weights, share]),
        vertex_bone_indices=torch.cat([data.vertex_bone_indices, bone.to(data.vertex_bone_indices)]),
        base_mesh_vertex_indices=torch.cat([data.base_mesh_vertex_indices, data.base_mesh_vertex_indices[at]]),
        faces=torch.from_numpy(np.concatenate(faces)),
        texture_coordinates=None,
        face_texture_coordinate_indices=None,
    )
    return extended, torch.from_numpy(np.concatenate(sheet))
