"""Where a number came from."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from invariantnets import threads


def _commit() -> str | None:
    """The commit of the code that runs, ``-dirty`` if it was edited; None outside a clone."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return None
    return done.stdout.strip() or None


# Asked when the code is loaded: at the end of a run the folder may hold other code.
COMMIT = _commit()
LIBRARIES = ("invariantnets", "torch", "torchvision", "pytorch-lightning", "numpy", "scikit-learn", "hydra-core")


def plain(node: Any) -> dict[str, Any]:
    """A configuration resolved to plain containers: all that a checkpoint may hold."""
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def moved(node: Any, old: str | None, new: str) -> Any:
    """A configuration with every path below the folder ``old`` put below ``new``."""
    if isinstance(node, dict):
        return {key: moved(value, old, new) for key, value in node.items()}
    if old and isinstance(node, str) and (node == old or node.startswith(f"{old}/")):
        return new + node.removeprefix(old)
    return node


def provenance(
    *,
    name: str,
    model: str,
    data: str,
    seed: int,
    overrides: list[str],
    config: dict[str, Any],
    checksums: dict[str, str],
    checkpoint: str | None,
    started: datetime,
    units: dict[str, str],
    remarks: list[str],
) -> dict[str, Any]:
    """Everything a reader needs to repeat a run, as plain JSON."""
    now = datetime.now(timezone.utc)
    return {
        "name": name,
        "model": model,
        "data": data,
        "seed": seed,
        "overrides": overrides,
        "config": config,
        "versions": {"python": platform.python_version(), **{library: version(library) for library in LIBRARIES}},
        "commit": COMMIT,
        "data_checksum": checksums,
        "checkpoint": checkpoint,
        "units": units,
        "remarks": remarks,
        "started": started.isoformat(timespec="seconds"),
        "threads": threads.now(),
        "seconds": round((now - started).total_seconds(), 1),
        "command": " ".join(sys.argv),
    }
