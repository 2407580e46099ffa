"""What varies between pictures of one person: names, ranges, and draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from invariantnets.data.renderer import chance, person
from invariantnets.errors import InvariantNetsError
from invariantnets.nuisance import Nuisance

Range = Sequence[float] | float

YES_NO = ("no", "yes")
NUISANCES = (
    Nuisance("yaw", unit="°"),
    Nuisance("pitch", unit="°"),
    Nuisance("roll", unit="°"),
    Nuisance("light_azimuth", unit="°"),
    Nuisance("light_elevation", unit="°"),
    Nuisance("light_strength"),
    Nuisance("smile"),
    Nuisance("mouth_open"),
    Nuisance("brow_raise"),
    Nuisance("eyes_closed"),
    Nuisance("glasses", "binary", categories=YES_NO),
    Nuisance("dark_glasses", "binary", categories=YES_NO),
    Nuisance("hat", "binary", categories=YES_NO),
    Nuisance("scarf", "binary", categories=YES_NO),
    Nuisance("background"),
    Nuisance("clutter"),
    Nuisance("video_frame", "binary", categories=YES_NO),
    Nuisance("blur"),
    Nuisance("noise"),
    Nuisance("compression"),
)
NAMES = tuple(nuisance.name for nuisance in NUISANCES)
BINARY = frozenset(nuisance.name for nuisance in NUISANCES if nuisance.kind == "binary")

RANGES: Mapping[str, Range] = {
    "yaw": (-90, 0, 90),
    "pitch": (-25, 0, 25),
    "roll": (-15, 0, 15),
    "light_azimuth": (-80, 80),
    "light_elevation": (-20, 60),
    "light_strength": (0.5, 1.2),
    "smile": (-0.2, 1),
    "mouth_open": (0, 0, 1),
    "brow_raise": (-0.5, 1),
    "eyes_closed": (0, 0, 1),
    "glasses": 0.25,
    "dark_glasses": 0.2,
    "hat": 0.12,
    "scarf": 0.1,
    "background": (0, 1),
    "clutter": (0, 1),
    "video_frame": 0.3,
    "blur": (0, 1),
    "noise": (0, 1),
    "compression": (0, 1),
}
"""Defaults: [low, high] is uniform, [low, mode, high] triangular, one number a probability.

``dark_glasses`` is the share among the glasses; blur, noise and compression are those of the video frames."""

SCENE = "scene"
"""One more number of every picture, uniform in (0, 1): which pattern and clothes, and the noise's beginning."""

HABITS: Mapping[str, tuple[str, float]] = {
    "glasses": ("glasses_habit", 0.8),
    "hat": ("hat_habit", 0.5),
    "smile": ("smile_habit", 0.4),
}
"""Declared correlations with identity: nuisance → (number of the code, correlation of the normal scores).

The frequency over the population stays what the range says."""

NEUTRAL: Mapping[str, float] = {
    **dict.fromkeys((*NAMES, SCENE), 0.0),
    "light_azimuth": 0.0,
    "light_elevation": 25.0,
    "light_strength": 0.9,
    "background": 0.6,
}
"""The frontal, neutral, evenly lit still picture."""


def check_ranges(ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The defaults with ``ranges`` over them.

    Raises:
        InvariantNetsError: an unknown nuisance, a probability outside [0, 1], numbers that are no range.
    """
    for name, value in ranges.items():
        if name not in RANGES:
            raise InvariantNetsError(
                f"ranges: {name!r} is no nuisance of the renderer; choose from {', '.join(RANGES)}"
            )
        binary = name in BINARY
        numbers = [value] if isinstance(value, int | float) else list(value)
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers) or numbers != sorted(numbers):
            raise InvariantNetsError(f"ranges: {name} needs finite numbers in ascending order, got {value}")
        if binary and (len(numbers) != 1 or not 0 <= numbers[0] <= 1):
            raise InvariantNetsError(f"ranges: {name} needs one probability in [0, 1], got {value}")
        if not binary and len(numbers) not in (1, 2, 3):
            raise InvariantNetsError(f"ranges: {name} needs a value, [low, high] or [low, mode, high], got {value}")
    return {**RANGES, **ranges}


def _quantile(spread: Range, u: Tensor, binary: bool) -> Tensor:
    """The number below which a share ``u`` of the distribution lies; 1 with the given probability if binary."""
    numbers = [float(spread)] if isinstance(spread, int | float) else [float(v) for v in spread]
    if binary:
        return (u > 1 - numbers[0]).double()
    low, high, mode = numbers[0], numbers[-1], numbers[len(numbers) // 2]
    if len(numbers) < 3 or high == low:
        return low + (high - low) * u
    rising = low + ((high - low) * (mode - low) * u).sqrt()
    falling = high - ((high - low) * (high - mode) * (1 - u)).sqrt()
    return torch.where(u < (mode - low) / (high - low), rising, falling)


def nuisances(
    ranges: Mapping[str, Range], seed: int, numbers: Tensor, samples: Tensor, codes: Tensor
) -> dict[str, Tensor]:
    """What pictures are like, as a pure function of (ranges, seed, identity, sample).

    Args:
        ranges: overrides of ``RANGES``.
        seed: of the population.
        numbers: ``(B,)`` int64, identities.
        samples: ``(B,)`` int64, pictures of each.
        codes: ``(B, D)``, the identities' points, for the habits that are part of them.

    Returns:
        name → ``(B,)`` float32 for every one of ``NUISANCES``, and ``scene``.

    Raises:
        InvariantNetsError: see ``check_ranges``.
    """
    spreads = check_ranges(ranges)
    # Identity codes hash (seed, number) alone; one more key keeps the streams apart.
    scores = dict(zip((*NAMES, SCENE), chance.normal(seed, [numbers, samples], len(NAMES) + 1).unbind(1), strict=True))
    for name, (habit, share) in HABITS.items():
        own = codes[:, person.CODE.index(habit)].double()
        scores[name] = share * own + (1 - share**2) ** 0.5 * scores[name]
    drawn = {name: torch.special.ndtr(score) for name, score in scores.items()}
    for name, spread in spreads.items():
        drawn[name] = _quantile(spread, drawn[name], name in BINARY)
    drawn["dark_glasses"] = drawn["dark_glasses"] * drawn["glasses"]
    for name in ("blur", "noise", "compression"):
        drawn[name] = drawn[name] * drawn["video_frame"]
    return {name: value.float() for name, value in drawn.items()}


def frontal(nuisance: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The frontal, neutral, evenly lit still picture without accessories, for each row."""
    return {name: torch.full_like(value, NEUTRAL[name]) for name, value in nuisance.items()}
