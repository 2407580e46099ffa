"""Label efficiency: what the strongest honest reader makes of few labels and of many, and where that is heading.

Beside it the prequential description length of the labels: each block of rows is told by the reader of the blocks
before (Blier and Ollivier 2018, "The description length of deep learning models", section 3.3; of probes Voita and
Titov 2020, "Information-theoretic probing with minimum description length", section 2.2.2). It is short where a reader
needs few labels and where it then reads well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from invariantnets.errors import Failure
from invariantnets.features.checks import unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.probes.label_curves import Curves, Read
from invariantnets.probes.likelihood import Scale, fit_likelihood, scale_of
from invariantnets.probes.probe import Probe, Reading
from invariantnets.probes.scorer import Scorer
from invariantnets.probes.suite import known_together, probable, readings, strongest_of
from invariantnets.probes.targets import r2
from invariantnets.probes.task import Task, prepare
from invariantnets.randomness import numpy_rng
from invariantnets.results.result import Result

__all__ = ["label_efficiency", "nested_rows"]

log = logging.getLogger(__name__)
# Of fewer sources next to none could be held out from others.
MIN_SOURCES = 5


def nested_rows(source: np.ndarray, stratum: np.ndarray, sizes: Sequence[int], seed: int) -> dict[int, np.ndarray]:
    """Rows of whole sources, at most so many of them, each set within the next; and last all.

    Args:
        source: ``(M,)`` of the rows to draw from.
        stratum: ``(M,)`` what is drawn in turn, so that every set has as many sources of each as can be: the class.
        sizes: those of fewer than `MIN_SOURCES` sources, and those of all rows or more, are left out.
        seed: of the draw.

    Returns:
        size → indices, ascending.
    """
    _, first, group, size = np.unique(source, return_index=True, return_inverse=True, return_counts=True)
    order = numpy_rng(seed, 19).permutation(len(size))
    order = order[np.argsort(_turn(stratum[first[order]]), kind="stable")]
    place = np.argsort(order)
    reach = np.cumsum(size[order])
    stops = {n: int(np.searchsorted(reach, n, side="right")) for n in sorted(set(sizes)) if n < len(source)}
    sets = {n: np.flatnonzero(place[group] < stop) for n, stop in stops.items() if stop >= MIN_SOURCES}
    return {**sets, len(source): np.arange(len(source))}


def _turn(stratum: np.ndarray) -> np.ndarray:
    """``(S,)`` the how-manieth of its kind each is."""
    order = np.argsort(stratum, kind="stable")
    _, starts, counts = np.unique(stratum[order], return_index=True, return_counts=True)
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(starts, counts)
    return turn


def label_efficiency(
    table: FeatureTable,
    layer: str,
    probes: Sequence[Probe],
    rows: Sequence[int],
    *,
    seed: int = 0,
    seeds: int = 1,
    progress: Callable[[str], None] | None = None,
) -> list[Result]:
    """R² of the strongest honest reader against labelled rows, where it is heading, and the description length.

    At each size all is chosen and fitted on that many rows alone, and read on the same test rows.

    Args:
        table: as of `run_probes`.
        layer: to read.
        probes: the readers; those that are told the answer are left out.
        rows: sizes; all known rows are added. Empty: only these, for the spread over probe seeds.
        seed: of the draw of rows, and of all that `run_probes` draws.
        seeds: how often all is repeated, with other rows and other seeds of the probes; the curve is their mean.
        progress: is told of each size before it is read.

    Returns:
        Of each nuisance ``r2`` of ``strongest`` at each size (``where`` says it), ``r2_heading`` and
        ``description_length``; of several seeds ``r2_over_seeds``, the standard deviation.

    Raises:
        InvariantNetsError: the table cannot be probed; the message says why.
    """
    closed = probable(table, layer)
    step = progress or (lambda _: None)
    honest = [probe for probe in probes if not probe.told]
    results: list[Result] = []
    for part, _ in known_together(table, unprobable(table)):
        if not part.nuisances:
            continue
        known = part.split != "test"
        source, stratum = (part.source, part.label) if closed else (part.label, np.zeros_like(part.label))
        orders = [nested_rows(source[known], stratum[known], rows, at) for at in range(seed, seed + max(seeds, 1))]
        sizes = [n for n in orders[0] if all(n in sets for sets in orders)]
        reads: dict[str, list[list[Read]]] = {n.name: [[] for _ in orders] for n in part.nuisances}
        for k, sets in enumerate(orders):
            for size, after in zip(sizes, [*sizes[1:], None], strict=True):
                step(f"{len(sets[size]):,} labelled rows")
                block = np.setdiff1d(sets[after], sets[size], assume_unique=True) if after else sets[size][:0]
                for name, read in _read(part, layer, honest, sets[size], block, seed + k, closed).items():
                    reads[name][k].append(read)
        test = part.part("test")
        scorer = Scorer(test if closed else replace(test, source=test.label), layer, seed)
        for nuisance in part.nuisances:
            of = [[sets[n] for n in sizes] for sets in orders]
            results += Curves(nuisance, part, reads[nuisance.name], of, source[known]).results(scorer, sizes)
    return results


def _read(
    table: FeatureTable,
    layer: str,
    probes: Sequence[Probe],
    chosen: np.ndarray,
    block: np.ndarray,
    seed: int,
    closed: bool,
) -> dict[str, Read]:
    """What is read from some known rows, in the next block and in the test rows."""
    known, test = np.flatnonzero(table.split != "test"), np.flatnonzero(table.split == "test")
    part = table
    if len(chosen) < len(known):
        part = _labelled(
            table.rows(np.concatenate([known[chosen], known[block], test])), len(chosen), len(block), closed
        )
    # Nobody reads what is the same in all rows.
    varied = [n for n in part.nuisances if np.ptp(part.nuisance[n.name][part.split != "test"]) > 0]
    found: dict[str, Read] = {}
    everything = {n.name: n.encode(table.nuisance[n.name]) for n in table.nuisances}
    died: tuple[str, ...] = ()
    if varied:
        task = prepare(replace(part, nuisances=tuple(varied)), layer, seed, closed)
        lost: list[Failure] = []
        said = readings(task, probes, layer, lost=lost.append)
        for failure in lost:
            log.warning("%d rows: %s", len(chosen), failure)
        died = tuple(map(str, lost))
        for target in task.every:
            best = strongest_of(task, target, said)
            if best is not None:
                whole = everything[target.nuisance.name]
                scale = scale_of(target.nuisance.kind, whole[known])
                probe, reading = best
                code = _code(scale, task, reading, whole[known[block]], seed)
                shuffled = task.y["test"][len(block) :, target.control]
                control = r2(reading.control[len(block) :], shuffled, task.mean(target.control))
                told = reading.test[len(block) :]
                found[target.nuisance.name] = Read(len(chosen), probe.name, told, control, code, died)
    for nuisance in table.nuisances:
        if nuisance.name not in found:
            whole = everything[nuisance.name]
            mean = np.broadcast_to(whole[known[chosen]].mean(0), whole[test].shape)
            code = scale_of(nuisance.kind, whole[known]).marginal(whole[known[block]])
            found[nuisance.name] = Read(len(chosen), "", mean, 0.0, code, died)
    return found


def _labelled(table: FeatureTable, labelled: int, block: int, closed: bool) -> FeatureTable:
    """A table whose first rows are known, and all others of test; of a closed set the classes are those known."""
    split = table.split.copy()
    split[labelled : labelled + block] = "test"
    if len(np.unique(split[:labelled])) < 2:  # both are asked for, and together they are what is known
        split[:labelled] = np.where(table.source[:labelled] == table.source[0], "val", "train")
    if not closed:
        return replace(table, split=split)
    # A class that has no labelled row is none to the readers, who are not told that of a row of test.
    present = np.unique(table.label[:labelled])
    label = np.searchsorted(present, table.label).clip(max=len(present) - 1)
    return replace(table, split=split, label=label, num_classes=len(present), classes=())


def _code(scale: Scale, task: Task, reading: Reading, block: np.ndarray, seed: int) -> np.ndarray:
    """``(B,)`` bits to tell the rows of a block, which are the first of test."""
    known = task.y["known"][task.choice][:, reading.target.true]
    fitted = fit_likelihood(scale, reading.held_out, known, task.source[task.choice], seed)
    return scale.marginal(block) - fitted.saved(reading.test[: len(block)], block)
