"""How every figure looks, and how it becomes the same bytes each time."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from invariantnets.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Okabe & Ito's colours, told apart by colour-blind readers too; markers and line styles say the same a second time.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#8A8A8A"
GREYS = ("#6E6E6E", "#A0A0A0", "#C8C8C8")
# About the width of a phone, so that 9 pt stays 9 pt there.
WIDTH = 4.3
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
}


@contextmanager
def styled() -> Iterator[None]:
    """The house style, as a context or a decorator; matplotlib's own settings are put back."""
    with matplotlib.rc_context(_STYLE):
        yield


def new_axes(height: float = 3.4, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure of one pair of axes, in inches, belonging to no global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend_above(figure: Figure, axes: Axes, columns: int = 2, small: bool = False) -> None:
    """Put the legend over the axes, where it hides no data; a long one makes the figure higher, not the axes lower."""
    handles, labels = axes.get_legend_handles_labels()
    look: dict[str, Any] = {"handlelength": 1.6, "columnspacing": 1.2}
    if small:
        look = {"handlelength": 0.9, "columnspacing": 0.7, "handletextpad": 0.4, "borderaxespad": 0.2, "fontsize": 7}
    if handles:
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
    return buffer.getvalue()


def save_figures(figures: Sequence[tuple[str, Figure, Mapping[str, str]]], folder: Path) -> None:
    """Write figures and, last, ``figures.json`` which lists them.

    Args:
        figures: file name, figure, and its ``title``, ``caption`` and whatever else the list should hold.
        folder: where the files go.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    for file, figure, _ in figures:
        write_atomically(folder / file, render(figure, Path(file).suffix[1:]))
    entries = [{"file": file, **entry} for file, _, entry in figures]
    write_atomically(folder / "figures.json", (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode())
