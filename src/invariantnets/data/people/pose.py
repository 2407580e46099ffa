"""Poses of a body: joint angles within what joints can do, in which no limb goes through the body."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from invariantnets.data.renderer import chance

# Degrees: how far each joint goes at all. Elevation is from hanging down; azimuth from sideways to the front.
LIMITS: Mapping[str, tuple[float, float]] = {
    "bend": (-8, 22), "lean": (-9, 9), "twist": (-18, 18),
    "nod": (-18, 22), "look": (-40, 40), "tilt": (-9, 9),
    **{f"{side}_{name}": spread for side in ("left", "right") for name, spread in {
        "arm": (9, 165), "arm_azimuth": (-35, 100), "arm_turn": (-20, 70), "elbow": (6, 138),
        "thigh": (-22, 50), "thigh_out": (-5, 16), "knee": (2, 75)}.items()},
}  # fmt: skip
ANGLES = tuple(LIMITS)
"""Names of the angles of a pose. ``left_arm`` is how far it is raised, ``left_thigh`` how far it is before the body."""

CANDIDATES = 10  # poses drawn for a picture; the first in which nothing touches is taken, else standing
FREE, STANDING, WALKING = range(3)
SHARES = (0.45, 0.3, 0.25)

# A mean adult's joints, in metres: x to the left, y backwards, z up. Bones of ``anny``, left sides; what carries them.
JOINTS = {
    "root": (None, (0, -0.012, 0.169)),
    "spine04": ("root", (0, 0.027, 0.254)), "spine03": ("spine04", (0, 0.012, 0.329)),
    "spine02": ("spine03", (0, 0.012, 0.415)), "neck01": ("spine02", (0, -0.009, 0.752)),
    "head": ("neck01", (0, -0.046, 0.860)), "clavicle": ("spine02", (0.025, -0.027, 0.674)),
    "upperarm01": ("clavicle", (0.186, -0.022, 0.651)), "lowerarm01": ("upperarm01", (0.377, -0.031, 0.437)),
    "wrist": ("lowerarm01", (0.508, -0.206, 0.304)), "upperleg01": ("root", (0.115, -0.004, 0.158)),
    "lowerleg01": ("upperleg01", (0.152, -0.038, -0.286)), "foot": ("lowerleg01", (0.195, -0.007, -0.738)),
}  # fmt: skip
MIDDLE = ("root", "spine04", "spine03", "spine02", "neck01", "head")
BONES = (*MIDDLE, *(f"{name}.{letter}" for letter in "LR" for name in JOINTS if name not in MIDDLE))


Ball = tuple[str, np.ndarray, float]


def _balls() -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Which bone carries each ball of a body, where it is, its radius, and which limb it is of."""
    at = {name: np.array(place) for name, (_, place) in JOINTS.items()}
    tip = at["wrist"] + (0.05, -0.11, -0.10)

    def along(bone: str, end: np.ndarray, shares: tuple[float, ...], thick: float, thinner: float) -> list[Ball]:
        return [(bone, at[bone] + t * (end - at[bone]), thick - thinner * t) for t in shares]

    arm = along("lowerarm01", at["wrist"], (0, 0.33, 0.67, 1), 0.046, 0.01) + along("wrist", tip, (0.5, 1), 0.04, 0)
    leg = along("upperleg01", at["lowerleg01"], (0.3, 0.6, 1), 0.085, 0.03)
    leg += along("lowerleg01", at["foot"], (0.33, 0.67, 1), 0.058, 0.012) + [
        ("foot", at["foot"] + (0, -0.13, -0.06), 0.045)
    ]
    # Of the trunk: half its width from the middle, height, radius.
    trunk = [("root", 0.075, 0.10, 0.115), ("root", 0.07, 0.20, 0.115), ("spine04", 0.06, 0.30, 0.11)]
    trunk += [("spine03", 0.06, 0.40, 0.115), ("spine02", 0.075, 0.51, 0.12), ("spine02", 0.08, 0.62, 0.11)]
    balls = [("head", np.array((0, -0.06, 0.92)), 0.12, 0), ("head", np.array((0, -0.08, 0.84)), 0.08, 0)]
    balls += [(bone, np.array((x * sign, -0.02, z)), r, 0) for bone, x, z, r in trunk for sign in (1, -1)]
    for letter, sign in (("L", 1), ("R", -1)):
        for number, limb in enumerate((arm, leg)):
            balls += [(f"{b}.{letter}", p * (sign, 1, 1), r, 1 + number + 2 * (sign < 0)) for b, p, r in limb]
    bones, place, radius, of = zip(*balls, strict=True)
    return list(bones), np.array(place, float), np.array(radius), np.array(of)


BALL_BONES, BALLS, RADII, LIMB = _balls()
# The hips carry the legs: these touch the trunk always.
APART = (LIMB[:, None] < LIMB) & ~((LIMB[:, None] == 0) & np.isin(LIMB, (2, 4)))


def poses(seed: int, number: Tensor, album: Tensor, picture: Tensor, stout: np.ndarray) -> dict[str, np.ndarray]:
    """Angles of pictures, a pure function of its arguments, row by row.

    Args:
        seed: of the pictures.
        number: ``(N,)`` int64 of the person.
        album: ``(N,)`` int64.
        picture: ``(N,)`` int64.
        stout: ``(N,)`` how much wider than a mean body; 1 is the mean.

    Returns:
        `ANGLES` → ``(N,)`` degrees.
    """
    found = np.zeros((len(number), len(ANGLES)))
    left = np.arange(len(number))
    for attempt in range(CANDIDATES + 1):
        keys = [torch.from_numpy(of[left]) for of in (number.numpy(), album.numpy(), picture.numpy())]
        u = chance.uniform(seed, [*keys, torch.full_like(keys[0], attempt)], 1 + 2 * len(ANGLES)).numpy()
        found[left] = _drawn(u, standing=attempt == CANDIDATES)
        for start in range(0, len(left), 4096):
            some = left[start : start + 4096]
            clear = clearance(rotations(_named(found[some])), stout[some]) > 0
            left[start : start + 4096][clear] = -1
        left = left[left >= 0]
    return _named(found)


def _named(angles: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(ANGLES, angles.T, strict=True))


def _drawn(u: np.ndarray, standing: bool) -> np.ndarray:
    """Angles ``(N, A)`` from uniform numbers ``(N, 1 + 2 A)``."""
    kind = np.full(len(u), STANDING) if standing else np.searchsorted(np.cumsum(SHARES[:2]), u[:, 0])
    name = dict(zip(ANGLES, u[:, 1 : len(ANGLES) + 1].T, strict=True))
    more = dict(zip(ANGLES, u[:, len(ANGLES) + 1 :].T, strict=True))

    def between(key: str, low: float, high: float) -> np.ndarray:
        return low + (high - low) * name[key]

    found = {key: between(key, *LIMITS[key]) for key in ("lean", "twist", "tilt")}
    found["look"] = LIMITS["look"][1] * (2 * name["look"] - 1) ** 3
    found["bend"], found["nod"] = between("bend", -4, 4 if standing else 20) * more["bend"], between("nod", -10, 14)
    step = np.where(more["lean"] < 0.5, 1.0, -1.0)
    hanging = (24, 32) if standing else (11, 20)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        said = {
            key: f"{side}_{key}" for key in ("arm", "arm_azimuth", "arm_turn", "elbow", "thigh", "thigh_out", "knee")
        }
        own = {key: np.empty(len(u)) for key in said}
        forward = sign * step > 0
        for which, lively in ((STANDING, np.zeros(len(u), bool)), (FREE, more[said["arm"]] < 0.65)):
            here = kind == which
            own["arm"][here] = np.where(lively, between(said["arm"], 15, 160), between(said["arm"], *hanging))[here]
            own["arm_azimuth"][here] = np.where(
                lively, between(said["arm_azimuth"], -10, 100), between(said["arm_azimuth"], 0, 40)
            )[here]
            own["arm_turn"][here] = np.where(
                lively, between(said["arm_turn"], -20, 70), between(said["arm_turn"], 0, 35)
            )[here]
            own["elbow"][here] = np.where(lively, between(said["elbow"], 10, 135), between(said["elbow"], 8, 28))[here]
            wide = which == FREE
            own["thigh"][here] = between(said["thigh"], -4, 22 if wide else 3)[here]
            own["thigh_out"][here] = between(said["thigh_out"], -4, 13 if wide else 1)[here]
            own["knee"][here] = own["thigh"][here].clip(0) * 1.3 + between(said["knee"], 2, 16 if wide else 5)[here]
        here = kind == WALKING
        stride = between("left_thigh", 12, 30)  # one for both legs
        own["thigh"][here] = np.where(forward, stride, -0.7 * stride)[here]
        own["thigh_out"][here] = between(said["thigh_out"], -4, 0)[here]
        own["knee"][here] = np.where(forward, between(said["knee"], 4, 22), between(said["knee"], 12, 45))[here]
        own["arm"][here] = np.where(forward, 0.6 * stride, 0.9 * stride)[here] + 9
        own["arm_azimuth"][here] = np.where(forward, -35, 75)[here]
        own["arm_turn"][here] = between(said["arm_turn"], 0, 20)[here]
        own["elbow"][here] = np.where(forward, between(said["elbow"], 8, 25), between(said["elbow"], 20, 70))[here]
        found |= {said[key]: value for key, value in own.items()}
    return np.stack([np.clip(found[key], *LIMITS[key]) for key in ANGLES], 1)


def rotations(pose: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """How each bone is turned against the one that carries it.

    Args:
        pose: `ANGLES` → ``(N,)`` degrees.

    Returns:
        bone of ``anny`` → ``(N, 3, 3)``, in axes of the world: x to the body's left, y backwards, z up.
    """
    spine = Rotation.from_euler("xyz", np.stack([pose["bend"], pose["lean"], pose["twist"]], 1) / 3, degrees=True)
    head = np.stack([pose["nod"], pose["tilt"], pose["look"]], 1)
    neck = Rotation.from_euler("xyz", head / 2, degrees=True).as_matrix()
    found = {name: spine.as_matrix() for name in ("spine04", "spine03", "spine02")} | {"neck01": neck, "head": neck}
    for side, letter, mirror in (("left", "L", np.diag((1.0, 1, 1))), ("right", "R", np.diag((-1.0, 1, 1)))):
        own = {key.removeprefix(f"{side}_"): value for key, value in pose.items() if key.startswith(side)}
        for name, matrix in _limbs(own).items():
            found[f"{name}.{letter}"] = mirror @ matrix @ mirror
    return found


def _turned(axis: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """``(N, 3, 3)`` rotations about unit axes ``(3,)`` or ``(N, 3)``."""
    return Rotation.from_rotvec(np.deg2rad(degrees)[:, None] * axis).as_matrix()


def _limbs(pose: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of a left arm and a left leg."""
    at = {name: np.array(place, float) for name, (_, place) in JOINTS.items()}
    upper, lower = _unit(at["lowerarm01"] - at["upperarm01"]), _unit(at["wrist"] - at["lowerarm01"])
    hinge = _unit(np.cross(upper, lower))
    rest = np.stack([upper, np.cross(hinge, upper), hinge], 1)  # down the arm, where it bends to, about what
    azimuth = np.deg2rad(pose["arm_azimuth"])
    # Hanging down it bends to the front; that is carried along as the arm is raised, and then turned about the arm.
    axis = np.stack([np.sin(azimuth), np.cos(azimuth), 0 * azimuth], 1) * (-1, -1, 1)
    raised = _turned(axis, pose["arm"])
    hanging = np.array([[0, 0, -1], [0, -1, 0], [-1, 0, 0]], float).T
    # The shoulder blade goes up with an arm that is above the shoulder.
    blade = _turned(np.array((0.0, -1, 0)), 0.22 * (pose["arm"] - 60).clip(0))
    half = _turned(upper, pose["arm_turn"] / 2)
    at_rest = np.degrees(np.arccos(upper @ lower))
    along = np.array((1.0, 0, 0))
    leg = _turned(along, -pose["thigh"]) @ _turned(np.array((0.0, -1, 0)), pose["thigh_out"])
    knee = _turned(along, pose["knee"])
    return {
        "clavicle": blade,
        "upperarm01": blade.transpose(0, 2, 1) @ raised @ hanging @ rest.T @ half,
        "upperarm02": half,
        "lowerarm01": _turned(hinge, pose["elbow"] - at_rest),
        "upperleg01": leg,
        "lowerleg01": knee,
        "foot": _turned(along, (pose["thigh"] - pose["knee"]).clip(-25, 15)),
    }


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def clearance(turned: Mapping[str, np.ndarray], stout: np.ndarray) -> np.ndarray:
    """How far the limbs of a mean body are from each other and from the trunk: ``(N,)`` metres, below 0 if they meet.

    Args:
        turned: as `rotations` gives it.
        stout: ``(N,)`` how much wider than the mean the body is.
    """
    rotation, shift = {}, {}
    for bone in BONES:
        name, _, letter = bone.partition(".")
        parent, place = JOINTS[name]
        joint = np.array(place, float) * ((-1, 1, 1) if letter == "R" else (1, 1, 1))
        own = turned.get(bone, np.broadcast_to(np.eye(3), (len(stout), 3, 3)))
        if name == "upperarm01":
            own = own @ turned[f"upperarm02.{letter}"]
        if parent is None:
            rotation[bone], shift[bone] = own, joint - own @ joint
            continue
        above = parent if parent in MIDDLE else f"{parent}.{letter}"
        rotation[bone] = rotation[above] @ own
        shift[bone] = (rotation[above] @ (joint - own @ joint)[..., None])[..., 0] + shift[above]
    ball = np.stack([rotation[b] @ p + shift[b] for b, p in zip(BALL_BONES, BALLS, strict=True)], 1)
    one, two = np.nonzero(APART)
    apart = np.linalg.norm(ball[:, one] - ball[:, two], axis=2)
    return (apart - stout[:, None] * (RADII[one] + RADII[two])).min(1)
