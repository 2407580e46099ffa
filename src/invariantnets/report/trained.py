"""How the groups of a sweep were trained, where not alike: what else a difference may be owed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from invariantnets.report.papers.comparison import Comparison
from invariantnets.results.runs import Group
from invariantnets.results.words import NONE

__all__ = ["compare"]

# Name → key of the configuration. Those of the first network only where one was trained first.
_KEYS = {
    "epochs": "trainer.max_epochs",
    "steps": "trainer.max_steps",
    "steps an epoch": "data.epoch_batches",
    "batch": "data.batch_size",
    "views of an image": "views",
    "optimiser": "model.optimizer._target_",
    "learning rate": "model.optimizer.lr",
    "schedule": "model.scheduler._target_",
}
_FIRST = {
    "first network: epochs": "recipes.init_from.trainer.max_epochs",
    "its steps an epoch": "recipes.init_from.data.epoch_batches",
}
_NOTE = (
    "Settings in which the trainings differ besides their model or method; a dash where a network has no such setting. "
    "Epochs and steps are the most that a training may have. A first network is trained by itself beforehand, and the "
    "method starts from it. "
    "What the groups differ by in results may be owed to these as well."
)


def compare(groups: Sequence[Group]) -> Comparison | None:
    """Lay out the settings of training that groups do not share.

    Args:
        groups: of a sweep.

    Returns:
        A row for each group; None where all were trained alike, or nothing is known.
    """
    cells = {group.name: _settings(group) for group in groups}
    differ = [name for name in (*_KEYS, *_FIRST) if len({found[name] for found in cells.values()}) > 1]
    if not differ:
        return None
    rows = [(name, *(found[setting] for setting in differ)) for name, found in cells.items()]
    return Comparison("How the groups were trained", ("", *differ), rows, _NOTE, "trained")


def _settings(group: Group) -> dict[str, str]:
    first = group.setting("model", "init_from") is not None
    keys = {name: key for name, key in {**_KEYS, **_FIRST}.items() if first or name not in _FIRST}
    found = {name: _said(group.setting(*key.split("."))) for name, key in keys.items()}
    return dict.fromkeys(_FIRST, NONE) | found


def _said(value: Any) -> str:
    return NONE if value in (None, -1) else str(value).rpartition(".")[2] if isinstance(value, str) else f"{value:g}"
