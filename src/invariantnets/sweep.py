"""What Hydra calls around a sweep. Light: it is there before a misspelt key of a job is found."""

from __future__ import annotations

import logging
import multiprocessing
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from invariantnets import processes
from invariantnets.cli import describe

__all__ = ["SweepReport"]

log = logging.getLogger(__name__)


class SweepReport(Callback):
    """At the end of a multirun: one report over all its jobs."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """A job in a process of its own, of joblib, ends with the sweep."""
        if multiprocessing.parent_process():
            processes.be_one_of()
        if config.hydra.mode == RunMode.RUN:
            processes.remember(config.hydra.run.dir, sweep=False)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra ends a sweep with a failed job without a word to callbacks: say beforehand what to do then."""
        processes.remember(config.hydra.sweep.dir, sweep=True)
        log.info("one report over the jobs so far, at any time: python evaluate.py sweep=%s", config.hydra.sweep.dir)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """The other jobs go on, and only the first error is told at the end: say each when it comes."""
        if job_return.status == JobStatus.FAILED and config.hydra.mode == RunMode.MULTIRUN:
            log.error("job %s failed: %s", config.hydra.job.num, describe(job_return._return_value))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called once all jobs have succeeded."""
        from invariantnets.run import report_sweep

        report_sweep(Path(config.hydra.sweep.dir))
