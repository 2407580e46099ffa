"""What a value of ``conf/`` may be: a number, a word, a path and others, each with its own words for a message."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

__all__ = ["Columns", "Device", "Layers", "Names", "Number", "OfEach", "Part", "Path", "Shape", "Switch", "Word"]


@dataclass(frozen=True)
class Number:
    """One number, or each of a list of them.

    Attributes:
        low, high: the least and the greatest.
        whole: no fractions.
        above: ``low`` itself is too little.
        below: ``high`` itself is too much.
        null: may be left out.
        many: a list that is not empty.
    """

    low: float
    high: float = math.inf
    whole: bool = False
    above: bool = False
    below: bool = False
    null: bool = False
    many: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value is such a number, or list of numbers."""
        if value is None:
            return self.null
        if self.many:
            return isinstance(value, list) and len(value) > 0 and all(map(self._fits, value))
        return self._fits(value)

    def _fits(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        if not math.isfinite(value) or (self.above and value == self.low) or (self.below and value == self.high):
            return False
        return self.low <= value <= self.high

    def __str__(self) -> str:
        what = "whole number" if self.whole else "number"
        what = f"a list of {what}s" if self.many else f"a {what}"
        least, most = (f"{end:,.0f}" if self.whole else f"{end:g}" for end in (self.low, self.high))
        if self.high < math.inf and not self.above and not self.below:
            ends = f"from {least} to {most}"
        else:
            ends = f"above {least}" if self.above else f"of at least {least}"
            ends += f" and below {most}" if self.below else ""
        return f"{what} {ends}" + (", or null" if self.null else "")


@dataclass(frozen=True)
class Word:
    """Text of a certain form, and how to say it."""

    form: str
    said: str
    null: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value is such a word, or none where it may be left out."""
        return (
            (value is None and self.null)
            or isinstance(value, str | int)
            and re.fullmatch(self.form, str(value)) is not None
        )

    def __str__(self) -> str:
        return self.said


@dataclass(frozen=True)
class Columns:
    """A column of a table, or several."""

    many: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value can name them."""
        every = value if self.many and isinstance(value, list) else [value]
        return all(name is None or (isinstance(name, str | int) and not isinstance(name, bool)) for name in every)

    def __str__(self) -> str:
        return "names of columns, as in [yaw,light]" if self.many else "the name of a column"


@dataclass(frozen=True)
class OfEach:
    """Something for each of some names, and how to say it."""

    said: str = "one for each nuisance, as in '{yaw: circular}' or '{yaw: deg}'"

    def fits(self, value: Any) -> bool:
        """Only null: what is given by name has keys of its own."""
        return value is None

    def __str__(self) -> str:
        return self.said


class Switch:
    """``true`` or ``false``."""

    def fits(self, value: Any) -> bool:
        """Whether a value is one of the two."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


class Path:
    """A file or folder."""

    def fits(self, value: Any) -> bool:
        """Whether a value can be one; null: none is given."""
        return value is None or (isinstance(value, str) and bool(value.strip()))

    def __str__(self) -> str:
        return "a path (in quotes if it is a number)"


class Part:
    """What a run cannot be without."""

    def fits(self, value: Any) -> bool:
        """Whether there is one."""
        return value is not None

    def __str__(self) -> str:
        return "one; it cannot be null"


class Layers:
    """One layer, several, or all."""

    def fits(self, value: Any) -> bool:
        """Whether a value can name them."""
        if isinstance(value, list):
            return len(value) > 0 and len(set(map(str, value))) == len(value) and Names().fits(value)
        return value is None or (isinstance(value, str) and bool(value))

    def __str__(self) -> str:
        return "the name of a layer, a list of different ones, all, or null for the embedding"


class Device:
    """Where tensors lie: there must be one on this machine."""

    def fits(self, value: Any) -> bool:
        """Whether a value names one. Loads torch for those that torch must know of."""
        if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
            return False
        if value in ("auto", "cpu"):
            return True
        import torch

        if value == "mps":
            return torch.backends.mps.is_available()
        return int(value.partition(":")[2] or 0) < torch.cuda.device_count()

    def __str__(self) -> str:
        return "auto, cpu, or a device of this machine (cuda, cuda:0, mps)"


@dataclass(frozen=True)
class Names:
    """A list of names, perhaps of some that there are: then of one at least."""

    of: tuple[str, ...] = ()
    null: bool = False

    def fits(self, value: Any) -> bool:
        """Whether a value is such a list."""
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            return value is None and self.null
        return not self.of or (len(value) > 0 and set(value) <= set(self.of))

    def __str__(self) -> str:
        return f"a list of some of {', '.join(self.of)}" if self.of else "a list of names, as in [name]"


class Shape:
    """Channels, height and width."""

    def fits(self, value: Any) -> bool:
        """Whether a value is such a shape."""
        sides = Number(1, 4096, whole=True, many=True)
        return isinstance(value, list) and len(value) == 3 and value[0] in (1, 3) and sides.fits(value)

    def __str__(self) -> str:
        return "[channels, height, width] with 1 or 3 channels and sides from 1 to 4,096"
