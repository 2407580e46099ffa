"""The identity space: what each number of a code means, and the parameters and colours it stands for."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invariantnets.data.renderer import anatomy, chance

COLOURS = "melanin flush lips iris hair_tone hair_red grey brow_tone".split()
HABITS = "glasses_habit hat_habit smile_habit".split()
CODE = ("masculinity", *anatomy.SHAPE, *anatomy.HAIR, *anatomy.RANDOM, *anatomy.ASYMMETRIC, *COLOURS, *HABITS)
"""Names of the D numbers of an identity code; each is standard normal over the population."""

ASYMMETRIC = tuple(CODE.index(name) for name in anatomy.ASYMMETRIC)
"""The numbers that make a face differ from its mirror image."""

MASCULINE = {
    "jaw_width": 0.5, "jaw_drop": 0.4, "chin_width": 0.5, "brow_ridge": 0.6, "brow_thickness": 0.5, "nose_width": 0.3,
    "nose_length": 0.2, "brow_height": -0.4, "brow_arch": -0.4, "eye_opening": -0.3, "upper_lip": -0.35,
    "lower_lip": -0.3, "neck_width": 0.6, "face_width": 0.25, "recession": 0.4,
    "hair_length": -0.8, "beard": 0.75, "lips": -0.5,
}  # fmt: skip
"""Declared correlations inside the code: each number is made of this share of ``masculinity`` and a rest of its own."""

TONED = {"hair_tone": -0.6, "hair_red": -0.5}
"""Declared correlations with ``melanin``: darker skin, darker and less red hair."""

# Linear-light RGB. Skin and hair are paths through these anchors.
SKIN = ((0.88, 0.64, 0.52), (0.80, 0.53, 0.38), (0.62, 0.36, 0.22), (0.36, 0.18, 0.10), (0.14, 0.063, 0.036))
HAIR = ((0.010, 0.008, 0.007), (0.030, 0.017, 0.010), (0.09, 0.046, 0.022), (0.26, 0.15, 0.06), (0.60, 0.42, 0.20))
IRIS = ((0.035, 0.016, 0.008), (0.10, 0.05, 0.02), (0.12, 0.11, 0.04), (0.10, 0.20, 0.30), (0.22, 0.30, 0.36))


def named(code: Tensor) -> dict[str, Tensor]:
    """The code's numbers by name, with the declared correlations mixed in; still standard normal."""
    z = dict(zip(CODE, code.unbind(1), strict=True))
    for share, source in ((MASCULINE, "masculinity"), (TONED, "melanin")):
        for name, weight in share.items():
            z[name] = weight * z[source] + (1 - weight**2) ** 0.5 * z[name]
    return z


def _unit(z: Tensor) -> Tensor:
    """A standard normal as a uniform number in (0, 1)."""
    return torch.special.ndtr(z)


def _saturated(z: Tensor) -> Tensor:
    return 2.6 * torch.tanh(z / 2.6)  # nobody's nose is five deviations long


SHAPED: dict[str, Callable[[Tensor], Tensor]] = {
    "hair_length": lambda z: torch.sigmoid(4 * (z - 0.1)),
    "hairline": lambda z: 5 * z,
    "recession": lambda z: 14 * torch.nn.functional.softplus(1.5 * (z - 0.6)) + 2 * z,
    "hair_volume": lambda z: 8 + 3.5 * z,
    "widows_peak": lambda z: z,
    "beard": lambda z: torch.sigmoid(6 * (z - 0.75)),
    "beard_extent": lambda z: torch.sigmoid(3 * (z + 0.2)),
}


def parameters(z: dict[str, Tensor]) -> dict[str, Tensor]:
    """The anatomy's parameters of each person."""
    names = (*anatomy.SHAPE, *anatomy.HAIR, *anatomy.RANDOM, *anatomy.ASYMMETRIC)
    return {name: SHAPED.get(name, lambda v: v)(_saturated(z[name])) for name in names}


def scale(z: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How much wider and taller than the mean the whole head is."""
    return 1 + 0.045 * _saturated(z["face_width"]), 1 + 0.04 * _saturated(z["face_height"])


def _path(anchors: tuple[tuple[float, ...], ...], at: Tensor) -> Tensor:
    """Colours ``(B, 3)`` along a path, ``at`` in [0, 1]."""
    table = torch.tensor(anchors, device=at.device, dtype=at.dtype)
    place = at * (len(anchors) - 1)
    left = place.floor().clamp(0, len(anchors) - 2).long()
    return torch.lerp(table[left], table[left + 1], (place - left)[:, None])


def colours(z: dict[str, Tensor]) -> dict[str, Tensor]:
    """Linear-light RGB ``(B, 3)`` of skin, hair, brow, iris and lips, and densities ``(B,)``."""
    skin = _path(SKIN, _unit(z["melanin"]))
    hair = _path(HAIR, _unit(z["hair_tone"]))
    red = torch.sigmoid(4 * (z["hair_red"] - 1.3))[:, None]
    hair = hair * (1 - red) + (0.3 * hair + hair.new_tensor((0.20, 0.05, 0.012))) * red
    grey = torch.sigmoid(5 * (z["grey"] - 1.1))[:, None]
    hair = hair * (1 - grey) + (0.25 * hair + 0.38) * grey
    brow = hair * 0.55 + skin * (0.10 + 0.03 * z["brow_tone"].tanh()[:, None])
    tint = skin.new_tensor((0.92, 0.50, 0.50)) + 0.22 * _unit(z["lips"])[:, None] * skin.new_tensor((0.2, -0.9, -0.6))
    return {
        "skin": skin,
        "hair": hair,
        "brow": brow,
        "iris": _path(IRIS, _unit(z["iris"] - 0.8 * z["melanin"]).clamp(0, 1)),
        "lips": skin * tint,
        "flush": 0.5 + 0.35 * torch.tanh(z["flush"]),
        "beard": SHAPED["beard"](z["beard"]),
    }


def identity(seed: int, numbers: Tensor) -> Tensor:
    """Points of the identity space, a pure function of (seed, number).

    Args:
        seed: of the population.
        numbers: ``(B,)`` int64, any.

    Returns:
        ``(B, len(CODE))`` float32, standard normal.
    """
    return chance.normal(seed, [numbers], len(CODE)).float()
