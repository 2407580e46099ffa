"""The look-alikes that seeds selected (2015 paper, section 3.3): in pictures, by similarity, by what they share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from invariantnets.bootstrapping.selection import Selection
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.drawing import Drawn, draw_figures
from invariantnets.figures.style import GREY, PALETTE, WIDTH, new_axes

__all__ = ["Chosen", "draw", "draw_selection", "random_similarity", "shown_identities"]

# Of a sheet: seeds, and of each so many nearest before the middle one and the last.
SEEDS, NEAREST = 8, 5
_SHEET = (
    "Each row a seed, drawn at random, then its nearest look-alikes, the one at half of the ranks and the last that "
    "was selected, with their cosine to the seed. People of a row should look alike, less so to the right; compare "
    "with the first column, which is a set of people drawn at random. {shown} of {seeds} seeds."
)
_SIMILARITY = (
    "Cosine between the hyperplanes of seeds and of those whom they selected, against that of random pairs of the "
    "pool. The less the selected overlap with the grey, the more the selection differs from a random one."
)
_OVERLAP = (
    "Share of the selected people that two seeds have in common; similar seeds stand together. Dark blocks are "
    "neighbourhoods that were drawn more than once and add few new people; a bright figure is a varied selection."
)


def shown_identities(selection: Selection) -> np.ndarray:
    """``(n,)`` int64, ascending: the identities whose faces `draw_selection` needs."""
    return np.unique(np.concatenate([identities for identities, _, _ in _sheet_rows(selection)]))


def random_similarity(normals: np.ndarray, rng: np.random.Generator, pairs: int = 20_000) -> np.ndarray:
    """Cosines between the hyperplanes of random pairs of identities, which selected ones are compared with.

    Args:
        normals: ``(I, D)``; rows of 0, of identities without a hyperplane, are in no pair.
        rng: draws the pairs.
        pairs: to draw.

    Returns:
        ``(M,)`` float64 with M ≤ ``pairs``: those of two identities that both have a hyperplane.
    """
    first, second = rng.integers(len(normals), size=(2, pairs))
    drawn = first != second
    a, b = (np.asarray(normals[i[drawn]], np.float64) for i in (first, second))
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.einsum("ij,ij->i", a, b)[length > 0] / length[length > 0]


class Chosen(NamedTuple):
    """What there is to draw: a selection, the faces of `shown_identities`, and cosines of random pairs."""

    selection: Selection
    faces: np.ndarray
    chance: np.ndarray


def draw(chosen: Chosen) -> Iterator[Drawn]:
    """The sheet and the similarities; what seeds have in common, where there are two or more."""
    selection, faces, chance = chosen
    seeds = len(selection.seed)
    sheet = _SHEET.format(shown=min(SEEDS, seeds), seeds=f"{seeds:,}")
    figure = sheet_figure(selection, faces)
    yield Drawn("selection_sheet.png", figure, "Seeds and look-alikes", sheet, "description")
    figure = similarity_figure(selection, chance)
    yield Drawn("selection_similarity.svg", figure, "How alike they are", _SIMILARITY, "description")
    if seeds > 1:
        figure = overlap_figure(selection)
        yield Drawn("selection_overlap.png", figure, "What seeds have in common", _OVERLAP, "description")


def draw_selection(selection: Selection, faces: np.ndarray, chance: np.ndarray, folder: Path) -> None:
    """Write a sheet of look-alikes, histograms of similarity, the overlap of the seeds, and ``figures.json``.

    Args:
        selection: what was selected.
        faces: ``(n, 3, S, S)`` uint8, a picture of each of `shown_identities`, in that order.
        chance: ``(M,)`` cosines of random pairs (`random_similarity`).
        folder: where the files go.

    Raises:
        InvariantNetsError: not one face for each identity shown, or the folder cannot be written to.
    """
    shown = shown_identities(selection)
    if len(faces) != len(shown):
        raise InvariantNetsError(f"faces: {len(faces)} pictures for {len(shown)} identities; give shown_identities'")
    draw_figures([draw], Chosen(selection, faces, chance), folder)


def sheet_figure(selection: Selection, faces: np.ndarray) -> Figure:
    """A row a seed: its face and those of some of its look-alikes, with their cosine."""
    shown, rows = shown_identities(selection), _sheet_rows(selection)
    columns = max(len(identities) for identities, _, _ in rows)
    height = 1.22  # of a row, in widths of a face: what is below it is written into
    figure, axes = new_axes((height * len(rows) + 0.25) * WIDTH / columns)
    for line, (identities, ranks, similarity) in enumerate(rows):
        top = height * line
        for column, (identity, rank, cosine) in enumerate(zip(identities, ranks, similarity, strict=True)):
            face = faces[np.searchsorted(shown, identity)].transpose(1, 2, 0)
            axes.imshow(face, extent=(column, column + 0.96, top + 0.96, top), interpolation="antialiased")
            below = f"{cosine:.2f}" if rank else f"no. {identity}"
            axes.text(column + 0.48, top + 0.98, below, ha="center", va="top", fontsize=7)
            if line == 0:
                axes.text(column + 0.48, -0.04, f"rank {rank:,}" if rank else "seed", ha="center", fontsize=7)
    axes.set_xlim(0, columns)
    axes.set_ylim(height * len(rows), -0.25)
    axes.set_axis_off()
    return figure


def similarity_figure(selection: Selection, chance: np.ndarray) -> Figure:
    """Densities of the cosine: random pairs, everyone selected, and the nearest of each seed."""
    other = selection.identity != selection.seed[:, None]
    nearest = [row[of][:1] for row, of in zip(selection.similarity, other, strict=True)]
    parts: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "random pairs": (chance, {"color": GREY, "alpha": 0.5, "fill": True}),
        "selected": (selection.similarity[other], {"color": PALETTE[0], "alpha": 0.5, "fill": True}),
        "the nearest of each seed": (np.concatenate(nearest), {"color": PALETTE[1], "linewidth": 1.4}),
    }
    every = np.concatenate([values for values, _ in parts.values()])
    bins = np.linspace(every.min(), np.nextafter(every.max(), np.inf), 61)
    figure, axes = new_axes(3.0)
    for name, (values, look) in parts.items():
        share = 100 * np.histogram(values, bins)[0] / max(len(values), 1)
        axes.stairs(share, bins, label=f"{name} (n = {len(values):,})", **look)
    axes.set_xlabel("cosine between hyperplanes")
    axes.set_ylabel("share of the pairs (%)")
    figure.legend(loc="outside upper left", handlelength=1.6)
    return figure


def overlap_figure(selection: Selection) -> Figure:
    """``(S, S)`` shares of identities that two seeds have in common, similar seeds beside each other."""
    share = selection.overlap() / selection.identity.shape[1]
    order = leaves_list(linkage(squareform(1 - share, checks=False), "average"))
    share = 100 * share[np.ix_(order, order)]
    np.fill_diagonal(share, np.nan)  # a seed shares all with itself, which would leave the others no colours
    figure, axes = new_axes(3.8)
    drawn = axes.imshow(share, cmap="viridis_r", vmin=0, interpolation="nearest")
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="people in common (%)")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"{len(share):,} seeds")
    axes.set_ylabel("the same seeds")
    return figure


def _sheet_rows(selection: Selection) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each seed of the sheet: identities, ranks (the seed's is 0) and cosines of those who are shown."""
    rows = []
    for seed, identity, similarity in zip(
        selection.seed[:SEEDS], selection.identity[:SEEDS], selection.similarity[:SEEDS], strict=True
    ):
        rank = np.flatnonzero(identity != seed)
        shown = np.unique(np.r_[:NEAREST, len(rank) // 2, len(rank) - 1].clip(max=len(rank) - 1)) if len(rank) else rank
        at = rank[shown]
        rows.append((np.r_[seed, identity[at]], np.r_[0, shown + 1], np.r_[1.0, similarity[at]]))
    return rows
