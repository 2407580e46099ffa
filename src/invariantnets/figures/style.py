"""How every figure looks, and how it becomes the same bytes each time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.results.select import Spread

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Okabe & Ito's colours, told apart by colour-blind readers too; markers and line styles say the same a second time.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "-.", ":")
GREY = "#8A8A8A"
GREYS = ("#6E6E6E", "#A0A0A0", "#C8C8C8")
# Axes of R² end here: one reader that does not carry over may have −60, and would press all others together.
LEAST_R2 = -0.5
# About the width of a phone, so that 9 pt stays 9 pt there.
WIDTH = 4.3
# Said where `up_to` was drawn.
UP_TO = " A dotted line ends at the bar that no reader, however it is trained, can pass on these test rows."
# Inches of a row of the legend.
_LEGEND_ROW = 0.17

_STYLE: dict[RcKeyType, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "invariantnets",
    "text.parse_math": False,  # a nuisance may be called $x$
}
# What XML cannot hold, not even in a comment, and what a drawing says of each name beside its outlines.
_NO_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@contextmanager
def styled() -> Iterator[None]:
    """The house style, as a context or a decorator, whatever a matplotlibrc says; what was set before is put back."""
    with style.context("default"), matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing")  # a box is drawn, and the caption holds the name
        yield


def new_axes(height: float = 3.4, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure of one pair of axes, in inches, belonging to no global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend_above(figure: Figure, axes: Axes, columns: int = 2, small: bool = False) -> None:
    """Put the legend over the axes, where it hides no data; a long one makes the figure higher, not the axes lower.

    Args:
        figure: to which it belongs.
        axes: whose series it names.
        columns: as many of them as fit beside each other.
        small: for very long ones.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    look: dict[str, Any] = {"handlelength": 1.6, "columnspacing": 1.2}
    room, handle = 64, 7  # characters of a line, and those that a handle and a gap take
    if small:
        look = {"handlelength": 0.9, "columnspacing": 0.7, "handletextpad": 0.4, "borderaxespad": 0.2, "fontsize": 7}
        room, handle = 78, 4

    def width(columns: int) -> int:
        parts = np.array_split([len(label) + handle for label in labels], columns)
        return sum(int(max(part, default=0)) for part in parts)

    columns = next(c for c in range(columns, 0, -1) if c == 1 or width(c) <= room)
    rows = -(-len(handles) // columns)
    row = _LEGEND_ROW * (7 / 8 if small else 1)
    figure.set_figheight(figure.get_figheight() + row * max(rows - 3, 0))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, **look)


@styled()
def render(figure: Figure, suffix: str) -> bytes:
    """The file of a figure, free of dates and versions: equal figures are equal bytes.

    Args:
        figure: what to render.
        suffix: ``svg`` or ``png``.
    """
    buffer = io.BytesIO()
    metadata = {"Date": None} if suffix == "svg" else {"Software": None}
    figure.savefig(buffer, format=suffix, dpi=180, metadata=metadata)
    return _NO_XML.sub(b"?", buffer.getvalue()) if suffix == "svg" else buffer.getvalue()


def colour(i: int) -> str:
    """Of the i-th series."""
    return PALETTE[i % len(PALETTE)]


def marker(i: int) -> str:
    """Of the i-th series."""
    # One place on at each turn of the colours, so that no two of the first 49 look alike.
    return MARKERS[(i + i // len(PALETTE)) % len(MARKERS)]


def whiskers(value: float, low: float | None, high: float | None) -> tuple[float, float]:
    """Lengths of an error bar; a percentile interval may, rarely, leave its estimate outside."""
    return (0.0 if low is None else max(value - low, 0.0), 0.0 if high is None else max(high - value, 0.0))


def up_to(axes: Axes, left: float, most: float, height: float, ink: str) -> None:
    """From what is left of a nuisance to what any reader can find at most: a thin line that ends at a bar."""
    axes.plot([left, most], [height, height], color=ink, linewidth=0.7, linestyle=":", zorder=1)
    axes.plot([most], [height], color=ink, marker="|", markersize=8, linestyle="none", zorder=1)


def no_less(value: float, low: float | None, high: float | None) -> tuple[float, float | None, float | None]:
    """An R² with its interval as axes show it, from `LEAST_R2`: how far below chance it lies says nothing more."""
    low, high = (None if bound is None else max(bound, LEAST_R2) for bound in (low, high))
    return max(value, LEAST_R2), low, high


def entry(name: str) -> str:
    """A name as a legend shows it: matplotlib leaves out what begins with an underscore."""
    return f" {name}" if name.startswith("_") else name


def clipped(name: object, length: int = 12) -> str:
    """A name of a class or person, no longer than there is room for."""
    text = str(name)
    return text if len(text) <= length else text[: length - 1] + "…"


def curves(axes: Axes, series: Mapping[str, Mapping[int, Spread]], scale: float) -> None:
    """Draw a line with thin whiskers for each series, every point where it was measured.

    Args:
        axes: where.
        series: name in the legend → place on the axis → its measurement. One without runs interrupts the line.
        scale: of what was measured.
    """
    for i, (name, curve) in enumerate(series.items()):
        if not curve:
            continue
        bars = scale * np.array([whiskers(s.mean, s.low, s.high) for s in curve.values()]).T
        axes.errorbar(
            list(curve),
            [scale * s.mean for s in curve.values()],
            bars,
            color=colour(i),
            linestyle=LINES[i % len(LINES)],
            marker=marker(i),
            markersize=4,
            linewidth=1.2,
            elinewidth=0.7,
            label=entry(name),
        )
