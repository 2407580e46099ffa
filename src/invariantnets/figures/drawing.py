"""What every figure is given, what it gives, and how figures come into a folder: the door that all go through."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from matplotlib.figure import Figure

from invariantnets.errors import Failure, InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.figures.style import render, styled
from invariantnets.files import slug, write_atomically
from invariantnets.results.result import Result
from invariantnets.results.select import (
    CLASS_ACCURACY,
    PEOPLE_ACCURACY,
    Runs,
    nuisances,
    resampled,
    select,
    with_figures,
)

__all__ = ["PARTS", "Drawn", "NewClasses", "Scene", "draw_figures", "slug"]

log = logging.getLogger(__name__)
# In the order in which reports show them: what leaks, how well the network does its work, what the features look like.
PARTS = ("leaks", "recognition", "description")
Subject = TypeVar("Subject")
NewClasses = Mapping[str, Mapping[int, tuple[Runs, Runs]]]

_FEWER = " Of {count} nuisances, the {shown} that are read best have a figure of this kind."


class Drawn(NamedTuple):
    """A figure that is ready to be written.

    Attributes:
        file: its name, ``*.svg`` or ``*.png``.
        figure: what is rendered.
        title: for people; it is also the alternative text.
        caption: how to read it, and how it could mislead.
        about: the part of a report where it belongs: one of `PARTS`, or ``analysis/`` and the name of an analysis.
    """

    file: str
    figure: Figure
    title: str
    caption: str
    about: str


@dataclass(frozen=True)
class Scene:
    """What there is to draw of one run (``layer`` is set, one group called ``""``) or of the groups of a sweep.

    Attributes:
        groups: name → the results of each of its runs, each of one layer (`select.at_layer`).
        depths: the same, of all layers.
        units: nuisance → unit.
        layer: of a run, the layer to speak of.
        table: of a run, for the heat maps; None leaves them out.
        data: group → its data: groups on other data share no gallery, hence no curve of a protocol.
        widths: name of a network and its data → group → width of its features.
        methods: groups that are methods to compare by what they cost, each a point of its own.
        new_classes: method → number of classes trained on → the results of its runs on these, and on new ones.
        arrays: of a run, what analyses kept for their figures: name of an analysis → its arrays.
        people: name of a network and its data → method → group → people that it was trained on.
    """

    groups: Mapping[str, Runs]
    depths: Mapping[str, Runs] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    layer: str = ""
    table: FeatureTable | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    widths: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    methods: Collection[str] = ()
    new_classes: NewClasses = field(default_factory=dict)
    arrays: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    people: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)

    @property
    def run(self) -> Sequence[Result]:
        """The results of a run's one layer; those of all layers are in ``depths[""]``."""
        (results,) = self.groups[""]
        return results

    @cached_property
    def chosen(self) -> list[str]:
        """The nuisances that have figures of their own."""
        return with_figures(self.groups.values())

    @cached_property
    def fewer(self) -> str:
        """What a caption adds where not every nuisance has its figure."""
        count = len({t for runs in self.groups.values() for results in runs for t in nuisances(results)})
        return _FEWER.format(count=count, shown=len(self.chosen)) if len(self.chosen) < count else ""

    @cached_property
    def accuracy(self) -> tuple[str, str, str, str]:
        """Name, metric, target and probe of what should stay high: of the class, else of people never trained on."""
        every = [results for runs in self.groups.values() for results in runs]
        return CLASS_ACCURACY if any(select(r, *CLASS_ACCURACY[1:]) for r in every) else PEOPLE_ACCURACY

    @cached_property
    def whiskers(self) -> str:
        """What whiskers and bands show."""
        many = any(len(runs) > 1 for runs in self.groups.values())
        return "± s.d. over seeds" if many else f"95 % intervals over {self.resampled}"

    @cached_property
    def resampled(self) -> str:
        """What intervals are over."""
        return resampled(r for runs in self.groups.values() for results in runs for r in results)

    def axis(self, what: str, nuisance: str) -> str:
        """The label of an axis in the unit of a nuisance."""
        unit = self.units.get(nuisance, "")
        return f"{what} {nuisance} ({unit})" if unit else f"{what} {nuisance}"

    def by_data(self, groups: Mapping[str, Runs]) -> dict[str, dict[str, Runs]]:
        """The groups of each data set, whose name they need no longer; all under ``""`` where there is one only."""
        if len(set(self.data.values())) < 2:
            return {"": dict(groups)}
        parts: dict[str, dict[str, Runs]] = {}
        for name, runs in groups.items():
            of_data = self.data[name]
            parts.setdefault(of_data, {})[name.replace(f" on {of_data}", "", 1)] = runs
        return parts

    def of_data(self, drawn: Drawn, data: str) -> Drawn:
        """The figure of one of several data sets, which its file and title then name."""
        if not data:
            return drawn
        return drawn._replace(file=f"{Path(drawn.file).stem}_{slug(data)}.svg", title=f"{drawn.title} on {data}")


def draw_figures(
    figures: Iterable[Callable[[Subject], Iterator[Drawn]]], subject: Subject, folder: Path, **more: str
) -> list[Failure]:
    """Write what each of a list of figures makes of a subject and, last, ``figures.json``, which lists it.

    One that cannot be drawn is said, and keeps no other from being drawn.

    Args:
        figures: each yields what it could draw, nothing where there are no results for it.
        subject: what is drawn.
        folder: where ``*.svg``, ``*.png`` and ``figures.json`` go.
        more: what the list should say of each beside its ``file``, ``title``, ``caption`` and ``about``.

    Returns:
        What could not be drawn.

    Raises:
        InvariantNetsError: the folder cannot be written to.
    """
    if folder.is_symlink():
        raise InvariantNetsError(f"{folder}: is a link to another folder; remove it, for nothing is written there")
    entries: list[dict[str, str]] = []
    failed: list[Failure] = []
    for draw in figures:
        try:
            for drawn, content in _rendered(draw(subject)):
                file, _, *words = drawn
                if any(entry["file"] == file for entry in entries):  # of "a" by "b_c", and of "a_b" by "c"
                    file = f"{Path(file).stem}-{len(entries)}{Path(file).suffix}"
                write_atomically(folder / file, content)
                entries.append({"file": file, **dict(zip(("title", "caption", "about"), words, strict=True)), **more})
        except _Undrawn as error:
            failed.append(Failure(f"figure {draw.__module__.rpartition('.')[2]!r}", error.why))
            log.error("%s", failed[-1])
    write_atomically(folder / "figures.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    return failed


class _Undrawn(Exception):
    """A figure died, and not the disk that it was to be written to."""

    def __init__(self, why: Exception):
        self.why = why


def _rendered(figures: Iterator[Drawn]) -> Iterator[tuple[Drawn, bytes]]:
    """Figures and their files.

    Raises:
        _Undrawn: one of them could not be drawn, whatever the reason.
    """
    while True:
        try:
            with styled():
                drawn = next(figures)
                content = render(drawn.figure, Path(drawn.file).suffix[1:])
        except StopIteration:
            return
        except Exception as error:
            raise _Undrawn(error) from error
        yield drawn, content
