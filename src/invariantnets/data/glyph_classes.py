"""Which characters are classes of glyphs: those that a turn by up to a right angle makes of no other and not of itself.

The list is kept in a file, ``glyph_classes.txt``, one row of characters, so that a class stays what it is whatever the
version of the fonts. ``python -m invariantnets.data.glyph_classes`` prints what the rule below makes of the fonts that
are here, in about a minute of one core.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from invariantnets.randomness import numpy_rng

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["alike", "candidates", "characters", "cuts", "distinct"]

# Upright and true italic cuts; that of DejaVu Sans that leans is the upright one, slanted, which is done to all here.
FONTS = (
    *("DejaVuSans", "DejaVuSerif", "STIXGeneral", "DejaVuSansMono"),
    *("DejaVuSans-Bold", "DejaVuSerif-Bold", "STIXGeneralBol", "DejaVuSansMono-Bold"),
    *("DejaVuSerif-Italic", "STIXGeneralItalic"),
)
# A character is looked at in the first of these that has it.
_PLAIN = FONTS[:4]
# Correlation of two pictures above which they are one class, and of a picture with itself turned.
ALIKE, ITSELF = 0.82, 0.75
# Correlation with the plain picture below which a font has another shape for a character than the one that was judged.
SAME = 0.6
# Seen from -45° and from 45°, two glyphs lie up to 90° apart.
TURNS = (0, 10, 20, 30, 45, 60, 75, 90)
# Whatever is turned by less looks much as before.
_LEAST_TURN = 30
_FORMS = ("<font>", "<isolated>", "<initial>", "<medial>", "<final>")
SIDE, CANVAS = 36, 56  # pixels of the longer side of what is drawn, and of its square
_SIZE = 64  # of the font
_ORDER = 164  # the stream of the order of the classes
_BLOCK = 512


@cache
def characters() -> str:
    """The classes in their order, which is a random one: any part of it is of all scripts."""
    return (files("invariantnets.data") / "glyph_classes.txt").read_text(encoding="utf-8").strip()


@cache
def _font(name: str) -> tuple[Path, frozenset[int]]:
    """The file of a font that matplotlib brings along, and the characters that it has."""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return path, frozenset(FT2Font(str(path)).get_charmap())


def fonts_of(character: str) -> list[str]:
    """Those of `FONTS` that have a character."""
    return [name for name in FONTS if ord(character) in _font(name)[1]]


@cache
def _type(name: str) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(str(_font(name)[0]), _SIZE, layout_engine=ImageFont.Layout.BASIC)


def picture(character: str, font: str) -> np.ndarray | None:
    """A character, its longer side `SIDE` pixels, in the middle of a square, white on black.

    Returns:
        ``(CANVAS, CANVAS)`` uint8; None where the font has nothing to see.
    """
    from PIL import Image

    mask = _type(font).getmask(character, mode="L")
    drawn = np.array(mask, np.uint8).reshape(mask.size[::-1])
    rows, columns = np.nonzero(drawn > 64)
    if not len(rows):
        return None
    drawn = drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    height, width = drawn.shape
    size = [max(1, round(side * SIDE / max(height, width))) for side in (width, height)]
    inside = Image.fromarray(drawn).resize((size[0], size[1]), Image.Resampling.BILINEAR)
    square = Image.new("L", (CANVAS, CANVAS))
    square.paste(inside, ((CANVAS - size[0]) // 2, (CANVAS - size[1]) // 2))
    return np.array(square)


def cuts(character: str) -> np.ndarray:
    """A character in each font whose shape is that of the first font that has it.

    Returns:
        ``(K, CANVAS, CANVAS)`` uint8, the first font's first; K is 0 where there is nothing to see.
    """
    found = [seen for name in fonts_of(character) if (seen := picture(character, name)) is not None]
    if not found:
        return np.zeros((0, CANVAS, CANVAS), np.uint8)
    every = np.stack(found)
    upright = _directions(torch.from_numpy(every).float()[:, None])
    return every[(upright @ upright[0] >= SAME).numpy()]


def _is_candidate(character: str) -> bool:
    """A letter, a number, or a sign of mathematics or of money; no other with an accent, a circle or brackets."""
    category, name = unicodedata.category(character), unicodedata.name(character, "")
    kind = unicodedata.decomposition(character).split()[:1]
    if not name or category == "Lm" or "CIRCLED" in name or "PARENTHESIZED" in name or (kind and kind[0] not in _FORMS):
        return False
    return category[0] in "LN" or category in ("Sm", "Sc")


def candidates() -> Iterator[str]:
    """The characters that are considered, in the order of their numbers."""
    for code in sorted(set().union(*(_font(name)[1] for name in _PLAIN))):
        if _is_candidate(chr(code)):
            yield chr(code)


def _turned(pictures: Tensor, degrees: float) -> Tensor:
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    cos, sin = angle.cos(), angle.sin()
    turn = torch.tensor([[cos, -sin, 0], [sin, cos, 0]])
    grid = F.affine_grid(turn[None].expand(len(pictures), -1, -1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def _directions(pictures: Tensor) -> Tensor:
    """Blurred by 0.6 pixels of 28×28, ``(N, 784)``, of mean 0 and length 1."""
    at = torch.arange(-6, 7).float()
    kernel = torch.exp(-at.square() / (2 * 1.2**2))
    kernel /= kernel.sum()
    soft = F.conv2d(pictures, kernel[None, None, :, None], padding=(6, 0))
    soft = F.conv2d(soft, kernel[None, None, None], padding=(0, 6))
    flat = F.avg_pool2d(soft, 2).flatten(1)
    return F.normalize(flat - flat.mean(1, keepdim=True), dim=1)


def alike(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much pictures are one another, and themselves, when turned.

    Args:
        pictures: ``(N, CANVAS, CANVAS)`` uint8.

    Returns:
        ``(N, N)`` the greatest correlation of two pictures over turns by up to 90° either way, 0 on the diagonal; and
        ``(N,)`` that of each with itself over turns of 30° to 90°.
    """
    every = torch.from_numpy(pictures).float()[:, None]
    upright = _directions(every)
    between, itself = torch.zeros(len(every), len(every)), torch.zeros(len(every))
    for degrees in TURNS:
        turned = torch.cat([_directions(_turned(block, degrees)) for block in every.split(_BLOCK)])
        found = turned @ upright.T
        torch.maximum(between, torch.maximum(found, found.T), out=between)  # of two, either is the one that is turned
        if degrees >= _LEAST_TURN:
            itself = torch.maximum(itself, found.diagonal())
    return between.fill_diagonal_(0).numpy(), itself.numpy()


def distinct(some: Sequence[str]) -> list[str]:
    """Of some characters those that are like none before them that was kept, and not like themselves when turned.

    Args:
        some: characters; one that no plain font can show is left out.
    """
    first = [(c, next((name for name in fonts_of(c) if name in _PLAIN), None)) for c in some]
    drawn = [(c, seen) for c, name in first if name is not None and (seen := picture(c, name)) is not None]
    if not drawn:
        return []
    between, itself = alike(np.stack([seen for _, seen in drawn]))
    kept: list[int] = []
    for i in np.flatnonzero(itself <= ITSELF):
        if not kept or between[i, kept].max() <= ALIKE:
            kept.append(int(i))
    return [drawn[i][0] for i in kept]


def in_order(some: Sequence[str]) -> str:
    """Shuffled, always alike."""
    return "".join(some[i] for i in numpy_rng(_ORDER).permutation(len(some)))


if __name__ == "__main__":
    print(in_order(distinct(list(candidates()))))
