"""What every reader predicted of every row that it was not fitted to: for whoever makes plots of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from invariantnets.nuisance import Nuisance
from invariantnets.probes.stack import Found
from invariantnets.probes.targets import Target
from invariantnets.probes.task import Task
from invariantnets.results.arrays import Arrays

__all__ = ["Predicted", "predictions"]

# Is given the layer, the nuisance and its columns.
Predicted = Callable[[str, str, Arrays], object]


def predictions(task: Task, target: Target, found: Sequence[Found]) -> Arrays:
    """Columns of one nuisance: its test rows, and before them those of train and val that folds held out.

    R² is ``1 - ((true - ridge) ** 2).sum() / ((true - mean) ** 2).sum()`` over the rows of a part: of test that of the
    results, of all others together their ``validation``.

    Args:
        task: of a table whose rows are numbered.
        target: one of its nuisances.
        found: its readings, by every probe.

    Returns:
        ``row`` (number of the row in the table that was read, from 0), ``name`` if images have names, ``label`` if
        they have classes, ``split`` (a prediction of train or val is by a reader that was not fitted to that row),
        ``true`` (in the unit of the nuisance, or its category), ``mean`` of the known rows, and a column for each
        probe, called as it is. Of an angle that wraps, and of categories, mean and probes have several columns:
        ``ridge [cos]``, ``ridge [sin]``; ``ridge [smiling]``, the larger the likelier.
    """
    known, test = task.parts["known"], task.parts["test"]
    nuisance, columns = target.nuisance, dict[str, np.ndarray]()
    for name in ("row", "name", "label", "split"):
        if name == "label" and not test.labelled:
            continue
        of_known, of_test = getattr(known, name), getattr(test, name)
        if of_test is not None:
            columns[name] = np.concatenate([of_known[task.choice], of_test])
    if "label" in columns and test.classes:
        columns["label"] = np.array(test.classes)[columns["label"]]
    true = np.concatenate([known.nuisance[nuisance.name][task.choice], test.nuisance[nuisance.name]])
    columns["true"] = np.array(nuisance.categories)[true.astype(int)] if nuisance.categories else true
    parts = _parts(nuisance)
    read = {"mean": np.broadcast_to(task.mean(target.true), (len(true), len(parts)))}
    read |= {probe.name: np.concatenate([reading.held_out, reading.test]) for probe, reading in found}
    for name, values in read.items():
        columns |= {f"{name}{part}": values[:, i] for i, part in enumerate(parts)}
    return columns


def _parts(nuisance: Nuisance) -> list[str]:
    """What stands behind the name of a probe, in the order of `Nuisance.encode`."""
    parts = {"continuous": [""], "circular": [" [cos]", " [sin]"]}
    return parts.get(nuisance.kind, [f" [{category}]" for category in nuisance.categories])
