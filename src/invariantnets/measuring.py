"""What can be measured of one layer of a table, and what must be said before it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from invariantnets.analysis.analysis import Analysis, Material
from invariantnets.analysis.description import describe
from invariantnets.analysis.norm import describe_norm, describe_recognition
from invariantnets.errors import Failure
from invariantnets.features.checks import is_closed, thin_classes, unprobable
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS, lacks_magnitude
from invariantnets.probes import Predicted, Probe, read_answers, run_probes
from invariantnets.protocols import by_list, by_parts, unfit
from invariantnets.results import Result
from invariantnets.results.format import and_
from invariantnets.results.select import strongest_of

__all__ = ["Curves", "Progress", "Protocols", "is_open", "measure", "remarks_on", "sides_unseen", "usable"]

log = logging.getLogger(__name__)
Progress = Callable[[str], None]
Protocols = Callable[..., list[Result]]
Curves = Callable[..., list[Result]]


def measure(
    material: Material,
    probes: Sequence[Probe],
    protocols: Protocols | None,
    answers: str | None = None,
    lost: Callable[[Failure], object] | None = None,
    curves: Curves | None = None,
    analyses: Sequence[Analysis] = (),
    predicted: Predicted | None = None,
) -> Iterator[tuple[str, Callable[[], list[Result]]]]:
    """All that can be said of a layer, step by step: what it is called, and what takes it.

    Probes need a training split. Protocols compare people, so that they are for networks that were not
    trained on those of the test split; a list says itself whom to compare. Whether they can is known before anything
    is probed. ``answers``: at which layer to write what the network itself says of the class; ``lost``: is told of a
    single probe that died; ``curves``: what says how it goes on with more labelled rows; ``analyses``: what else is
    measured; ``predicted``: is given what was predicted of each row.
    """
    table, layer, seed, progress = material.table, material.layer, material.seed, material.progress
    if set(SPLITS) <= set(table.split):
        read = partial(run_probes, table, layer, probes, progress=progress, lost=lost, predicted=predicted, seed=seed)
        yield "probes", read
        if answers is not None:
            yield "answers of the network", partial(read_answers, table, answers, seed=seed)
        if curves is not None:
            yield "label efficiency", partial(curves, table, layer, probes, seed=seed, progress=progress)
    else:
        log.info("%s: no train and val rows, so nothing to fit a probe on", layer)
    yield "description", partial(describe, table, layer, seed=seed)
    if protocols is not None:
        yield "recognition", partial(protocols, table, layer, seed=seed, progress=progress)
    if protocols is not None and is_open(table) and not by_parts(protocols):
        progress("norm")
        yield "length of the features", partial(describe_norm, table, layer, seed=seed)
        yield "length and recognition", partial(describe_recognition, table, layer, seed=seed)
    for analysis in analyses if material else ():
        progress(analysis.title)
        yield analysis.title, partial(analysis, material)


def is_open(table: FeatureTable) -> bool:
    """Whether the people of test, if they are known, are others than those that probes are fitted to."""
    return table.labelled and not (set(SPLITS) <= set(table.split) and is_closed(table))


def usable(
    protocols: Protocols | None, table: FeatureTable, layer: str, seed: int
) -> tuple[Protocols | None, list[str]]:
    """The protocols, where they can be run on the table; and what must be said if not.

    They compare people, so that they are for networks that were not trained on those of the test split; a list says
    itself whom to compare, and parts are asked for.

    Raises:
        InvariantNetsError: a list that cannot be read, or does not fit the table; or a table without parts.
    """
    if protocols is None or not (by_parts(protocols) or is_open(table) or by_list(protocols)):
        return None, []
    why = unfit(protocols, table, layer, seed)
    return (None, [why]) if why else (protocols, [])


def remarks_on(table: FeatureTable) -> list[str]:
    """What was assumed, drawn or left out, and what of it cannot be probed: all that a reader must know beforehand."""
    known = list(table.meta.get("remarks", ()))
    if not set(SPLITS) <= set(table.split):
        return known
    cannot = [f"nuisance {name!r} is not probed: {why}" for name, why in unprobable(table).items()]
    return [*known, *([thin] if (thin := thin_classes(table)) else []), *cannot]


def sides_unseen(table: FeatureTable, results: Sequence[Result]) -> list[str]:
    """Which small R² do not show that a number is forgotten, as features may tell how far it is from 0, and no side.

    Args:
        table: what was read.
        results: of its layer. Of an R² above a half nobody says that the number is forgotten.
    """
    names = {n.name for n in table.nuisances}
    found = [
        n.name
        for n in table.nuisances
        if lacks_magnitude(n, table.nuisance[n.name], names)
        and not any(r.value > 0.5 for r in strongest_of([results], n.name))
    ]
    if not found:
        return []
    return [
        f"{and_(found)}: features that tell how far it is from 0, and not to which side, have an R² of 0, so that a "
        f"small R² is not yet forgetting; magnitudes=[{','.join(found)}] reads that, too (of a table in Python: "
        "table.with_magnitudes)"
    ]
