"""What Hydra calls around a run and a sweep. Light: it is there before a misspelt key of a job is found."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from invariantnets import processes
from invariantnets.cli import describe
from invariantnets.cli.program import AFTER_FAILURE, ONE_LINE
from invariantnets.cli.usage import command
from invariantnets.errors import InvariantNetsError
from invariantnets.files import write_atomically
from invariantnets.folders import first_process, held, refuse_used

__all__ = ["SweepReport"]

log = logging.getLogger(__name__)
SWEEP = "INVARIANTNETS_SWEEP"  # whatever launches a job hands its environment on
MARK = ".hydra/sweep"
_HELD = ExitStack()  # the folder of the sweep; not in the callback, which is sent to the processes of jobs


class SweepReport(Callback):
    """Keeps runs apart in their folders; at the end of a multirun: one report over the jobs that it started.

    Args:
        then: what else is made of the folder of the sweep and those of its jobs, after that report.
    """

    def __init__(self, then: Callable[[Path, Sequence[Path]], object] | None = None):
        self.then = then

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra is about to write into the folder of the run: not where another is at work, or has been trained."""
        HydraConfig.instance().set_config(config)  # as Hydra does a moment later: the folder's name is made of it
        folder = Path(str(config.hydra.run.dir))
        try:
            if folder.is_dir():
                with held(folder):
                    pass
                if "model" in config and config.ckpt_path is None:
                    refuse_used(folder)
        except Exception as error:
            _end(error)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra ends a sweep with a failed job without a word to callbacks: the report is made all the same."""
        folder = config.hydra.sweep.dir
        try:
            _HELD.enter_context(held(Path(folder)))
            if "ckpt_path=last" in config.hydra.overrides.task:
                refuse_less(Path(folder), config.hydra.overrides.task)
        except Exception as error:
            _end(error)
        os.environ[SWEEP] = uuid4().hex
        processes.remember(folder, sweep=True)
        AFTER_FAILURE.append(partial(_report, Path(folder), self.then, failed=True))
        log.info("one report over the jobs so far, at any time: %s sweep=%s", command("evaluate"), folder)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """A job in a process of its own, of joblib, ends with the sweep; its folder is marked as of this sweep."""
        if multiprocessing.parent_process():
            processes.be_one_of()
        if config.hydra.mode == RunMode.RUN:
            processes.remember(config.hydra.run.dir, sweep=False)
        elif SWEEP in os.environ and first_process():
            write_atomically(Path(config.hydra.runtime.output_dir) / MARK, os.environ[SWEEP])

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """The other jobs go on, and only the first error is told at the end: say each when it comes."""
        if job_return.status == JobStatus.FAILED and config.hydra.mode == RunMode.MULTIRUN:
            log.error("job %s failed: %s", config.hydra.job.num, describe(job_return._return_value))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once all jobs have succeeded."""
        try:
            _report(Path(config.hydra.sweep.dir), self.then)
        except Exception as error:
            _end(error)
        _HELD.close()


def _report(folder: Path, then: Callable[[Path, Sequence[Path]], object] | None, failed: bool = False) -> None:
    """One report over the jobs that this sweep started; where one failed, of what the others left, if any left any."""
    from invariantnets.run import report_sweep

    jobs = [path.parents[1] for path in folder.rglob(MARK) if path.read_text() == os.environ[SWEEP]]
    try:
        report_sweep(folder, jobs)
        if then is not None:
            then(folder, jobs)
    except InvariantNetsError as error:
        if not failed:
            raise
        log.error("%s", error)


def refuse_less(folder: Path, words: Sequence[str]) -> None:
    """A sweep that goes on says what it said when it began: else its jobs are others, and its report is of these alone.

    Args:
        folder: of the sweep.
        words: overrides of the command line. Other values of the same keys are more jobs of the same kind.

    Raises:
        InvariantNetsError: a key that the command line had then, and has not now.
    """
    path = folder / "multirun.yaml"
    if not path.is_file():
        return
    before = OmegaConf.load(path).hydra.overrides.task
    said = {word.partition("=")[0].lstrip("+~") for word in words}
    left = [word for word in before if word.partition("=")[0].lstrip("+~") not in said]
    if left:
        raise InvariantNetsError(
            f"{folder}: this sweep began with {' '.join(before)}; say so again to go on with it, here without "
            f"{' '.join(left)}"
        )


def _end(error: Exception) -> NoReturn:
    """Hydra makes a warning of whatever a callback raises, and goes on; but not of this.

    Raises:
        SystemExit: always.
    """
    if not isinstance(error, InvariantNetsError) and ONE_LINE not in os.environ:  # whole traces are wanted
        log.exception("in a callback")
    print(f"error: {describe(error)}", file=sys.stderr)
    sys.exit(2)
