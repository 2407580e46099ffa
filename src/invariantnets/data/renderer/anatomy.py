"""The head as fields over (θ, y): a radius, and signed distances whose zero lines are lids, lips, brows, hair.

Millimetres; x to the right of the picture, y up, z towards the viewer. The head is r(θ, y) around a vertical axis
``AXIS`` mm behind the mouth's plane, θ = 0 at the nose, which holds nose, chin, neck, hair and ears without overhangs.
Proportions follow the mean of 68 landmarks of the MIT-licensed ``face3d`` models (rounded, symmetrised).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter

Field = np.ndarray

AXIS = -85.0  # z of the axis
BOTTOM, TOP = -130.0, 166.0  # y of the first and the last row of the grid
ROWS, COLUMNS = 84, 108

SHAPE = (
    "face_width face_height jaw_width jaw_drop chin_projection chin_width cheekbones cheek_fullness forehead "
    "brow_ridge nose_length nose_width nose_projection nose_hump nose_tip nostrils eye_spacing eye_width eye_opening "
    "eye_tilt eye_depth brow_height brow_arch brow_thickness brow_tilt mouth_height mouth_width upper_lip lower_lip "
    "lip_projection ear_size neck_width"
).split()
HAIR = "hair_length hairline recession hair_volume widows_peak beard beard_extent".split()
BUMPS, SPOTS, SIDES = 8, 10, 4
RANDOM = [f"bump_{i}" for i in range(BUMPS)] + [f"spot_{i}" for i in range(SPOTS)]
ASYMMETRIC = [f"side_{i}" for i in range(SIDES)] + ["parting"]
EXPRESSION = "smile mouth_open brow_raise eyes_closed".split()
PARAMETERS = (*SHAPE, *HAIR, *RANDOM, *ASYMMETRIC, *EXPRESSION)
FIELDS = (
    "hull radius hair beard brow_above brow_below lid_above lid_below iris lip_above lip_below mouth_above mouth_below "
    "pigment redness grain"
).split()


# Height of the jaw's edge by degrees from the nose.
JAW = ((0, -81), (14, -79), (27, -71), (36, -62), (50, -49), (60, -36), (75, -30), (100, -30), (180, -40))


def grid() -> tuple[Field, Field]:
    """θ ``(1, COLUMNS)`` in radians, densest at the face, and y ``(ROWS, 1)`` in mm."""
    return 2 * np.arcsin(np.linspace(-1, 1, COLUMNS))[None], np.linspace(BOTTOM, TOP, ROWS)[:, None]


@cache
def _interpolant(knots: tuple[tuple[float, float], ...]) -> PchipInterpolator:
    return PchipInterpolator(*zip(*sorted(knots), strict=True))


def _curve(knots: Sequence[tuple[float, float]], at: Field) -> Field:
    """A smooth curve without overshoot through (position, value) knots; constant beyond them."""
    places = [place for place, _ in knots]
    return _interpolant(tuple(knots))(np.clip(at, min(places), max(places)))


def _bump(s: Field, y: Field, at: tuple[float, float], sigma: tuple[float, float]) -> Field:
    return np.exp(-0.5 * (((s - at[0]) / sigma[0]) ** 2 + ((y - at[1]) / sigma[1]) ** 2))


def _sigmoid(x: Field) -> Field:
    return 0.5 * (1 + np.tanh(0.5 * x))


def skull(q: Mapping[str, float], theta: Field, y: Field) -> Field:
    """Radius of the head without features, with jaw, neck and shoulders."""
    front = _curve(
        [(-85, 84), (-66, 98), (-50, 95), (-30, 99.5), (-10, 98), (10, 94), (37, 93), (58, 100), (80, 100)]
        + [(100, 96), (118, 85), (132, 69), (142, 51), (149, 30), (153, 0), (170, -60)],
        y,
    )
    side = _curve(
        [(-85, 48), (-60, 55), (-40, 63), (-20, 69), (0, 74), (30, 76), (60, 78), (80, 78), (100, 74)]
        + [(118, 64), (132, 51), (142, 37), (149, 22), (153, 0), (170, -60)],
        y,
    )
    back = _curve(
        [(-85, 64), (-40, 70), (0, 86), (40, 99), (70, 103), (100, 97), (118, 86), (132, 69), (142, 51)]
        + [(149, 30), (153, 0), (170, -60)],
        y,
    )
    side = side + q["jaw_width"] * 3.2 * np.exp(-0.5 * ((y + 48) / 26) ** 2)
    front = front + q["forehead"] * 3 * np.exp(-0.5 * ((y - 95) / 22) ** 2)
    c, s = np.cos(theta), np.sin(theta)
    depth = np.where(c > 0, front, back)
    power = 2 + 0.45 * _sigmoid((70 - y) / 10) * np.clip(c, 0, 1)
    inside = np.maximum(np.minimum(depth, side), 1e-3)
    radius = (np.abs(s) * inside / np.maximum(side, 1e-3)) ** power + (
        np.abs(c) * inside / np.maximum(depth, 1e-3)
    ) ** power
    head = np.where(np.minimum(depth, side) > 0, inside * radius ** (-1 / power), np.minimum(depth, side))
    degrees = np.rad2deg(np.abs(theta))
    jaw = _curve(JAW, degrees)
    jaw = (
        jaw
        - q["jaw_drop"] * 3 * np.exp(-0.5 * (degrees / 30) ** 2)
        - q["mouth_open"] * 14 * np.exp(-0.5 * (degrees / 32) ** 2)
    )
    shoulders = np.maximum(-102 - y, 0)
    wide = 53 + q["neck_width"] * 4 + shoulders * 3.2
    throat = np.where(c > 0, 44 + shoulders * 0.9, 62 + shoulders * 0.5)
    neck = 1 / np.sqrt((s / wide) ** 2 + (c / throat) ** 2)
    return neck + (head - neck) * _sigmoid((y - jaw) / 3.5)


def _nose(q: Mapping[str, float], s: Field, y: Field) -> Field:
    y = y - (8 - 2.2 * q["nose_length"]) * _sigmoid((20 - y) / 8)
    ridge = _curve(
        [
            (62, 0),
            (48, 2.5),
            (38, 5),
            (25, 10.5),
            (10, 15),
            (0, 19),
            (-5, 21),
            (-9.5, 19),
            (-14, 9),
            (-18, 2),
            (-24, 0),
        ],
        y,
    )
    ridge = ridge * (1 + 0.13 * q["nose_projection"]) + q["nose_hump"] * 1.6 * np.exp(-0.5 * ((y - 20) / 9) ** 2)
    ridge = ridge + q["nose_tip"] * 2 * np.exp(-0.5 * ((y + 10) / 4) ** 2)
    wide = _curve([(60, 8), (37, 5.2), (20, 6), (5, 7.5), (-5, 8.5), (-20, 9)], y) * (1 + 0.13 * q["nose_width"])
    wings = 8.5 * _bump(np.abs(s), y, (12.5 + 1.6 * q["nostrils"] + 0.8 * q["nose_width"], -8.5), (4.4, 4.6))
    return ridge * np.exp(-0.5 * (np.abs(s) / wide) ** 2) + wings


def _relief(q: Mapping[str, float], s: Field, y: Field, theta: Field) -> Field:
    """What the features add to the radius."""
    a = np.abs(s)
    eye = 32.0 + 1.4 * q["eye_spacing"]
    mouth = -30.5 + 2.0 * q["mouth_height"]
    gape = 9 * q["mouth_open"]
    out = -(9.5 + 1.8 * q["eye_depth"]) * _bump(a, y, (eye - 1, 40), (14, 9.5)) + 5 * _bump(a, y, (eye, 37), (9.5, 7))
    out -= 4 * _bump(a, y, (17, 42), (5, 8))
    out += (2.5 + 1.6 * q["brow_ridge"]) * _bump(a, y, (27, 57), (20, 6))
    out += (4 + 2 * q["cheekbones"]) * _bump(a, y, (50, 14), (14, 12))
    out += (-2 + 3 * q["cheek_fullness"]) * _bump(a, y, (46, -24), (15, 18)) + q["smile"] * 3.5 * _bump(
        a, y, (38, -6), (11, 10)
    )
    out += (4 + 2 * q["lip_projection"]) * (
        _bump(s, y, (0, mouth + 5.5), (15, 3.6)) + 1.1 * _bump(s, y, (0, mouth - 6.5 - gape), (14, 4.2))
    )
    out -= 3.5 * _bump(s, y, (0, mouth), (20, 1.8)) + q["mouth_open"] * 7 * _bump(s, y, (0, mouth - 7), (15, 6))
    out -= 3 * _bump(s, y, (0, -50 - gape), (16, 5)) + 1.5 * _bump(s, y, (0, -15), (2.8, 5))
    out += (4 + 3 * q["chin_projection"]) * _bump(s, y, (0, -66 - gape), (13 + 2.5 * q["chin_width"], 9))
    side = np.abs(np.rad2deg(theta)) - 93
    flap = np.where(side < 0, np.exp(-0.5 * (side / 9) ** 2), np.exp(-0.5 * (side / 4) ** 2))
    return out + (17 + 3 * q["ear_size"]) * flap * _sigmoid((y + 14) / 4) * _sigmoid((48 + 2 * q["ear_size"] - y) / 4)


def lids(q: Mapping[str, float], s: Field, y: Field) -> dict[str, Field]:
    """Signed distances of the eyelids and the iris, and lines of shade around them."""
    half = 14.6 + 0.9 * q["eye_width"]
    eye = 32.0 + 1.4 * q["eye_spacing"]
    a = np.clip((np.abs(s) - eye) / half, -3, 3)
    middle = 36.5 + q["eye_tilt"] * 1.1 * a
    arch = 1 - a**2
    upper = 5.2 + 0.8 * q["eye_opening"] - 8.6 * q["eyes_closed"] - 0.8 * q["smile"]
    lower = 3.3 + 0.3 * q["eye_opening"] - 0.9 * q["smile"]
    radius = 6.2
    distance = (np.abs(s) - eye) ** 2 + (y - 37.6) ** 2
    return {
        "lid_above": middle + upper * arch * (1 - 0.12 * a) - y,
        "lid_below": y - middle + lower * arch * (1 + 0.15 * a),
        "iris": (radius**2 - distance) / (2 * radius),
        "crease": _bump(0 * s, y, (0, middle + (upper + 4.4) * (1 - 0.55 * a**2)), (1, 1.5))
        * _sigmoid((1.15 - np.abs(a)) * 9),
        "bag": _bump(0 * s, y, (0, middle - lower * 2.4 * (1 - 0.4 * a**2)), (1, 1.6)) * _sigmoid((1 - np.abs(a)) * 6),
    }


def brows(q: Mapping[str, float], s: Field, y: Field) -> dict[str, Field]:
    """Signed distances of the eyebrows' upper and lower edges."""
    a = np.clip((np.abs(s) - 36) / 24.5, -2, 2)
    line = (
        58.5
        + 2.3 * q["brow_height"]
        + 5.5 * q["brow_raise"]
        + (1 - a**2) * (3 + 1.5 * q["brow_arch"])
        - (3.0 - 1.8 * q["brow_tilt"]) * a
    )
    thick = (2.5 + 0.75 * q["brow_thickness"]) * (1 - 0.4 * a) * (1 - a**6)
    return {"brow_above": line + thick - y, "brow_below": y - line + thick}


def mouth(q: Mapping[str, float], s: Field, y: Field) -> dict[str, Field]:
    """Signed distances of the lips' outer and inner edges."""
    half = 25.5 + 2 * q["mouth_width"] + 4.5 * q["smile"] - 2.5 * q["mouth_open"]
    a = np.clip(s / half, -2, 2)
    arch = 1 - a**2
    line = -30.5 + 2.0 * q["mouth_height"] + 6.5 * q["smile"] * (a**2 - 0.35)
    cupid = 1 - 0.22 * np.exp(-0.5 * (s / 3.2) ** 2)
    above = line + (0.5 + 2.5 * q["mouth_open"] + 1.2 * q["smile"]) * arch
    below = line - (0.5 + 15 * q["mouth_open"] + 2.2 * q["smile"]) * arch
    return {
        "mouth_above": above - y,
        "mouth_below": y - below,
        "lip_above": above + (6.4 + 1.5 * q["upper_lip"] - 1.2 * q["smile"]) * arch * cupid - y,
        "lip_below": y - below + (8.2 + 1.7 * q["lower_lip"] - 1.2 * q["smile"]) * arch * (0.75 + 0.25 * arch),
    }


def _hair(q: Mapping[str, float], theta: Field, y: Field, radius: Field) -> dict[str, Field]:
    degrees = np.rad2deg(np.abs(theta))
    short = [
        (0, 96),
        (25, 99),
        (42, 92),
        (55, 68),
        (64, 40),
        (72, 22),
        (78, 20),
        (85, 50),
        (102, 50),
        (112, -20),
        (180, -50),
    ]
    long = [(0, 96), (25, 98), (40, 88), (50, 60), (58, 15), (66, -60), (74, -150), (180, -190)]
    length = q["hair_length"]
    line = (1 - length) * _curve(short, degrees) + length * _curve(long, degrees)
    crown = np.exp(-0.5 * (degrees / 48) ** 2)
    line = line + q["hairline"] * crown + q["recession"] * np.exp(-0.5 * ((degrees - 34) / 13) ** 2)
    line = line - 4 * q["widows_peak"] * np.exp(-0.5 * (degrees / 9) ** 2)
    line = line + q["parting"] * 7 * np.sin(1.6 * theta) * crown
    fall = np.where(degrees < 90, 84 + 5 * np.sin(np.minimum(np.abs(theta), math.pi / 2)), 92)
    low = _sigmoid((25 - y) / 12)
    low_hull = (1 - length) * (radius + 1) + length * np.maximum(fall, radius + 3)
    hull = (1 - low) * (radius + 5) + low * low_hull
    return {"hair": y - line, "hull": hull + q["hair_volume"] * (0.75 - 0.45 * low)}


def _beard(q: Mapping[str, float], s: Field, y: Field, theta: Field) -> Field:
    a = np.abs(s)
    cheek = _curve([(0, -12), (12, -12), (24, -17), (33, -27), (45, -24), (56, -8), (66, 14), (76, 30)], a)
    cheek = cheek - (1 - q["beard_extent"]) * np.clip(a - 26, 0, 30) * 1.8
    degrees = np.rad2deg(np.abs(theta))
    return np.minimum(np.minimum(cheek - y, y - _curve(JAW, degrees) + 7), (82 - degrees) * 1.2)


def _noise(rng: np.random.Generator, sigma: tuple[float, float]) -> Field:
    """White noise smoothed over (rows, columns), of unit variance and symmetric in θ."""
    white = gaussian_filter(rng.standard_normal((ROWS, COLUMNS)), sigma, mode="wrap")
    white = white + white[:, ::-1]
    return white / white.std()


def head(q: Mapping[str, float]) -> Field:
    """All fields of one head.

    Args:
        q: a value for every name in ``PARAMETERS``; 0 is the mean.

    Returns:
        ``(len(FIELDS), ROWS, COLUMNS)`` float64.
    """
    theta, y = grid()
    theta, y = np.broadcast_arrays(theta, y)
    rng = np.random.default_rng(68)
    bare = skull(q, theta, y)
    facing = _sigmoid((np.cos(theta) - 0.05) * 12)  # the features below belong to the front
    # Sideways position as seen from the front; behind the ears it goes on growing.
    s = bare * np.where(np.cos(theta) > 0, np.sin(theta), np.sign(theta) * (2 - np.abs(np.sin(theta))))
    fields = {**lids(q, s, y), **brows(q, s, y), **mouth(q, s, y)}
    radius = bare + facing * _nose(q, s, y) + _relief(q, s, y, theta)
    fields["beard"] = _beard(q, s, y, theta)
    radius = radius + q["beard"] * 4.5 * _sigmoid(fields["beard"] / 3) * _sigmoid((-12 - y) / 4)
    a = np.abs(s)
    pigment = -1.7 * _bump(a, y, (7.2 + 0.9 * q["nostrils"], -6.5 - 2.2 * q["nose_length"]), (3, 1.7))
    pigment = pigment - 0.32 * fields.pop("crease") - 0.14 * fields.pop("bag") - 0.1 * _bump(a, y, (30, 40), (16, 8))
    fold = a - _curve([(-35, 36), (-20, 29), (-5, 20), (5, 15)], y) - 2 * q["smile"]
    pigment = pigment - (0.08 + 0.2 * q["smile"]) * np.exp(-0.5 * (fold / 1.7) ** 2) * _sigmoid(
        (-3 - y) / 3
    ) * _sigmoid((y + 33) / 3)
    redness = (
        0.5 * _bump(a, y, (42, 0), (14, 14))
        + 0.4 * _bump(s, y, (0, 4), (9, 8))
        + 0.6 * _bump(np.abs(theta), y, (1.65, 15), (0.2, 25))
    )
    for i in range(BUMPS):
        place = (rng.uniform(0, 62), rng.uniform(-70, 90))
        radius = radius + q[f"bump_{i}"] * 2.2 * facing * _bump(a, y, place, (rng.uniform(8, 20), rng.uniform(8, 20)))
    for i in range(SIDES):
        place, wide = (rng.uniform(-50, 50), rng.uniform(-70, 60)), rng.uniform(10, 20)
        radius = radius + q[f"side_{i}"] * 1.6 * facing * _bump(s, y, place, (wide, wide))
    for i in range(SPOTS):
        place, wide = (rng.uniform(-55, 55), rng.uniform(-65, 80)), rng.uniform(2.4, 14)
        sign = abs if i % 2 else float
        spot = _bump(s if sign is float else a, y, place, (wide, wide))
        pigment = pigment + q[f"spot_{i}"] * (0.35 if wide < 5 else 0.1) * spot
    fields |= {**_hair(q, theta, y, bare), "radius": radius, "pigment": pigment, "redness": redness}
    fields["grain"] = _noise(rng, (5, 0.7)) * (1 - 0.7 * facing) + 0.3 * _noise(rng, (1.2, 1.2)) * facing
    return np.stack([fields[name] for name in FIELDS])
