"""Files from elsewhere that are hostile or absurd.

None is run, none makes anything be written or read outside, none fills the machine: a program stops with one line, or
comes to a good result.
"""

from __future__ import annotations

import hostile_checkpoints
import hostile_images
import hostile_reports
import hostile_tables
from trial import Trial


def trials() -> list[Trial]:
    """All of them, in a fixed order."""
    return [
        trial
        for module in (hostile_checkpoints, hostile_tables, hostile_images, hostile_reports)
        for trial in module.trials()
    ]
