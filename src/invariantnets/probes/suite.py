"""Every probe of one layer: chosen out of fold, fitted to all known rows, reported on test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from invariantnets.errors import Failure, InvariantNetsError
from invariantnets.features.checks import check_table, is_closed, unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.probes.information import conditional_v_information, v_information
from invariantnets.probes.predicted import Predicted, predictions
from invariantnets.probes.probe import ClassReading, Probe, Reading
from invariantnets.probes.progress import watched
from invariantnets.probes.scorer import Scorer
from invariantnets.probes.stack import Found, honest, with_stack
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task, prepare, refuse_collapsed, too_few
from invariantnets.probes.upper_bound import upper_bounds
from invariantnets.results.result import Result
from invariantnets.results.words import PROBES

__all__ = ["Readings", "known_together", "probable", "read_answers", "readings", "run_probes", "strongest_of"]


def chance_of_class(known: FeatureTable) -> float:
    """Accuracy without looking: that of the most frequent class of train and val, or of a draw among all."""
    return max(1 / known.num_classes, float(np.bincount(known.label).max() / len(known)))


def read_answers(table: FeatureTable, layer: str, *, seed: int = 0) -> list[Result]:
    """What the network itself says of the class of the test rows: nothing to fit, and the same at every layer.

    Args:
        table: with ``prediction``, and a closed set; else there is nothing to say.
        layer: that the answer comes from.
        seed: goes into every result.
    """
    test = table.part("test")
    if test.prediction is None or not (table.labelled and is_closed(table)):
        return []
    reading = ClassReading(test.prediction, n_fit=None)
    return Scorer(test, layer, seed).classes(reading, "softmax", chance_of_class(table.part("train", "val")))


def run_probes(
    table: FeatureTable,
    layer: str,
    probes: Sequence[Probe],
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    lost: Callable[[Failure], object] | None = None,
    predicted: Predicted | None = None,
) -> list[Result]:
    """Measure what a layer knows of the class and of every nuisance.

    Where the classes of test are not those of train (open set), nothing is said of the class, which is
    what protocols are for; probes are chosen on people that they were not fitted to and report on the people of
    test, whom neither network nor probe has seen; intervals resample people.

    Args:
        table: features with splits train, val and test.
        layer: the layer to probe.
        probes: the readers.
        seed: of the shuffled controls, folds, subsets and networks.
        progress: is told the name of each step before it starts.
        lost: is told of a probe that died, and the others go on; None: its error is raised.
        predicted: is given what was predicted of each row, see `invariantnets.probes.predictions`.

    Returns:
        Every number, and for each nuisance that of the strongest honest probe, chosen out of fold.

    Raises:
        InvariantNetsError: the table cannot be probed; the message says why.
    """
    step = progress or (lambda _: None)
    step("checking the table")
    closed = probable(table, layer)
    cannot = unprobable(table)
    if table.row is None:
        table = replace(table, row=np.arange(len(table)))
    results: list[Result] = []
    for part, whole in known_together(table, tuple(cannot)):
        of_class = whole and closed and table.labelled
        if why := too_few(part, closed):
            cannot |= {n.name: f"where it is known, {why}" for n in part.nuisances}
        elif part.nuisances or of_class:
            step("sufficient statistics")
            task = replace(prepare(part, layer, seed, closed), label=of_class)
            refuse_collapsed(task, layer)
            results += _read(task, layer, probes, step, lost, predicted)
    test = table.part("test")
    sources = len(np.unique(test.source if closed else test.label))
    return results + [_not_probed(layer, name, why, len(test), sources, seed) for name, why in cannot.items()]


def probable(table: FeatureTable, layer: str) -> bool:
    """Whether the set is closed.

    Raises:
        InvariantNetsError: the table cannot be probed; the message says why.
    """
    closed = is_closed(table)
    check_table(table, layer)
    if why := too_few(table, closed):
        raise InvariantNetsError(why)
    return closed


def known_together(table: FeatureTable, cannot: Collection[str]) -> Iterator[tuple[FeatureTable, bool]]:
    """Tables of nuisances that are known in the same rows, of those rows; first those known in all, be there any.

    Each has moments of its own: to read what is unknown in a hundred ways takes a hundred passes.

    Args:
        table: of all.
        cannot: nuisances that are left out.

    Returns:
        each table, and whether it is of all rows.
    """
    everywhere: list[str] = []
    parts: dict[bytes, tuple[np.ndarray, list[str]]] = {}
    for nuisance in table.nuisances:
        if nuisance.name not in cannot:
            known = ~np.isnan(table.nuisance[nuisance.name])
            if known.all():
                everywhere.append(nuisance.name)
            else:
                parts.setdefault(known.tobytes(), (known, []))[1].append(nuisance.name)
    yield replace(table, nuisances=tuple(n for n in table.nuisances if n.name in everywhere)), True
    for rows, names in parts.values():
        yield replace(table.rows(rows), nuisances=tuple(n for n in table.nuisances if n.name in names)), False


def _not_probed(layer: str, name: str, why: str, n: int, sources: int, seed: int) -> Result:
    note = f"not probed: {why}"
    fields: dict[str, Any] = {"n": n, "sources": sources, "seed": seed, "status": "failed", "note": note, "chance": 0.0}
    return Result("r2", float("nan"), layer, name, "strongest", "test", **fields)


Readings = dict[str, list[Found]]  # by nuisance


def _read(
    task: Task,
    layer: str,
    probes: Sequence[Probe],
    step: Callable[[str], None],
    lost: Callable[[Failure], object] | None,
    predicted: Predicted | None,
) -> list[Result]:
    """All readings of a task, by every probe that reads what it asks for."""
    test = task.parts["test"]
    # Pictures of one person are not independent; where people were seen in training, new pictures are what is new.
    scorer = Scorer(test if task.closed else replace(test, source=test.label), layer, task.seed)
    classes: list[Result] = []
    chance = chance_of_class(task.parts["known"])

    def named(reading: ClassReading, probe: Probe) -> None:
        title = "" if reading.probe or probe.name in PROBES else probe.title
        classes.extend(scorer.classes(reading, probe.name, chance, told=probe.told, title=title))

    found = readings(task, probes, layer, step=step, lost=lost, named=named)
    step("strongest probe")
    of_nuisance: list[Result] = []
    for target in task.every:
        every = with_stack(task, target, found[target.nuisance.name])
        if predicted is not None:
            predicted(layer, target.nuisance.name, predictions(task, target, every))
        best, read = next(iter(honest(task, every)), (None, None))
        scored = [r for probe, reading in every for r in scorer.nuisance(task, reading, probe, probe is best)]
        of_nuisance += [*scored, *scorer.strongest(target, best.name if best else None, scored)]
        of_nuisance += v_information(scorer, task, target, read)
        of_nuisance += conditional_v_information(scorer, task, target, every)
        of_nuisance += upper_bounds(scorer, task, target, layer)
    return classes + of_nuisance


def readings(
    task: Task,
    probes: Sequence[Probe],
    layer: str = "",
    *,
    step: Callable[[str], None] = lambda _: None,
    lost: Callable[[Failure], object] | None = None,
    named: Callable[[ClassReading, Probe], object] = lambda reading, probe: None,
) -> Readings:
    """What each probe reads, by nuisance.

    Args:
        task: with its targets.
        probes: the readers.
        layer: its name, for messages.
        step: is told of each before it starts.
        lost: is told of a probe that died, and the others go on; None: its error is raised.
        named: is given the classes that a probe names.
    """
    died: list[Failure] = []
    found: Readings = {target.nuisance.name: [] for target in task.every}
    for probe in probes:
        step(probe.title)
        try:
            for reading in watched(_asked(probe, task), probe.title, len(task.every), step):
                if isinstance(reading, ClassReading):
                    named(reading, probe)
                else:
                    found[reading.target.nuisance.name].append((probe, reading))
        except Exception as error:
            if lost is None:
                raise
            died.append(Failure(f"{layer}: probe {probe.name!r}", error))
    if died and len(died) == len(probes):
        raise died[0].error
    for failure in died:
        assert lost is not None
        lost(failure)
    return found


def strongest_of(task: Task, target: Target, found: Readings) -> Found | None:
    """The honest probe, the stack among them, that is best out of fold, and what it reads; None if all failed."""
    return next(iter(honest(task, with_stack(task, target, found[target.nuisance.name]))), None)


def _asked(probe: Probe, task: Task) -> Iterable[Reading | ClassReading]:
    asked = task.asked_for(probe.reads)
    return probe(asked) if asked.targets or asked.label else []
