"""Train one network in a folder, from scratch or from where it was interrupted."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher, _SubprocessScriptLauncher

from invariantnets import threads
from invariantnets.callbacks import attend
from invariantnets.checkpoint import load_checkpoint, load_model
from invariantnets.checkpointing import Checkpoints, is_finished, take_along
from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.files import sweep_up
from invariantnets.folders import first_process
from invariantnets.loggers import RunInfo, close
from invariantnets.look_alikes import find_look_alikes
from invariantnets.measuring import Protocols
from invariantnets.module import InvariantNet
from invariantnets.nuisance import check_magnitudes
from invariantnets.provenance import plain
from invariantnets.rehearsal import refuse_known, refuse_untrainable, rehearse
from invariantnets.resuming import check_continues

log = logging.getLogger(__name__)
CHECKPOINTS = ("teacher", "init_from")  # entries of a model that are a checkpoint, or "train"
GROWN_FROM = "features_from"  # the same, of data that are chosen with a network
POINT = "INVARIANTNETS_RESUME_POINT"  # where the first of several processes goes on


def sweep_name() -> str | None:
    """The folder of the sweep that this job belongs to; None for a single run."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).name if hydra.mode == RunMode.MULTIRUN else None


def resume_point(cfg: DictConfig) -> tuple[Path, Path | None]:
    """The folder of the run and the checkpoint it starts from.

    ``ckpt_path=last`` is the last checkpoint of this run's own folder (``hydra.run.dir=``, or a job
    of a sweep whose ``hydra.sweep.dir=`` is given again); a run that never came to its first begins. Where no folder
    is named it is the newest run of the same data and model, which is continued where it lies.

    Raises:
        InvariantNetsError: there is nothing to continue.
    """
    if not first_process() and (known := os.environ.get(POINT)):  # of Lightning's, which is told another folder
        folder, resume = json.loads(known)
        return Path(folder), Path(resume) if resume else None
    found = _resume_point(cfg)
    os.environ[POINT] = json.dumps([str(path) if path else None for path in found])
    return found


def _resume_point(cfg: DictConfig) -> tuple[Path, Path | None]:
    folder = Path(cfg.paths.output_dir)
    if cfg.ckpt_path != "last":
        return folder, Path(cfg.ckpt_path) if cfg.ckpt_path else None
    for name in ("last.ckpt", "best.ckpt"):  # of the first epoch the best is written first: a kill may leave it alone
        if (own := folder / "checkpoints" / name).is_file():
            return folder, own
    if sweep_name() or any(word.startswith("hydra.run.dir=") for word in HydraConfig.get().overrides.hydra):
        log.warning("%s: no checkpoint yet, so that the run begins, as this command says", folder)
        return folder, None
    runs = Path(cfg.paths.log_dir) / f"{cfg.choices.data}-{cfg.choices.model}"
    found = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InvariantNetsError(f"ckpt_path=last: no checkpoint in {folder} nor below {runs}; start without it")
    return found[-1].parents[1], found[-1]


def fit(
    cfg: DictConfig,
    folder: Path,
    resume: Path | None,
    words: Sequence[str] = (),
    after: Callable[[Path, Path, BankedImages, Sequence[Logger]], None] | None = None,
) -> Path:
    """Train one network in ``folder``.

    Args:
        cfg: the whole configuration.
        folder: where checkpoints and logs go.
        resume: the checkpoint to continue from; a run that is finished stays as it is.
        words: of the command line, for the record.
        after: called with the best checkpoint, the folder, the data and the loggers, which are still open, in the
            first process only.

    Returns:
        The best checkpoint.

    Raises:
        InvariantNetsError: a configuration that cannot work, or a collapse.
    """
    # Lightning 2.6 beside torch 2.14 and later: nothing that a user could mend.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # a run that goes on
    cfg = cfg.copy()
    if after is not None and GROWN_FROM in cfg.data:
        rehearse(instantiate(cfg.data.pool, _convert_="all"), protocols_of(cfg), cfg.seed, name="pool")
    with open_dict(cfg):
        cfg.paths.output_dir = str(folder)
        # Data first: a model may start from the network that they are chosen with.
        for part, key in (("data", GROWN_FROM), *(("model", key) for key in CHECKPOINTS)):
            if OmegaConf.is_missing(cfg[part], key):
                raise InvariantNetsError(f"{part}.{key} is missing: name a checkpoint of a trained network")
            if cfg[part].get(key) == "train":
                cfg[part][key] = str(train_first(cfg, f"{part}.{key}", folder))
    if GROWN_FROM in cfg.data:
        find_look_alikes(cfg, folder, several_processes(cfg))
    config = plain(cfg)
    before = {}
    if resume:
        check_continues(config, checkpoint := load_checkpoint(resume), resume)
        before = checkpoint["invariantnets"]
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data: BankedImages = instantiate(config["data"], _convert_="all")
    check = partial(refuse_early, cfg) if after is not None else refuse_untrainable
    check(data)
    data.setup()
    check(data)  # of people who are known only now
    model: InvariantNet = instantiate(config["model"], _convert_="all")
    model.config, model.overrides, model.data_checksum = config, list(words), data.checksum
    if resume and before.get("data_checksum", data.checksum) != data.checksum:
        raise InvariantNetsError(
            f"{resume}: was trained on other images, labels or division than {cfg.choices.data} holds now; bring back "
            "those of then, or start anew, without ckpt_path="
        )
    if isinstance(cfg.layers, ListConfig) or cfg.layers not in (None, "all"):
        model.backbone.check([cfg.layers] if isinstance(cfg.layers, str) else cfg.layers)  # now, not after training
    model.connect(data.spec, cfg.views, data.identities("train"))
    name = f"{cfg.choices.model} on {cfg.choices.data}"
    logger = instantiate(cfg.logger)(RunInfo(folder, name, "train", sweep_name(), before.get("wandb_id"), config))
    loggers, exit_code = [logger] if logger else [], 1
    try:
        callbacks = [instantiate(callback) for callback in cfg.callbacks.values() if callback]
        plugins = [Checkpoints(callbacks), *instantiate(cfg.trainer.get("plugins") or [])]
        trainer: pl.Trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=loggers, plugins=plugins)
        refuse_in_sweep(trainer)
        attend(trainer)
        if resume is None:
            given = {key: load_model(path)[0] for key in CHECKPOINTS if (path := cfg.model.get(key))}
            # Whom a network was made from saw people too: nobody is to be tested on them.
            known = [*model.identities, *(name for net in given.values() for name in net.identities)]
            model.identities = tuple(dict.fromkeys(known))
            if "init_from" in given:
                anew = model.start_from(given["init_from"].backbone)
                log.info("copied from %s: %s; new: %s", model.init_from, *map(", ".join, (model.init_layers, anew)))
            teacher = given["teacher"].backbone if "teacher" in given else None
            model.prepare(teacher, lambda: data.loader("train"))
        else:
            model.identities = tuple(before.get("identities", ()))
            if trainer.is_global_zero:
                take_along(resume, callbacks)
        if after is not None and cfg.get("transfer") and trainer.is_global_zero:
            rehearse_transfer(cfg, data, model.identities)
        if resume and is_finished(checkpoint, config):
            log.info("%s: trained to its end before, and not any further", folder)
        else:
            if resume:
                log.info("goes on after epoch %d, step %d: %s", checkpoint["epoch"], checkpoint["global_step"], resume)
            parameters = sum(parameter.numel() for parameter in model.backbone.parameters())
            with threads.for_training(parameters, before.get("threads")):
                trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        best = folder / "checkpoints" / "best.ckpt"
        if trainer.is_global_zero and not best.is_file():
            raise InvariantNetsError(f"{best}: no network was kept; see callbacks.checkpoint")
        if trainer.is_global_zero and after is not None:
            after(best, folder, data, loggers)
        exit_code = 0
    finally:
        close(loggers, exit_code)
    return best


def refuse_early(cfg: DictConfig, data: BankedImages) -> None:
    """What is known of a run that could not end, from who is on the images.

    Raises:
        InvariantNetsError: nobody to validate or to test on, or what an evaluation would refuse or leave out.
    """
    refuse_untrainable(data)
    if cfg.evaluate:
        rehearse(data, protocols_of(cfg), cfg.seed, cfg.probe_images)
        check_magnitudes(cfg.get("magnitudes") or (), data.spec.nuisances)


def protocols_of(cfg: DictConfig) -> Protocols | None:
    """Of recognition, as configured."""
    found: Protocols | None = instantiate(cfg.protocols)
    return found


def rehearse_transfer(cfg: DictConfig, data: BankedImages, identities: Collection[str]) -> None:
    """See that the other data are there, are of others, and can be measured.

    Raises:
        InvariantNetsError: they are not, or cannot.
    """
    name = cfg.transfer.name
    other: BankedImages = instantiate(
        {**plain(cfg.transfer.data), "image_shape": list(data.spec.image_shape)}, _convert_="all"
    )
    other.setup()
    refuse_known(identities, other, name)
    protocols = protocols_of(cfg.transfer if "protocols" in cfg.transfer else cfg)
    rehearse(other, protocols, cfg.seed, cfg.probe_images, name)
    key = f"magnitudes of transfer={name} (+transfer.magnitudes=[] asks for none)"
    check_magnitudes(cfg.transfer.get("magnitudes", cfg.get("magnitudes")) or (), other.spec.nuisances, key)


def refuse_in_sweep(trainer: pl.Trainer) -> None:
    """A strategy that starts the command again would start the sweep again.

    Raises:
        InvariantNetsError: this is a job of a sweep, and the trainer has such a strategy.
    """
    if sweep_name() and isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        raise InvariantNetsError(
            "-m with several processes per job would start the whole sweep in every process: use "
            "trainer=ddp_spawn, one command per job, or a Slurm launcher"
        )


def several_processes(cfg: DictConfig) -> pl.Trainer | None:
    """A trainer for what comes before training, if all processes run the whole command; None if this one does alone."""
    quiet = {"logger": False, "callbacks": [], "enable_checkpointing": False, "enable_progress_bar": False}
    trainer: pl.Trainer = instantiate(cfg.trainer, **quiet, precision="32-true")
    refuse_in_sweep(trainer)
    attend(trainer)
    alone = trainer.world_size == 1 or isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)
    return None if alone else trainer


def train_first(cfg: DictConfig, name: str, folder: Path) -> Path:
    """Train the network that another is made from, as ``recipes.<name>`` says.

    It is trained in the folder of the run or, where the recipe names a ``folder`` that several jobs of a
    sweep share, by the first that comes while the others wait. An interrupted one is continued, a
    finished one is kept.

    Args:
        cfg: the configuration of the run; the recipe's entries are merged into it.
        name: of the entry, e.g. ``model.init_from``, which the recipe is called after.
        folder: of the run.

    Returns:
        Its best checkpoint.

    Raises:
        InvariantNetsError: there is no such recipe.
    """
    recipe_name = name.rpartition(".")[2]
    if recipe_name not in cfg.get("recipes", {}):
        raise InvariantNetsError(f"{name}=train: {cfg.choices.model} has no recipe for it; give a checkpoint")
    changes = plain(cfg.recipes[recipe_name])
    folder = Path(changes.pop("folder", folder / recipe_name))
    recipe = cfg.copy()
    with open_dict(recipe):
        if "_target_" in changes.get("data", {}):  # other data, of which nothing but their own settings holds
            recipe.data = {}
        recipe.merge_with(changes)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = several_processes(recipe)
    # The first of several processes holds the lock for all of them: it cannot train without the others.
    first = trainer is None or trainer.is_global_zero
    with FileLock(folder / "training.lock") if first else nullcontext():
        sweep_up(folder)
        last = folder / "checkpoints" / "last.ckpt"
        log.info("%s=train: training it first, in %s", name, folder)
        return fit(recipe, folder, last if last.is_file() else None)
