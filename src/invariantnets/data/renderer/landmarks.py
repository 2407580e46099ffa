"""Where the 68 landmarks stand on the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from invariantnets.data.renderer import anatomy
from invariantnets.data.renderer.anatomy import Field


def landmarks(q: Mapping[str, float]) -> Field:
    """The 68 points of iBUG's scheme: jaw, brows, nose, eyes, mouth.

    Args:
        q: as for ``head``.

    Returns:
        ``(68, 2)``: θ in radians and y in mm; their radius is the surface's own.
    """
    jaw = np.array(
        [(62.5, 30), (62, 11), (59, -8), (57.6, -26), (52, -42.5), (41.7, -54), (27, -65), (12.4, -73), (0, -76)]
    )
    jaw[:, 1] -= (3 * q["jaw_drop"] + 14 * q["mouth_open"]) * np.exp(-0.5 * (jaw[:, 0] / 32) ** 2)
    at = {"jaw": np.stack([np.deg2rad(jaw[:, 0]), jaw[:, 1]], 1)}

    def surface(s: Sequence[float] | Field, y: Field) -> Field:
        """θ of frontal positions, by fixed-point iteration on the skull."""
        s = np.asarray(s, float)
        theta = s / 90
        for _ in range(8):
            theta = np.arcsin(np.clip(s / anatomy.skull(q, theta, y), -1, 1))
        return np.stack([theta, y], 1)

    zero = np.zeros(1)
    a = np.array([0.95, 0.5, 0.0, -0.45, -0.95])
    brow = anatomy.brows(q, 36 + 24.5 * a, zero)
    at["brow"] = surface(36 + 24.5 * a, (brow["brow_above"] - brow["brow_below"]) / 2)
    drop = -2.2 * q["nose_length"]
    ridge = np.array([42, 31, 20 + 0.4 * drop, 4 + drop])
    at["ridge"] = surface(np.zeros(4), ridge)
    wing = 14.5 + 1.6 * q["nostrils"] + 0.8 * q["nose_width"]
    at["nostril"] = surface([wing, wing / 2, 0], np.array([-3.5, -5.5, -6.5]) + drop)
    half, eye = 14.6 + 0.9 * q["eye_width"], 32.0 + 1.4 * q["eye_spacing"]
    a = np.array([1, 0.4, -0.4, -1, -0.4, 0.4])
    lid = anatomy.lids(q, eye + half * a, zero)
    at["eye"] = surface(eye + half * a, np.where([1, 1, 1, 1, 0, 0], lid["lid_above"], -lid["lid_below"]))
    half = 25.5 + 2 * q["mouth_width"] + 4.5 * q["smile"] - 2.5 * q["mouth_open"]
    outer, inner = half * np.array([1, 0.6, 0.22, 0, 0.25, 0.6]), half * np.array([0.85, 0.3, 0])
    lips, gap = anatomy.mouth(q, outer, zero), anatomy.mouth(q, inner, zero)
    at["lips"] = surface(outer, np.where([1, 1, 1, 1, 0, 0], lips["lip_above"], -lips["lip_below"]))
    at["gap"] = surface(np.array([*inner, *inner[1:]]), np.array([*gap["mouth_above"], *-gap["mouth_below"][1:]]))
    mirror = np.array([-1.0, 1.0])
    order = [
        at["jaw"] * mirror, at["jaw"][7::-1], at["brow"] * mirror, at["brow"][::-1], at["ridge"],
        at["nostril"] * mirror, at["nostril"][1::-1], at["eye"] * mirror, at["eye"][[3, 2, 1, 0, 5, 4]],
        at["lips"][[0, 1, 2, 3]] * mirror, at["lips"][[2, 1, 0, 5, 4]],
        np.array([[0, -anatomy.mouth(q, zero, zero)["lip_below"][0]]]), at["lips"][[4, 5]] * mirror,
        at["gap"][[0, 1, 2]] * mirror, at["gap"][[1, 0, 3, 4]], at["gap"][[3]] * mirror,
    ]  # fmt: skip
    return np.concatenate(order)
