"""Train one network in a folder, from scratch or from where it was interrupted."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from invariantnets.checkpoint import load_checkpoint, load_model
from invariantnets.data import RotatedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.loggers import RunInfo, close
from invariantnets.module import InvariantNet

log = logging.getLogger(__name__)


def plain(node: Any) -> dict[str, Any]:
    """A configuration resolved to plain containers: all that a checkpoint may hold."""
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def sweep_name() -> str | None:
    """The folder of the sweep that this job belongs to; None for a single run."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).name if hydra.mode == RunMode.MULTIRUN else None


def resume_point(cfg: DictConfig) -> tuple[Path, Path | None]:
    """The folder of the run and the checkpoint it starts from.

    ``ckpt_path=last`` is the last checkpoint of this run's own folder (``hydra.run.dir=``, or a job
    of a sweep whose ``hydra.sweep.dir=`` is given again; a job that never began begins). Without such
    a folder it is the newest run of the same data and model, which is continued where it lies.

    Raises:
        InvariantNetsError: there is nothing to continue.
    """
    folder = Path(cfg.paths.output_dir)
    if cfg.ckpt_path != "last":
        return folder, Path(cfg.ckpt_path) if cfg.ckpt_path else None
    own = folder / "checkpoints" / "last.ckpt"
    if own.is_file():
        return folder, own
    if sweep_name():
        return folder, None
    runs = Path(cfg.paths.log_dir) / f"{cfg.choices.data}-{cfg.choices.model}"
    found = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InvariantNetsError(f"ckpt_path=last: no checkpoint in {folder} nor below {runs}; start without it")
    return found[-1].parents[1], found[-1]


def fit(cfg: DictConfig, folder: Path, resume: Path | None, after: Callable[[Path, Path], None] | None = None) -> Path:
    """Train one network in ``folder``.

    Args:
        cfg: the whole configuration.
        folder: where checkpoints and logs go.
        resume: the checkpoint to continue from.
        after: called with the best checkpoint and the folder, in the first process only, while the
            loggers are still open.

    Returns:
        The best checkpoint.

    Raises:
        InvariantNetsError: a configuration that cannot work, or a collapse.
    """
    # Lightning 2.6 beside torch 2.14 and later: nothing that a user could mend.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.paths.output_dir = str(folder)
        if cfg.model.teacher == "train":
            cfg.model.teacher = str(train_first(cfg, "teacher", folder))
    config = plain(cfg)
    wandb_id = load_checkpoint(resume)["invariantnets"]["wandb_id"] if resume else None
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data: RotatedImages = instantiate(config["data"], _convert_="all")
    model: InvariantNet = instantiate(config["model"], _convert_="all")
    model.config = config
    model.connect(data.spec, cfg.views)
    name = f"{cfg.choices.model} on {cfg.choices.data}"
    logger = instantiate(cfg.logger)(RunInfo(folder, name, "train", sweep_name(), wandb_id, config))
    loggers, exit_code = [logger] if logger else [], 1
    try:
        callbacks = [instantiate(callback) for callback in cfg.callbacks.values() if callback]
        trainer: pl.Trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=loggers)
        if sweep_name() and isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
            raise InvariantNetsError(
                "-m with several processes per job would start the whole sweep in every process: use "
                "trainer=ddp_spawn, one command per job, or a Slurm launcher"
            )
        if resume is None:
            teacher = load_model(cfg.model.teacher)[0].backbone if cfg.model.teacher else None
            model.prepare(teacher, lambda: data.loader("train"))
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        best = folder / "checkpoints" / "best.ckpt"
        if trainer.is_global_zero and after is not None:
            after(best, folder)
        exit_code = 0
    finally:
        close(loggers, exit_code, folder)
    return best


def train_first(cfg: DictConfig, name: str, folder: Path) -> Path:
    """Train the network that another is made from, as ``recipes.<name>`` says, in a folder of the run.

    An interrupted one is continued, a finished one is kept.

    Args:
        cfg: the configuration of the run; the recipe's entries replace its own.
        name: of the recipe and of the folder.
        folder: of the run.

    Returns:
        Its best checkpoint.
    """
    changed: dict[Any, Any] = {**cfg, **plain(cfg.recipes[name]), "recipes": {}}
    recipe = OmegaConf.create(changed)
    last = folder / name / "checkpoints" / "last.ckpt"
    log.info("training the %s first, in %s", name, folder / name)
    return fit(recipe, folder / name, last if last.is_file() else None)
