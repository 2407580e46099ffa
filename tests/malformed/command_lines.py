"""Malformed inputs, given to the programs as a user gives them: in this process, which has loaded torch already."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from invariantnets import run
from invariantnets.cli import run_main
from invariantnets.cli.program import ONE_LINE
from programs import QUICK

CONF = Path(__file__).parents[2] / "conf"
QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none")
# What is accepted ends soon.
BASE = {
    "train": (
        "data.epoch_batches=2",
        "trainer.max_epochs=1",
        "trainer.enable_progress_bar=false",
        "evaluate=false",
        "logger=none",
        "callbacks.online_probes=null",
    ),
    "evaluate": (*QUICK),
}


@contextmanager
def as_a_program(folder: Path, *words: str) -> Iterator[None]:
    """The state that a program starts in, put back afterwards."""
    before, argv, cwd, returned = dict(os.environ), sys.argv, Path.cwd(), JobReturn.return_value
    for name in ("HYDRA_FULL_ERROR", ONE_LINE):
        os.environ.pop(name, None)
    os.environ["INVARIANTNETS_DATA"] = str(folder / "data")
    sys.argv = [*words]
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(cwd)
        sys.argv = argv
        JobReturn.return_value = returned
        os.environ.clear()
        os.environ.update(before)


def start(program: str, folder: Path, *overrides: str) -> None:
    """Run ``train`` or ``evaluate`` in a folder."""
    given = {word.partition("=")[0].lstrip("+~") for word in overrides}
    base = [word for word in BASE[program] if word.partition("=")[0] not in given]
    own = () if "hydra.run.dir" in given or "-m" in overrides else (f"hydra.run.dir={folder / 'run'}",)
    flags = [word for word in overrides if word.startswith("-")]

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name=program)
    def main(cfg: DictConfig) -> None:
        getattr(run, program)(cfg)

    words = (*flags, *QUIET, *base, *own, *(word for word in overrides if not word.startswith("-")))
    with as_a_program(folder, f"{program}.py", *words):
        run_main(main, CONF / f"{program}.yaml")
