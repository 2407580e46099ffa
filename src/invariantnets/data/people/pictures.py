"""What pictures of people are like, and the pictures: pure functions of seeds and of three numbers each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from invariantnets.data.people.draw import Figure, draw
from invariantnets.data.people.mesh import body
from invariantnets.data.people.paint import behind
from invariantnets.data.people.person import GAMMA, Outfits, People, outfits, people
from invariantnets.data.people.pose import poses
from invariantnets.data.renderer import chance
from invariantnets.errors import InvariantNetsError

RANGES: Mapping[str, tuple[float, float]] = {
    "yaw": (-180, 180),
    "pitch": (-10, 20),
    "light_azimuth": (-75, 75),
    "light_elevation": (0, 60),
    "light_strength": (0.6, 1.2),
    "background": (0, 1),
    "clutter": (0, 0.4),
    "zoom": (0.85, 0.95),
    "across": (0.4, 0.6),
    "down": (0.4, 0.6),
}
"""What varies from picture to picture besides the pose, uniformly: degrees, and shares."""

LEAST, MOST = 0.1, 0.98  # of the picture's side that a person may take
PLACE = ("scene",)  # one more, always uniform in (0, 1)
SCENE = -3  # the last key of a hash: outfits and poses have others
BLOCK = 16  # pictures whose bodies are posed at once


class Known(NamedTuple):
    """What ``N`` pictures are like.

    Attributes:
        who: the ``M`` people on them.
        of: ``(N,)`` int64 which of these.
        worn: ``(N,)`` outfits.
        poses: angle → ``(N,)`` degrees.
        scene: name → ``(N,)``.
    """

    who: People
    of: np.ndarray
    worn: Outfits
    poses: dict[str, np.ndarray]
    scene: dict[str, np.ndarray]


def check_ranges(ranges: Mapping[str, Sequence[float] | float]) -> dict[str, tuple[float, float]]:
    """The defaults with ``ranges`` over them.

    Raises:
        InvariantNetsError: what does not vary, numbers that are no range, or a person larger than the picture.
    """
    found = dict(RANGES)
    for name, value in ranges.items():
        if name not in RANGES:
            raise InvariantNetsError(f"ranges: {name!r} is nothing that varies here; choose from {', '.join(RANGES)}")
        pair = [value, value] if isinstance(value, int | float) else list(value)
        if (
            len(pair) != 2
            or not all(isinstance(v, int | float) and math.isfinite(v) for v in pair)
            or pair[0] > pair[1]
        ):
            raise InvariantNetsError(f"ranges: {name} needs a value or [low, high], got {value}")
        found[name] = float(pair[0]), float(pair[1])
    for name in ("across", "down"):
        if not 0 <= found[name][0] <= found[name][1] <= 1:
            raise InvariantNetsError(
                f"ranges: {name}={list(found[name])}: must be within 0 and 1, of the room that is left"
            )
    if not LEAST <= found["zoom"][0] <= found["zoom"][1] <= MOST:
        raise InvariantNetsError(
            f"ranges: zoom={list(found['zoom'])}: must be within {LEAST} and {MOST} of the picture"
        )
    return found


def known(
    number: Tensor, album: Tensor, picture: Tensor, *, seeds: tuple[int, int] = (0, 0),
    ranges: Mapping[str, Sequence[float] | float] | None = None,
) -> Known:  # fmt: skip
    """What pictures are like; nothing is drawn, and the package is not needed.

    Args:
        number: ``(N,)`` int64 of the person.
        album: ``(N,)`` int64 of that person.
        picture: ``(N,)`` int64 in that album.
        seeds: of the people, and of their clothes and pictures.
        ranges: over `RANGES`.

    Raises:
        InvariantNetsError: see `check_ranges`.
    """
    everybody, of = number.unique(return_inverse=True)
    who, place = people(seeds[0], everybody), of.numpy()
    u = chance.uniform(seeds[1], [number, album, picture, torch.full_like(number, SCENE)], len(RANGES) + len(PLACE))
    drawn = dict(zip((*RANGES, *PLACE), u.numpy().T, strict=True))
    scene = drawn | {name: low + (high - low) * drawn[name] for name, (low, high) in check_ranges(ranges or {}).items()}
    worn = outfits(seeds[1], number, album, who.phenotype["gender"][place] > 0.5)
    return Known(who, place, worn, poses(seeds[1], number, album, picture, who.stout[place]), scene)


def figures(
    number: Tensor, album: Tensor, picture: Tensor, *, size: int, cache_dir: str, seeds: tuple[int, int] = (0, 0),
    ranges: Mapping[str, Sequence[float] | float] | None = None,
) -> Iterator[Figure]:  # fmt: skip
    """Pictures with keypoints, what is seen of them, parts and box, each a function of its numbers alone.

    Pictures of one person that follow each other cost least.

    Args:
        number: ``(N,)`` int64 of the person.
        album: ``(N,)`` int64 of that person.
        picture: ``(N,)`` int64 in that album.
        size: side of the pictures in pixels.
        cache_dir: where the body is kept.
        seeds: of the people, and of their clothes and pictures.
        ranges: over `RANGES`.

    Raises:
        InvariantNetsError: the package is missing, the folder cannot be written to, or see `check_ranges`.
    """
    told = known(number, album, picture, seeds=seeds, ranges=ranges)
    mesh = body(cache_dir)
    changes = np.flatnonzero(np.diff(told.of, prepend=-1))
    starts = [s for a, b in zip(changes, [*changes[1:], len(told.of)], strict=True) for s in range(a, b, BLOCK)]
    for start, end in zip(starts, [*starts[1:], len(told.of)], strict=True):
        here = slice(start, end)
        angles, scene = ({k: v[here] for k, v in part.items()} for part in (told.poses, told.scene))
        yield from draw(mesh, told.who, told.of[start], Outfits(*(v[here] for v in told.worn)), angles, scene, size)


def backgrounds(
    number: Tensor, album: Tensor, picture: Tensor, *, size: int, cache_dir: str, seeds: tuple[int, int] = (0, 0),
    ranges: Mapping[str, Sequence[float] | float] | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """What is behind people, without them: ``(size, size, 3)`` from 0 to 1 for each. Arguments as of `figures`."""
    scene = known(number, album, picture, seeds=seeds, ranges=ranges).scene
    drawn = figures(number, album, picture, size=size, cache_dir=cache_dir, seeds=seeds, ranges=ranges)
    each = ({name: float(values[k]) for name, values in scene.items()} for k in range(len(number)))
    return [np.clip(behind(one, size, figure.box), 0, 1) ** GAMMA for one, figure in zip(each, drawn, strict=True)]
