"""The only orchestration: train, evaluate, and one report over a sweep."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from rich.console import Console
from rich.status import Status

from invariantnets.analysis.suite import describe
from invariantnets.checkpoint import load_checkpoint, load_model
from invariantnets.data import RotatedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import extract
from invariantnets.features.io import load_table, save_table
from invariantnets.features.table import FeatureTable
from invariantnets.files import write_atomically
from invariantnets.loggers import RunInfo, close
from invariantnets.module import InvariantNet
from invariantnets.probes.result import Result, to_jsonl
from invariantnets.probes.suite import run_probes
from invariantnets.provenance import provenance
from invariantnets.report import render_run, render_sweep
from invariantnets.report.render import chapter_table
from invariantnets.report.runs import read_sweep
from invariantnets.visualize import draw_run

log = logging.getLogger(__name__)


# ---------------------------------------------------------------------------------------- train


def train(cfg: DictConfig) -> None:
    """Train, then probe the best checkpoint and write the report (unless ``evaluate=false``)."""
    folder, resume = resume_point(cfg, Path(cfg.paths.output_dir))
    best = fit(cfg, folder, resume, after=partial(evaluate_checkpoint, cfg) if cfg.evaluate else None)
    log.info("best checkpoint: %s", best)


def resume_point(cfg: DictConfig, folder: Path) -> tuple[Path, Path | None]:
    """The folder of the run and the checkpoint it starts from.

    ``ckpt_path=last`` is the last checkpoint of this run's own folder (``hydra.run.dir=``, or a job
    of a sweep whose ``hydra.sweep.dir=`` is given again; a job that never began begins). Without such
    a folder it is the newest run of the same data and model, which is continued where it lies.

    Raises:
        InvariantNetsError: there is nothing to continue.
    """
    if cfg.ckpt_path is None:
        return folder, None
    if cfg.ckpt_path != "last":
        return folder, Path(cfg.ckpt_path)
    own = folder / "checkpoints" / "last.ckpt"
    if own.is_file():
        return folder, own
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return folder, None
    runs = Path(cfg.paths.log_dir) / run_name("-")
    found = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InvariantNetsError(f"ckpt_path=last: no checkpoint in {folder} nor below {runs}; start without it")
    return found[-1].parents[1], found[-1]


def run_name(between: str = " ") -> str:
    """``rotated_digits-pair_lenet``: the data and model that were chosen."""
    choices = HydraConfig.get().runtime.choices
    return f"{choices['data']}{between}{choices['model']}"


def fit(
    cfg: DictConfig, folder: Path, resume: Path | None, after: Callable[[Path, Path], None] | None = None
) -> Path:
    """Train one network in ``folder``.

    Args:
        cfg: the whole configuration.
        folder: where checkpoints and logs go.
        resume: the checkpoint to continue from.
        after: called with the best checkpoint and the folder, in the first process only, while the
            loggers are still open.

    Returns:
        The best checkpoint.
    """
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.paths.output_dir = str(folder)
        if cfg.model.get("teacher") == "train":
            cfg.model.teacher = str(train_input(cfg, "teacher", folder))
    wandb_id = load_checkpoint(resume)["invariantnets"]["wandb_id"] if resume else None
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    config["choices"] = {key: HydraConfig.get().runtime.choices[key] for key in ("data", "model")}
    data: RotatedImages = instantiate(cfg.data, _convert_="all")
    model: InvariantNet = instantiate(cfg.model, _convert_="all")
    model.config = config
    model.connect(data.spec, cfg.views)
    info = RunInfo(folder, run_name(" "), "train", sweep_name(), wandb_id, config)
    logger = instantiate(cfg.logger)(info)
    loggers, code = [logger] if logger else [], 1
    try:
        callbacks = [instantiate(callback) for callback in cfg.callbacks.values() if callback]
        trainer: pl.Trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=loggers or False)
        if sweep_name() and isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
            raise InvariantNetsError(
                "-m with several processes per job would start the whole sweep in every process: use trainer=ddp_spawn, "
                "or one command per job, or a Slurm launcher"
            )
        if resume is None:
            teacher = load_model(cfg.model.teacher)[0].backbone if cfg.model.teacher else None
            model.prepare(teacher, lambda: data.loader("train"))
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        best = folder / "checkpoints" / "best.ckpt"
        if trainer.is_global_zero and after is not None:
            after(best, folder)
        code = 0
    finally:
        close(loggers, code, folder)
    return best


def train_input(cfg: DictConfig, name: str, folder: Path) -> Path:
    """A network that another is made from, trained by ``recipes.<name>`` in a folder of the run; resumable."""
    inner = folder / name
    recipe = OmegaConf.to_container(cfg.recipes[name], resolve=True)
    done = cfg.copy()
    with open_dict(done):
        for key, value in recipe.items():  # type: ignore[union-attr]
            done[key] = value
        del done.recipes
    last = inner / "checkpoints" / "last.ckpt"
    log.info("training the %s first, in %s", name, inner)
    return fit(done, inner, last if last.is_file() else None)


def sweep_name() -> str | None:
    """The folder of the sweep that this job belongs to; None for a single run."""
    hydra = HydraConfig.get()
    return Path(hydra.sweep.dir).name if hydra.mode == RunMode.MULTIRUN else None


# ------------------------------------------------------------------------------------- evaluate


def evaluate(cfg: DictConfig) -> None:
    """Probe a checkpoint or a table of features, or render one report over a sweep."""
    given = [key for key in ("ckpt_path", "features", "sweep") if cfg[key] is not None]
    if len(given) != 1:
        raise InvariantNetsError(
            "say what to evaluate: one of ckpt_path=<checkpoint>, features=<table>, sweep=<multirun folder>; "
            f"got {', '.join(given) or 'none'}"
        )
    folder = Path(cfg.paths.output_dir)
    if cfg.sweep is not None:
        report_sweep(Path(cfg.sweep))
    elif cfg.features is not None:
        table = load_table(cfg.features)
        subject = Subject(
            lambda layer: table, choose_layers(cfg.layers, list(table.features), list(table.features)),
            next(iter(table.features)), str(cfg.features), "features", str(cfg.features), None, {str(cfg.features): table.meta.get("checksum", "")}, {},
        )  # fmt: skip
        probe(cfg, subject, folder)
    else:
        evaluate_checkpoint(cfg, Path(cfg.ckpt_path), folder)


@dataclass(frozen=True)
class Subject:
    """What is probed: a way to get each layer's table, and what to call it."""

    table: Callable[[str], FeatureTable]
    layers: Sequence[str]
    embedding: str
    name: str
    model: str
    data: str
    checkpoint: str | None
    checksums: dict[str, str]
    config: dict[str, Any]


def choose_layers(wanted: str | Iterable[str] | None, default: list[str], available: list[str]) -> list[str]:
    """``layers=``: null, ``all``, one name or a list."""
    names = default if wanted is None else available if wanted == "all" else [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in available:
            raise InvariantNetsError(f"layers={name}: there is no such layer; choose from {', '.join(available)} or all")
    return names


def evaluate_checkpoint(cfg: DictConfig, path: Path, folder: Path) -> None:
    """Probe a trained network; its data and configuration come with the checkpoint."""
    model, config = load_model(path)
    if "root" in config["data"]["source"]:
        config["data"]["source"]["root"] = cfg.paths.data_dir  # of this machine, not of the one that trained
    data: RotatedImages = instantiate(config["data"], _convert_="all")
    data.setup()
    layers = choose_layers(cfg.layers, [model.backbone.embedding], model.backbone.layer_names)
    device = cfg.device if cfg.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    names = config["choices"]
    subject = Subject(
        lambda layer: extract(model, data, [layer], device=device), layers, model.backbone.embedding,
        f"{names['model']} on {names['data']}", names["model"], names["data"], str(path), {names["data"]: data.checksum or ""}, config,
    )  # fmt: skip
    probe(cfg, subject, folder)


def probe(cfg: DictConfig, subject: Subject, folder: Path) -> None:
    """Probe each layer; after each, the results so far are on disk. Prints the path of the report."""
    started = datetime.now(timezone.utc)
    results: list[Result] = []
    figures: tuple[FeatureTable, str] | None = None
    with Console(stderr=True).status("features") as status:
        for layer in subject.layers:
            status.update(f"{layer}: features")
            table = subject.table(layer)
            if width := table.meta.get("projected", {}).get(layer):
                log.info("%s is %d wide: probed after a random projection to %d", layer, width, table.features[layer].shape[1])
            if cfg.save_features:
                save_table(table, folder / "features" / layer)
            step = partial(_show, status, layer)
            results += run_probes(table, layer, seed=cfg.seed, **cfg.probes, progress=step)
            results += describe(table, layer, seed=cfg.seed)
            write_atomically(folder / "results.jsonl", to_jsonl(results))
            if figures is None or layer == subject.embedding:
                figures = table, layer
    record = provenance(
        name=subject.name, model=subject.model, data=subject.data, seed=cfg.seed,
        overrides=list(HydraConfig.get().overrides.task), config=subject.config,
        checksums=subject.checksums, checkpoint=subject.checkpoint, started=started,
        units={n.name: n.unit for n in table.nuisances},
    )  # fmt: skip
    write_atomically(folder / "provenance.json", json.dumps(record, indent=1, ensure_ascii=False))
    assert figures is not None
    draw_run(results, *figures, folder / "figures")
    print(render_run(folder))


def _show(status: Status, layer: str, step: str) -> None:
    status.update(f"{layer}: {step}")


def report_sweep(folder: Path) -> None:
    """One report over all runs below a folder; the chapter's table too, if they are its networks. Prints the path."""
    report = render_sweep(folder)
    if (table := chapter_table(read_sweep(folder))) is not None:
        write_atomically(folder / "chapter.md", table.to_markdown())
        print(table.to_text())
    print(report)


class SweepReport(Callback):
    """At the end of a multirun: one report over all its jobs."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra once all jobs have ended, failed ones too."""
        report_sweep(Path(config.hydra.sweep.dir))
