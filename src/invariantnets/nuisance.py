"""What varies between the images of one class and should be forgotten: its kind, its unit, and how it is encoded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from invariantnets.errors import InvariantNetsError

__all__ = [
    "SPLITS",
    "Kind",
    "Nuisance",
    "both_signs",
    "check_magnitudes",
    "doubt",
    "infer_nuisance",
    "lacks_magnitude",
    "magnitude",
]

Kind = Literal["continuous", "circular", "categorical", "binary"]
SPLITS = ("train", "val", "test")
DEGREES = ("", "°", "deg", "degree", "degrees")
RADIANS = ("rad", "radian", "radians")
# Two numbers that stand for no and yes in the tables in use; any other two are just two numbers.
CODES = ((0.0, 1.0), (-1.0, 1.0))
# As many whole numbers, or fewer, may be codes of categories.
FEW_CODES = 12
# Of what is known, the least that lies on either side of 0 where a number is said to have both signs.
BOTH_SIGNS = 0.05


@dataclass(frozen=True)
class Nuisance:
    """Something that varies between images of one class and that features should forget.

    Args:
        name: column name, e.g. ``angle``.
        kind: ``continuous`` (a number), ``circular`` (degrees, 360 ≡ 0), ``categorical`` or
            ``binary`` (codes 0..K-1).
        unit: for axes and tables, e.g. ``°``.
        categories: names of the codes of a categorical or binary nuisance.
        fixed: it never varies within a class, as somebody's sex does not: who knows the class knows it.
    """

    name: str
    kind: Kind = "continuous"
    unit: str = ""
    categories: tuple[str, ...] = ()
    fixed: bool = False

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The regression target that stands for the nuisance.

        Continuous: the number itself; circular: (cos, sin); categorical and binary: one-hot. R²
        over all columns of the encoding then means the same for every kind, and 0 is chance.

        Args:
            values: ``(N,)``, none of them missing.

        Returns:
            ``(N, K)`` float64.
        """
        if self.kind == "continuous":
            return np.asarray(values, np.float64)[:, None]
        if self.kind == "circular":
            radians = np.deg2rad(np.asarray(values, np.float64))
            return np.stack([np.cos(radians), np.sin(radians)], 1)
        return (np.asarray(values, np.int64)[:, None] == np.arange(len(self.categories))).astype(np.float64)


def both_signs(values: np.ndarray) -> bool:
    """Whether one in twenty or more of the known values lie on either side of 0, as left and right of a yaw do."""
    known = values[np.isfinite(values)]
    return bool(len(known)) and min((known < 0).mean(), (known > 0).mean()) >= BOTH_SIGNS


def lacks_magnitude(nuisance: Nuisance, values: np.ndarray, names: Collection[str]) -> bool:
    """Whether a number has both signs, and none of the nuisances of these names is how far it is from 0."""
    known = {f"abs_{nuisance.name}", f"|{nuisance.name}|"}.intersection(names)
    return nuisance.kind == "continuous" and not known and both_signs(values)


def check_magnitudes(asked: Collection[str], nuisances: Collection[Nuisance], key: str = "magnitudes") -> None:
    """See that magnitudes are asked for of nuisances that are there, and are numbers.

    Args:
        asked: names.
        nuisances: that are there.
        key: where it is asked.

    Raises:
        InvariantNetsError: naming one that is not.
    """
    kinds = {nuisance.name: nuisance.kind for nuisance in nuisances}
    for name in asked:
        if name not in kinds:
            raise InvariantNetsError(f"{key}: no nuisance {name!r} (nuisances: {', '.join(kinds) or 'none'})")
        if kinds[name] not in ("continuous", "circular"):
            raise InvariantNetsError(f"{key}: {name!r} is {kinds[name]}, and a magnitude is of numbers")


def magnitude(nuisance: Nuisance, values: np.ndarray) -> tuple[Nuisance, np.ndarray]:
    """How far a number is from 0, to whichever side: ``|yaw|``. Of an angle that wraps, at most 180.

    A recogniser that cannot tell left from right has an R² of yaw of 0, and may yet know how far a head is turned.

    Args:
        nuisance: continuous or circular.
        values: ``(N,)`` of it, NaN where unknown.

    Raises:
        InvariantNetsError: it is on one side of 0 only, and is its own magnitude.
    """
    if nuisance.kind == "circular":
        values = (values + 180) % 360 - 180
    if not both_signs(values):
        raise InvariantNetsError(
            f"magnitudes: {nuisance.name!r} lies on one side of 0 only (or nearly), so that it is its own magnitude"
        )
    return replace(nuisance, name=f"|{nuisance.name}|", kind="continuous"), np.abs(values)


def infer_nuisance(
    name: str, values: np.ndarray, kind: Kind | None = None, unit: str = ""
) -> tuple[Nuisance, np.ndarray]:
    """What a column of a table is, where its kind is not said.

    Numbers are continuous, but for 0 and 1, or -1 and 1, which are binary; text and booleans are categorical, two of
    them binary.

    Args:
        name: of the column.
        values: ``(N,)`` numbers, booleans or text; NaN, None and empty text are missing.
        kind: what it is, where that is known.
        unit: of its numbers. A circular one may be in radians (``rad``), and is turned into degrees.

    Returns:
        The nuisance, and ``(N,)`` float64 numbers or codes, NaN where the value is missing.

    Raises:
        InvariantNetsError: an unknown kind, values that are not of that kind, or an angle in an unknown unit.
    """
    if kind is not None and kind not in get_args(Kind):
        raise InvariantNetsError(f"kinds: {name!r} is said to be {kind!r}; choose from {', '.join(get_args(Kind))}")
    missing, numbers = _missing(values), _numbers(values, parse=kind in ("continuous", "circular"))
    if kind in ("continuous", "circular") and numbers is None:
        text = next(str(v) for v in values[~missing] if _number(v) is None)
        raise InvariantNetsError(f"kinds: {name!r} is said to be {kind}, but holds {text!r}: numbers are needed")
    present = np.unique(numbers[~missing]) if numbers is not None else np.zeros(0)
    if kind is None and numbers is not None and values.dtype.kind != "b" and tuple(present.tolist()) not in CODES:
        kind = "continuous"
    if kind == "circular":
        return Nuisance(name, kind, "°"), _degrees(name, numbers, unit)
    if kind == "continuous" and numbers is not None:
        return Nuisance(name, kind, "°" if unit in DEGREES[1:] else unit), numbers
    known = values[~missing].astype(str) if numbers is None or values.dtype.kind == "b" else numbers[~missing]
    keys, codes = np.unique(known, return_inverse=True)
    categories = tuple(str(key) if known.dtype.kind == "U" else f"{key:g}" for key in keys)
    if kind == "binary" and len(categories) != 2:
        shown = ", ".join(categories[:4]) + ", …" * (len(categories) > 4)
        raise InvariantNetsError(
            f"kinds: {name!r} is said to be binary, but has {len(categories)} values ({shown}); say categorical"
        )
    found: Kind = kind or ("binary" if len(categories) == 2 else "categorical")
    column = np.full(len(values), np.nan)
    column[~missing] = codes
    return Nuisance(name, found, unit, categories), column


def doubt(nuisance: Nuisance, values: np.ndarray) -> str:
    """What a column whose kind was guessed may be instead, and how to say so; empty if there is no doubt.

    Args:
        nuisance: as guessed.
        values: ``(N,)`` of it.
    """
    if nuisance.kind != "continuous":
        return ""
    known = values[np.isfinite(values)]
    present, name = np.unique(known), nuisance.name
    if 2 < len(present) <= FEW_CODES and len(known) > 2 * len(present) and (present == np.round(present)).all():
        return (
            f"{name!r} holds {len(present)} whole numbers ({present[0]:g} to {present[-1]:g}), taken as an amount; "
            f"if they stand for names: kinds={{{name}: categorical}}"
        )
    low, high = (present[0], present[-1]) if len(present) else (0.0, 0.0)
    if 300 < high - low <= 360 and low >= -180 and high <= 360:
        return (
            f"{name!r} reaches from {low:.0f} to {high:.0f}, taken as an amount; if it is an angle that wraps: "
            f"kinds={{{name}: circular}}"
        )
    return ""


def _missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind in "biu":
        return np.zeros(len(values), bool)
    return np.array([v is None or v != v or (isinstance(v, str) and not v.strip()) for v in values.tolist()], bool)


def _number(value: Any) -> float | None:
    """A number, from text too; NaN where it is missing, None if it is something else."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return float("nan")
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _numbers(values: np.ndarray, parse: bool) -> np.ndarray | None:
    """``(N,)`` float64; None unless all that is there are numbers (or text of numbers, if that is to be parsed)."""
    if values.dtype.kind in "biuf":
        return values.astype(np.float64)
    items = values.tolist()
    found = [_number(v) for v in items]
    if None in found or (not parse and any(isinstance(v, str) and v.strip() for v in items)):
        return None
    return np.array(found, np.float64)


def _degrees(name: str, numbers: np.ndarray | None, unit: str) -> np.ndarray:
    assert numbers is not None
    if unit in RADIANS:
        return np.rad2deg(numbers)
    if unit not in DEGREES:
        raise InvariantNetsError(f"units: the angle {name!r} is said to be in {unit!r}; use deg or rad")
    reach = float(np.nanmax(np.abs(numbers), initial=0))
    if 0 < reach <= 2 * np.pi + 1e-6 and not unit:
        raise InvariantNetsError(
            f"the angle {name!r} reaches {reach:.3g}: degrees or radians? Say units={{{name}: deg}} or rad"
        )
    return numbers
