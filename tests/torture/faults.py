"""Faults of the disk, the cache, the folder, of processes, the network and the clock.

The run completes, or stops with one line; and everything before it is whole.
"""

from __future__ import annotations

import caches
import disks
import places
import world
from trial import Trial


def trials() -> list[Trial]:
    """All of them, in a fixed order."""
    return [trial for module in (disks, caches, places, world) for trial in module.trials()]
