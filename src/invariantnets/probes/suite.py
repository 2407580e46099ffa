"""Every probe of one layer: fitted on train, chosen on validation, reported on test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from invariantnets.features.checks import check_table, is_closed
from invariantnets.features.table import FeatureTable
from invariantnets.probes.probe import ClassReading, Probe, Reading
from invariantnets.probes.progress import watched
from invariantnets.probes.scorer import Scorer, strongest
from invariantnets.probes.task import Task, hold_out_people, prepare
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result
from invariantnets.results.words import PROBES

__all__ = ["read_answers", "run_probes"]


def chance_of_class(table: FeatureTable) -> float:
    """Accuracy without looking: that of the most frequent class of train, or of a draw among all."""
    label = table.part("train").label
    return max(1 / table.num_classes, float(np.bincount(label).max() / len(label)))


def read_answers(table: FeatureTable, layer: str, *, seed: int = 0, bootstrap: int = 1000) -> list[Result]:
    """What the network itself says of the class of the test rows: nothing to fit, and the same at every layer.

    Args:
        table: with ``prediction``, and a closed set; else there is nothing to say.
        layer: that the answer comes from.
        seed: of the intervals.
        bootstrap: replicates of the 95 % intervals, which resample sources.
    """
    test = table.part("test")
    if test.prediction is None or not is_closed(table):
        return []
    reading = ClassReading(test.prediction, n_fit=None)
    return Scorer(test, layer, seed, bootstrap).classes(reading, "softmax", chance_of_class(table))


def run_probes(
    table: FeatureTable,
    layer: str,
    probes: Sequence[Probe],
    *,
    seed: int = 0,
    bootstrap: int = 1000,
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """Measure what a layer knows of the class and of every nuisance.

    Where the classes of test are not those of train (open set), nothing is said of the class, which is
    what protocols are for; probes are fitted to some people, chosen on others and report on the people of
    test, whom neither network nor probe has seen; intervals resample people.

    Args:
        table: features with splits train, val and test.
        layer: the layer to probe.
        probes: the readers.
        seed: of the shuffled controls, subsets, networks and bootstrap.
        bootstrap: replicates of the 95 % intervals, which resample sources.
        progress: is told the name of each step before it starts.

    Returns:
        Every number, and for each nuisance that of the strongest honest probe, chosen on validation.

    Raises:
        InvariantNetsError: the table cannot be probed; the message says why.
    """
    step = progress or (lambda _: None)
    step("checking the table")
    if not is_closed(table):
        table = hold_out_people(table, numpy_rng(seed, 6))
    check_table(table, layer)
    step("sufficient statistics")
    task = prepare(table, layer, seed)
    test = task.parts["test"]
    # Pictures of one person are not independent; where people were seen in training, new pictures are what is new.
    scorer = Scorer(test if task.closed else replace(test, source=test.label), layer, seed, bootstrap)
    of_class: list[Result] = []
    of_nuisance: dict[str, list[Result]] = {target.nuisance.name: [] for target in task.every}
    for probe in probes:
        step(probe.title)
        for reading in watched(_readings(probe, task), probe.title, len(task.every), step):
            if isinstance(reading, ClassReading):
                title = "" if reading.probe or probe.name in PROBES else probe.title
                of_class += scorer.classes(reading, probe.name, chance_of_class(table), told=probe.told, title=title)
            else:
                of_nuisance[reading.target.nuisance.name] += scorer.nuisance(task, reading, probe)
    step("strongest probe")
    for target in task.every:
        found = of_nuisance[target.nuisance.name]
        found.append(strongest(scorer, target, [r for r in found if r.metric == "r2"]))
    return of_class + [r for found in of_nuisance.values() for r in found]


def _readings(probe: Probe, task: Task) -> Iterable[Reading | ClassReading]:
    asked = task.asked_for(probe.reads)
    return probe(asked) if asked.targets or asked.label else []
