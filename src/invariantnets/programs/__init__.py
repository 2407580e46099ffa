"""The two programs: ``train.py`` and ``evaluate.py`` of a clone start them, and the commands of a package."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from omegaconf import DictConfig

from invariantnets.cli import run_main

__all__ = ["CONF", "start"]

_PACKAGE = Path(__file__).parents[1]
# In a wheel it lies inside the package; in a clone, whose package is read where it lies, at its top.
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parents[1] / "conf"


def start(main: Callable[[DictConfig], None], conf: Path) -> None:
    """Run a program with its file of configuration. Modules of the current folder can be named in it (``_target_``)."""
    sys.path.append(os.getcwd())  # last: nothing that is installed is hidden
    run_main(hydra.main(version_base="1.3", config_path=str(conf.parent), config_name=conf.stem)(main), conf)
