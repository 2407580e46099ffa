"""Who a person is: the body's shape, and colours shared with the renderer of faces; and what is worn in an album."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from invariantnets.data.people.mesh import CHANGES
from invariantnets.data.renderer import chance, identity
from invariantnets.data.renderer.person import SHAPED, colours, named

# The second key of a hash: the renderer of faces uses the number alone, and samples that are not negative.
SHAPE, WORN = -1, -2
GAMMA = 1 / 2.2  # of a screen
BALD, HANGS = 0.12, 0.45  # hair below the one is none, above the other it hangs down
PHENOTYPES = (
    "age",
    "muscle",
    "weight",
    "height",
    "proportions",
    "cupsize",
    "firmness",
    "african",
    "asian",
    "caucasian",
)
OUTFIT = ("long_sleeves", "long_legs", "stripes", "top_brightness", "bottom_brightness", "skirt")
"""What is known of an outfit: yes or no, but for the brightness, from 0 to 1."""


class People(NamedTuple):
    """Some people, ``N`` of them.

    Attributes:
        phenotype: parameter of ``anny`` → ``(N,)`` float32, from 0 to 1.
        change: change of a head in ``anny`` → ``(N,)`` float32, from -1 to 1.
        colour: skin, hair, brow, iris, lips → ``(N, 3)`` linear-light RGB.
        beard: ``(N,)`` how dense, from 0 to 1.
        hair: ``(N,)`` how long: below 0.12 there is none, above 0.5 it hangs; 1 is down to the back.
        hairline: ``(N,)`` how far it has gone back, in metres.
        stout: ``(N,)`` how much wider than a mean body; 1 is the mean.
    """

    phenotype: dict[str, np.ndarray]
    change: dict[str, np.ndarray]
    colour: dict[str, np.ndarray]
    beard: np.ndarray
    hair: np.ndarray
    hairline: np.ndarray
    stout: np.ndarray


class Outfits(NamedTuple):
    """What is worn on some pictures, ``N`` of them.

    Attributes:
        top, bottom, shoes, second: ``(N, 3)`` linear-light RGB; the last is that of the stripes.
        sleeve: ``(N,)`` down to where on the arm: 0 is the shoulder, 0.5 the elbow, 1 the wrist.
        leg: ``(N,)`` down to where on the leg: 0 is the hip, 0.5 the knee, 1 the ankle.
        stripes: ``(N,)`` whether there are any.
        skirt: ``(N,)`` whether it is one.
        loose: ``(N, 2)`` how far top and bottom stand off the body, in metres.
        neck: ``(N,)`` how deep it is cut out, in metres.
    """

    top: np.ndarray
    bottom: np.ndarray
    shoes: np.ndarray
    second: np.ndarray
    sleeve: np.ndarray
    leg: np.ndarray
    stripes: np.ndarray
    skirt: np.ndarray
    loose: np.ndarray
    neck: np.ndarray

    def known(self) -> dict[str, np.ndarray]:
        """`OUTFIT` → ``(N,)`` float32."""
        top, bottom = (colour.mean(1) ** GAMMA for colour in (self.top, self.bottom))
        values = (self.sleeve > 0.6, self.leg > 0.7, self.stripes, top, bottom, self.skirt)
        return {name: value.astype(np.float32) for name, value in zip(OUTFIT, values, strict=True)}


def people(seed: int, number: Tensor) -> People:
    """Who some numbers are, a pure function of (seed, number).

    Skin, hair, eyes, beard and sex are those of the face of the same number and seed in the renderer of faces.

    Args:
        seed: of the population.
        number: ``(N,)`` int64.
    """
    face = named(identity(seed, number))
    u = chance.uniform(seed, [number, torch.full_like(number, SHAPE)], len(PHENOTYPES) + len(CHANGES)).float().numpy()
    own = dict(zip((*PHENOTYPES, *CHANGES), u.T, strict=True))
    gender = 1 - torch.sigmoid(4 * face["masculinity"]).numpy()  # of ``anny``: 0 is a man
    phenotype: Mapping[str, np.ndarray] = {
        "gender": gender,
        "age": 0.66 + 0.3 * own["age"],  # of ``anny``: a third is a child, two thirds are a young adult, 1 is old
        "muscle": 0.3 + 0.5 * own["muscle"],
        "weight": 0.3 + 0.6 * own["weight"] ** 1.5,
        "height": 0.2 + 0.6 * own["height"],
        "proportions": 0.2 + 0.8 * own["proportions"],
        "cupsize": 0.2 + 0.6 * own["cupsize"],
        "firmness": 0.4 + 0.4 * own["firmness"],
        **{name: own[name] ** 2 + 0.01 for name in ("african", "asian", "caucasian")},
    }
    own_hair = torch.special.ndtr(face["hair_length"]).numpy()
    return People(
        dict(phenotype),
        {name: 1.6 * (own[name] - 0.5) for name in CHANGES},
        {name: value.numpy() for name, value in colours(face).items() if value.ndim == 2},
        SHAPED["beard"](face["beard"]).numpy(),
        np.where(gender > 0.5, 0.25 + 0.75 * own_hair, own_hair),
        np.clip(0.03 * torch.tanh(face["recession"]).numpy() * (gender < 0.5), -0.01, 0.03),
        0.88 + 0.35 * phenotype["weight"],
    )


def outfits(seed: int, number: Tensor, album: Tensor, women: np.ndarray) -> Outfits:
    """What people wear in their albums, a pure function of its arguments.

    Args:
        seed: of the pictures.
        number: ``(N,)`` int64 of the person.
        album: ``(N,)`` int64 of that person.
        women: ``(N,)`` whether skirts are worn.
    """
    u = chance.uniform(seed, [number, album, torch.full_like(number, WORN)], 24).numpy()
    skirts = u[:, 0] < np.where(women, 0.35, 0.0)
    leg = np.where(u[:, 1] < 0.3, 0.38 + 0.12 * u[:, 2], 0.97)
    sleeve = np.where(u[:, 3] < 0.45, 0.22 + 0.15 * u[:, 4], np.where(u[:, 3] < 0.55, 0.06, 0.98))
    return Outfits(
        _cloth(u[:, 5:8], 0.85), _cloth(u[:, 8:11] * (1, 0.7, 1), 0.7), _cloth(u[:, 11:14] * (1, 0.5, 1), 0.6),
        _cloth(u[:, 14:17], 0.9), sleeve, np.where(skirts, 0.0, leg), u[:, 17] < 0.3, skirts,
        np.stack([0.004 + 0.016 * u[:, 18], 0.003 + 0.016 * u[:, 19]], 1), 0.09 * u[:, 20] ** 2,
    )  # fmt: skip


def _cloth(u: np.ndarray, brightest: float) -> np.ndarray:
    """Linear-light RGB ``(N, 3)`` of hue, saturation and value in (0, 1): many greys and blues, few loud colours."""
    hue, saturation, value = u[:, 0], u[:, 1] ** 1.5, 0.06 + (brightest - 0.06) * u[:, 2]
    wave = np.abs((hue[:, None] * 6 + np.array((0, 4, 2))) % 6 - 3) - 1
    return (value[:, None] * (1 - saturation[:, None] + saturation[:, None] * np.clip(wave, 0, 1))) ** (1 / GAMMA)
