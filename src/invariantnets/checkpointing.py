"""Checkpoints of a run: written whole, and read as of the folder that the run lies in."""

from __future__ import annotations

import io
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from invariantnets.files import replacing, write_atomically

__all__ = ["Checkpoints", "is_finished", "take_along"]

_FILES = ("best_model_path", "kth_best_model_path", "last_model_path")


def is_finished(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a run has come to its end: all its epochs, or stopped early by the rule that holds still."""
    trainer, epochs = config["trainer"], checkpoint["epoch"] + 1
    if (
        0 <= (trainer.get("max_epochs") or -1) <= epochs
        or 0 < (trainer.get("max_steps") or -1) <= checkpoint["global_step"]
    ):
        return True
    before, now = (side.get("callbacks", {}) for side in (checkpoint["invariantnets"]["config"], config))
    rules = [side.get("early_stopping") for side in (before, now)]
    stopped = any(
        state.get("stopping_reason")
        for key, state in checkpoint["callbacks"].items()
        if key.startswith("EarlyStopping")
    )
    return stopped and rules[0] == rules[1] and epochs >= (trainer.get("min_epochs") or 0)


def take_along(path: Path, callbacks: Collection[pl.Callback]) -> None:
    """Bring what lies beside a checkpoint to where the run goes on, if that is another folder.

    Args:
        path: the checkpoint to go on from.
        callbacks: of the run; those that keep networks say where.
    """
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath and callback.filename:
            name = f"{callback.filename}.ckpt"
            there = Path(callback.dirpath) / name
            if (path.parent / name).is_file() and not there.exists():
                with (path.parent / name).open("rb") as source, replacing(there) as file:
                    shutil.copyfileobj(source, file)


class Checkpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it; reads one as of the folder and rules that hold now.

    Lightning writes a temporary file where ``TMPDIR`` points, and copies it over the old one if that is another disk.

    Args:
        callbacks: of the trainer.
    """

    def __init__(self, callbacks: Collection[pl.Callback]):
        self.callbacks = callbacks

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """The old file stays until the new one is whole.

        Raises:
            InvariantNetsError: the folder cannot be written to, or the disk is full.
        """
        buffer = io.BytesIO()  # torch's own writer ends the process where a disk is full
        torch.save(checkpoint, buffer)
        write_atomically(path, buffer.getvalue())

    def load_checkpoint(self, path: Any, *args: Any, **options: Any) -> dict[str, Any]:
        """Best scores are of files, which may have been moved with their run; patience is what is typed now."""
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *args, **options)
        states = checkpoint.get("callbacks", {})
        for callback in self.callbacks:
            state = states.get(callback.state_key)
            if state and isinstance(callback, EarlyStopping):
                state["patience"] = callback.patience
            if state and isinstance(callback, ModelCheckpoint) and callback.dirpath:
                folder = str(callback.dirpath)
                here = {name: _beside(folder, state[name]) for name in _FILES if state.get(name)}
                known = {_beside(folder, file): score for file, score in state["best_k_models"].items()}
                if all(Path(file).is_file() for file in (*here.values(), *known)):
                    state.update(here, dirpath=callback.dirpath, best_k_models=known)
                else:  # Lightning begins anew then, and would delete what is no longer the best
                    state.update(dirpath="", best_model_path="")
        return checkpoint


def _beside(folder: str, file: str) -> str:
    return str(Path(folder) / Path(file).name)
