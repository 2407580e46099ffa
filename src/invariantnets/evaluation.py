"""Measure whatever gives a table of features. Nothing in here knows of Hydra or Lightning."""

from __future__ import annotations

import html
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from invariantnets.analysis import Analysis, Material, analysis_named
from invariantnets.errors import Failure, InvariantNetsError
from invariantnets.features.table import FeatureTable
from invariantnets.figures import draw_run, figures_of_run
from invariantnets.files import write_atomically
from invariantnets.measuring import Curves, Progress, Protocols, measure, remarks_on, sides_unseen, usable
from invariantnets.probes import DEFAULT, Predicted, Probe, named
from invariantnets.protocols import by_parts, known_rows, run_protocols
from invariantnets.provenance import provenance
from invariantnets.report import render_run
from invariantnets.report.card import card
from invariantnets.report.headline import lines
from invariantnets.results import Result, to_jsonl
from invariantnets.results.arrays import Arrays, read_arrays, write_arrays
from invariantnets.results.runs import read_run
from invariantnets.results.select import at_layer
from invariantnets.results.training_log import training_log
from invariantnets.subject import Subject, choose_layers, looked_into, shown_of, subject_of

__all__ = ["Evaluation", "Subject", "evaluate", "run_suite", "subject_of"]

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from invariantnets.inspection import Inspection


class Reported(ABC):
    """What is saved as a folder with a report, is written as the report alone, and shows itself so in a notebook."""

    @abstractmethod
    def save(self, folder: str | Path) -> Path:
        """Write a folder; returns the path of its report."""

    def report(self, path: str | Path) -> Path:
        """Write the report alone, one HTML file with all figures inside.

        Raises:
            InvariantNetsError: the file cannot be written.
        """
        return write_atomically(path, self._html())

    def _html(self) -> str:
        with TemporaryDirectory() as folder:
            return self.save(folder).read_text(encoding="utf-8")

    def _repr_html_(self) -> str:
        """A page of its own inside the notebook's, so that neither's style reaches the other."""
        page = html.escape(self._html())
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 45em; border: 0"></iframe>'


@dataclass(frozen=True, repr=False)
class Evaluation(Reported):
    """What was measured. In a notebook it shows itself as its report, printed as its headline.

    Attributes:
        results: every number.
        table: features that the figures are drawn from.
        layer: which of them.
        record: where all this came from, plain JSON.
        failed: what is missing, since it died; the rest is whole.
        arrays: what analyses of that layer kept for their figures, by their names; of a run, also its ``training``.
    """

    results: list[Result]
    table: FeatureTable
    layer: str
    record: Mapping[str, Any]
    failed: tuple[Failure, ...] = ()
    arrays: Mapping[str, Arrays] = field(default_factory=dict)

    def __repr__(self) -> str:
        own = [result for result in self.results if not result.subject and result.layer == self.layer]
        missing = [f"- missing: {failure}" for failure in self.failed]
        return "\n".join([*lines(own, self.layer, self.record.get("units") or {}), *missing])

    def beside(self, name: str, other: Evaluation) -> Evaluation:
        """This, and what was measured of something else that its report sets beside it, as ``name``."""
        theirs = [replace(result, subject=name) for result in other.results if not result.where]
        failed = (*self.failed, *(Failure(f"{name}, {failure.what}", failure.error) for failure in other.failed))
        return replace(self, results=[*self.results, *theirs], failed=failed)

    def to_frame(self) -> pd.DataFrame:
        """A row a number, its columns the fields of `Result`, without its draws."""
        return pd.DataFrame([asdict(result) for result in self.results]).drop(columns="draws")

    def figures(self) -> dict[str, Figure]:
        """Matplotlib figures of its report, by name: ``figures()["readable_yaw"].savefig("yaw.pdf")``.

        They are 4.3 inches wide, with text of 9 points: 7 points in a column of 3.35 inches. Colours are told apart by
        colour-blind readers. What they are drawn from is in `to_frame`.
        """
        own = [result for result in self.results if not result.subject]
        return figures_of_run(own, self.table, self.layer, self.arrays)

    def save(self, folder: str | Path) -> Path:
        """Write results, provenance, ``figures/``, ``card.md`` and ``report.html``; returns the path of the last.

        Raises:
            InvariantNetsError: the folder cannot be written to.
        """
        return self.saved(folder)[0]

    def saved(self, folder: str | Path) -> tuple[Path, list[Failure]]:
        """As `save`; also returns all that the report says is missing: `failed`, and what could not be drawn."""
        folder = Path(folder)
        write_atomically(folder / "results.jsonl", to_jsonl(self.results))
        own = [result for result in self.results if not result.subject]
        arrays = {**read_arrays(folder, self.layer), **self.arrays}
        write_arrays(folder, self.layer, self.arrays)
        failed = [*self.failed, *draw_run(own, self.table, self.layer, folder / "figures", arrays)]
        record = {**self.record, "missing": list(map(str, failed))}
        write_atomically(folder / "provenance.json", json.dumps(record, indent=1, ensure_ascii=False))
        report = render_run(folder)
        write_atomically(folder / "card.md", card(read_run(folder)))
        return report, failed


def evaluate(
    subject: Subject,
    probes: Sequence[Probe] = DEFAULT,
    *,
    layers: str | Iterable[str] | None = None,
    protocols: Protocols | None = run_protocols,
    curves: Curves | None = None,
    analyses: Sequence[Analysis] = (),
    inspections: Sequence[Inspection] = (),
    seed: int = 0,
    prepare: Callable[[FeatureTable, str], FeatureTable] = lambda table, layer: table,
    keep: Callable[[list[Result]], object] = lambda results: None,
    lost: Callable[[Failure], object] = lambda failure: None,
    progress: Progress = lambda step: None,
    predicted: Predicted | None = None,
    overrides: Sequence[str] = (),
) -> Evaluation:
    """Measure each layer in turn. A step that dies after others loses nothing but itself: it is named in ``failed``.

    Args:
        subject: what is probed.
        probes: the readers.
        layers: None for the embedding, ``all``, one name or a list.
        protocols: of recognition, for people who were not trained on; None for none.
        curves: what says how the strongest reader goes on with more labelled rows, as a partial of
            `invariantnets.probes.label_efficiency`.
        analyses: what else is measured, each of its own definition.
        inspections: how the network itself is looked into, once, in the report of the layer that is shown.
        seed: of probes, protocols and intervals.
        prepare: what is done to the features of a layer before anybody reads them.
        keep: is given all results so far after each step, so that none is lost.
        lost: is told at once of a step that died.
        progress: is told each step before it starts.
        predicted: is given layer, nuisance and what was predicted of each row, see `invariantnets.probes.predictions`.
        overrides: of the command line, for the record.

    Raises:
        InvariantNetsError: a layer that is not there, or a table that cannot be used; the message says why.
        Exception: of the first step, before which there is nothing to lose.
    """
    started = datetime.now(timezone.utc)
    results: list[Result] = []
    failed: list[Failure] = []
    shown: tuple[FeatureTable, str] | None = None
    remarks: list[str] = []
    arrays: dict[str, dict[str, Arrays]] = {}

    def lose(failure: Failure) -> None:
        failed.append(failure)
        log.error("%s", failure)
        lost(failure)

    wanted = choose_layers(layers, subject)
    looks = looked_into(subject, inspections)
    for layer in wanted:
        _tell(progress, layer, "features")
        ready = None
        with _outlived(f"layer {layer}", results, lose):
            whole = subject.table(layer)
            if by_parts(protocols):  # a part that did not fire may be a row of NaN
                whole, silent = known_rows(whole, layer)
                if silent:
                    log.warning("%s", silent)
            table = prepare(whole, layer)
            ready = table, *usable(protocols, table, layer, seed), remarks_on(table)
        if ready is None:
            continue
        table, recognition, unused, known = ready
        if width := table.meta.get("projected", {}).get(layer):
            log.info("%s has %d features: probed after a random projection", layer, width)
        new = [remark for remark in [*known, *unused] if remark not in remarks]
        for remark in new:
            if remark not in table.meta.get("remarks", ()):  # those were said when the table was made
                log.warning("%s", remark)
        remarks += new
        # The network's own answers are the same at every layer: they are written once, at their own.
        answers = (subject.classifier or layer) if shown is None else None
        told = partial(_tell, progress, layer)
        kept = arrays.setdefault(layer, {})
        material = Material(table, layer, seed, subject.pictures, told, kept.__setitem__)
        asked = [*analyses, *(looks if layer == shown_of(wanted, subject) else [])]
        for what, step in measure(material, probes, recognition, answers, lose, curves, asked, predicted):
            with _outlived(f"{layer}: {what}", results, lose):
                results += step()
            keep(results)
        if shown is None or layer == shown_of(wanted, subject):
            shown = table, layer
    assert shown is not None
    remarks += sides_unseen(shown[0], at_layer(results, shown[1]))
    record = provenance(
        name=subject.name,
        model=subject.model,
        data=subject.data,
        seed=seed,
        overrides=list(overrides),
        config=subject.config,
        checksums=subject.checksums,
        checkpoint=str(subject.checkpoint) if subject.checkpoint else None,
        started=started,
        units={n.name: n.unit for n in shown[0].nuisances},
        remarks=remarks,
    )
    log_of_run = training_log(subject.checkpoint, subject.available)
    of_run = {"training": log_of_run} if log_of_run else {}
    return Evaluation(results, *shown, record, tuple(failed), {**arrays[shown[1]], **of_run})


@contextmanager
def _outlived(what: str, results: Sequence[Result], lose: Callable[[Failure], object]) -> Iterator[None]:
    """What dies in here does not take with it what was computed before; if that is nothing, it is as if not begun."""
    try:
        yield
    except Exception as error:
        if not results:
            raise
        lose(Failure(what, error))


def _tell(progress: Progress, layer: str, step: str) -> None:
    progress(f"{layer}: {step}")


def run_suite(
    table: FeatureTable,
    probes: Sequence[Probe | str] = DEFAULT,
    *,
    analyses: Sequence[Analysis | str] = (),
    name: str = "table",
    images: str | Path | None = None,
    **options: Any,
) -> Evaluation:
    """Measure a table of features: what its layers know of the class and of every nuisance.

    Args:
        table: e.g. of `FeatureTable.from_arrays`.
        probes: the readers, or names of some of `invariantnets.probes`: ``["ridge", "lda"]``.
        analyses: what else to measure, or names of some of `invariantnets.analysis`: ``["bins"]``.
        name: what to call the data.
        images: folder of the pictures that the rows are named after.
        **options: ``layers``, ``protocols``, ``seed``, ``progress`` and others of `evaluate`.

    Raises:
        InvariantNetsError: an unknown probe or analysis, or a table that cannot be used; the message says why.
    """
    if not isinstance(table, FeatureTable):
        raise InvariantNetsError(
            f"a {type(table).__name__} is no table of features: FeatureTable.from_frame(frame, label=…) makes one of a "
            "data frame, FeatureTable.from_arrays(x, label=…) of arrays, invariantnets.features.io.load_table of a file"
        )
    asked = [analysis_named(analysis) if isinstance(analysis, str) else analysis for analysis in analyses]
    return evaluate(subject_of(table, name, images), readers_of(probes), analyses=asked, **options)


def readers_of(probes: Sequence[Probe | str]) -> list[Probe]:
    """Probes, some of them by their names.

    Raises:
        InvariantNetsError: an unknown name.
    """
    return [named(probe) if isinstance(probe, str) else probe for probe in probes]
