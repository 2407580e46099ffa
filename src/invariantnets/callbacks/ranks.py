"""The processes that train one network, as Lightning starts them: one that ends, ends all, and is named.

Lightning's own answers are a SIGKILL to all of them after some seconds, without a word, and a SIGTERM that is noted
until the next step, or waits for all others.
"""

from __future__ import annotations

import signal
import time

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher, _SubprocessScriptLauncher
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from invariantnets import processes

PATIENCE = 10  # seconds, until the process that ended first is found and the others are ended


def attend(trainer: pl.Trainer) -> None:
    """Make a trainer's processes end together, and leave SIGTERM to the program."""
    trainer._signal_connector = _Signals(trainer)
    trainer.callbacks.append(_Rank())  # type: ignore[attr-defined]  # which has it
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return
    start = launcher._call_children_scripts

    def start_and_watch() -> None:
        processes.lines_folder()
        start()
        processes.take_ranks(launcher.procs)
        launcher.procs = []  # which Lightning watches, and kills

    launcher._call_children_scripts = start_and_watch  # type: ignore[method-assign]


class _Signals(_SignalConnector):
    """Lightning's, without a say in SIGTERM."""

    def register_signal_handlers(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        super().register_signal_handlers()
        self._register_signal(signal.SIGTERM, before)


class _Rank(Callback):
    """One of the processes that train."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forked or spawned by the program: end with it."""
        if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
            processes.be_one_of()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Of those that Lightning spawns, the first to end is named: not one that has only lost another."""
        processes.unwind(exception)
        if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher) and processes.lost(exception):
            time.sleep(PATIENCE)
