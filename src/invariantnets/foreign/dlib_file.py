"""Reading the networks that dlib writes: the convolutions, scales and linear maps of a ``.dat`` file.

A layer is its tag, a string after its length; a tensor, as a version, four sizes and as many float32; and then the
layer's own numbers. Integers are a byte for their length and sign, and so many bytes. What lies between layers (their
gradients, options of training) is passed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_TAGS = re.compile(rb"\x01\x05con_4|\x01\x07affine_|\x01\x04fc_2")
_INPUT = b"\x01\x15input_rgb_image_sized"
_TENSOR = 2  # its version
_LARGEST = 1 << 24  # values of one tensor


@dataclass(frozen=True)
class Layer:
    """A layer as it lies in the file.

    Attributes:
        tag: ``con_4``, ``affine_`` or ``fc_2``.
        values: all its parameters in a row, float32.
        numbers: of a convolution: filters, height, width, stride down and across, padding down and across; of a
            linear map: outputs and inputs.
    """

    tag: str
    values: np.ndarray
    numbers: tuple[int, ...]


def read_layers(data: bytes) -> Iterator[Layer]:
    """The layers with parameters, from the one that is given the picture to the last.

    Raises:
        ValueError: the file ends within one, or what is there is none.
    """
    place = 0
    while found := _TAGS.search(data, place):
        tag = found[0][2:].decode()
        place, before, after = found.end(), 2 if found[0].endswith(b"fc_2") else 0, 7 if found[0][2:3] == b"c" else 0
        first, place = _integers(data, place, before)
        values, place = _tensor(data, place)
        last, place = _integers(data, place, after)
        yield Layer(tag, values, (*first, *last))


def read_mean(data: bytes) -> tuple[float, float, float]:
    """Of red, green and blue of 0–255: what is taken from each pixel.

    Raises:
        ValueError: it is not there.
    """
    place = data.find(_INPUT)
    if place < 0:
        raise ValueError("no input for RGB pictures")
    found, _ = _integers(data, place + len(_INPUT), 6)  # each a mantissa and a power of two
    red, green, blue = (math.ldexp(found[i], found[i + 1]) for i in (0, 2, 4))
    return red, green, blue


def _tensor(data: bytes, place: int) -> tuple[np.ndarray, int]:
    (version, *sizes), place = _integers(data, place, 5)
    count = math.prod(sizes)
    if version != _TENSOR or min(sizes) < 1 or count > _LARGEST:
        raise ValueError(f"no tensor at byte {place}")
    if place + 4 * count > len(data):
        raise ValueError("it ends within a tensor")
    values = np.frombuffer(data, "<f4", count, place)
    if not np.isfinite(values).all():
        raise ValueError(f"a number at byte {place} is not finite")
    return values, place + 4 * count


def _integers(data: bytes, place: int, count: int) -> tuple[list[int], int]:
    found = []
    for _ in range(count):
        head = data[place] if place < len(data) else 0
        length = head & 0x0F
        if not 1 <= length <= 8 or head & 0x70 or place + length >= len(data):
            raise ValueError(f"no integer at byte {place}")
        value = int.from_bytes(data[place + 1 : place + 1 + length], "little")
        found.append(-value if head & 0x80 else value)
        place += 1 + length
    return found, place
