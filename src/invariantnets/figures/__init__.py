"""Figures of a run and of a sweep, from results (and, for the heat maps, a feature table).

A figure is one file: a function ``draw`` from a `Scene` to what it could draw of it, with its condition, title, caption
and file name inside. A new one has its file here and its place in `RUN` or `SWEEP`, which are in the order in which
reports show them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from invariantnets.errors import Failure
from invariantnets.features.table import FeatureTable
from invariantnets.figures import (
    attribute_errors,
    attributes,
    class_error,
    correspondence,
    decoder,
    depth,
    discard,
    groups,
    heat_maps,
    identity_tests,
    invariance,
    label_efficiency,
    layers,
    lda_draws,
    maximise,
    nesting,
    neurons,
    new_classes,
    norm,
    nuisance_neurons,
    pareto,
    parts,
    people_trained,
    per_class,
    pose_depth,
    prediction,
    protocols,
    quality,
    readable,
    recognition_depth,
    scree,
    selectivity,
    thresholds,
    trade_off,
    training,
    tsne,
    two_sided,
    unit_deletion,
    widths,
)
from invariantnets.figures.drawing import Drawn, NewClasses, Scene, draw_figures
from invariantnets.figures.style import styled
from invariantnets.results.result import Result
from invariantnets.results.select import Runs, at_layer

__all__ = ["RUN", "SWEEP", "Drawn", "Scene", "draw_run", "draw_sweep", "figures_of_run"]

# What leaks, then recognition, then what was asked for, then description.
RUN: tuple[Callable[[Scene], Iterator[Drawn]], ...] = (
    readable.draw,
    attributes.draw,
    selectivity.draw,
    prediction.draw,
    depth.draw,
    training.draw,
    label_efficiency.draw,
    class_error.draw,
    recognition_depth.draw,
    protocols.draw,
    parts.draw,
    thresholds.draw,
    groups.draw,
    per_class.draw,
    identity_tests.draw,
    lda_draws.draw,
    unit_deletion.draw,
    nesting.draw,
    discard.draw,
    quality.draw,
    tsne.draw,
    decoder.draw,
    neurons.draw,
    maximise.draw,
    nuisance_neurons.draw,
    correspondence.draw,
    attribute_errors.draw,
    pose_depth.draw,
    invariance.draw,
    scree.draw,
    heat_maps.draw,
    norm.draw,
)
SWEEP: tuple[Callable[[Scene], Iterator[Drawn]], ...] = (
    widths.draw,
    people_trained.draw,
    new_classes.draw,
    two_sided.draw,
    pareto.draw,
    trade_off.draw,
    layers.draw,
    label_efficiency.draw,
    prediction.draw,
    class_error.draw,
    protocols.draw,
    attribute_errors.compare,
)


def draw_run(
    results: Sequence[Result],
    table: FeatureTable | None,
    layer: str,
    folder: Path,
    arrays: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> list[Failure]:
    """Write the figures of one run and their list, ``figures.json``. Returns what could not be drawn.

    Everything but the heat maps comes from the results alone, and a figure without results is left out.

    Args:
        results: of the run, of one layer or of many.
        table: for the heat maps and the units; None leaves the maps out.
        layer: the layer to speak of.
        folder: where ``*.svg``, ``*.png`` and ``figures.json`` go.
        arrays: what analyses kept for their figures.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    return draw_figures(RUN, _scene(results, table, layer, arrays), folder, layer=layer)


@styled()
def figures_of_run(
    results: Sequence[Result],
    table: FeatureTable | None,
    layer: str,
    arrays: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> dict[str, Figure]:
    """The same figures, to be changed or saved in any format: name of the file without suffix → figure.

    Args:
        results: as of `draw_run`, as are the others.
        table: for the heat maps and the units.
        layer: to speak of.
        arrays: what analyses kept.
    """
    scene = _scene(results, table, layer, arrays)
    return {Path(drawn.file).stem: drawn.figure for draw in RUN for drawn in draw(scene)}


def _scene(
    results: Sequence[Result],
    table: FeatureTable | None,
    layer: str,
    arrays: Mapping[str, Mapping[str, np.ndarray]] | None,
) -> Scene:
    units = {} if table is None else {n.name: n.unit for n in table.nuisances}
    return Scene({"": [at_layer(results, layer)]}, {"": [results]}, units, layer, table, arrays=arrays or {})


def draw_sweep(
    groups: Mapping[str, Runs],
    folder: Path,
    units: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    widths: Mapping[str, Mapping[str, int]] | None = None,
    depths: Mapping[str, Runs] | None = None,
    methods: Collection[str] = (),
    people: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None,
    grown: NewClasses | None = None,
) -> list[Failure]:
    """Write the figures that lay the groups of a sweep over each other, and ``figures.json``.

    Returns what could not be drawn.

    Args:
        groups: name → the results of each of its runs, each of one layer (`select.at_layer`).
        folder: where the files go.
        units: nuisance → unit.
        data: group → its data: groups on other data share no gallery, hence no curve of a protocol.
        widths: name of a network and its data → group → width of its features.
        depths: group → the results of each of its runs, of all layers.
        methods: groups that are methods to compare by what they cost, each a point of its own.
        people: name of a network and its data → method → group → people that it was trained on.
        grown: method → number of classes trained on → the results of its runs on these, and on new ones.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    scene = Scene(
        groups,
        depths or {},
        units or {},
        data=data or {},
        widths=widths or {},
        methods=methods,
        people=people or {},
        new_classes=grown or {},
    )
    return draw_figures(SWEEP, scene, folder)
