"""The only orchestration: what train.py and evaluate.py do.

A table of features needs no Lightning: whatever trains is imported where it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from invariantnets import evaluation
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import Subject, subject_of
from invariantnets.features.io import load_table, save_table
from invariantnets.features.table import FeatureTable
from invariantnets.files import slug, write_atomically
from invariantnets.interrupted import ASIDE, Journal, stamp
from invariantnets.loggers import RunInfo, close, send
from invariantnets.provenance import commit, plain
from invariantnets.release import released
from invariantnets.report import render_sweep
from invariantnets.report.render import comparisons
from invariantnets.results.runs import read_sweep

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from invariantnets.data import BankedImages

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> None:
    """Train, then probe the best checkpoint, on ``transfer`` data too. Prints what to open."""
    from invariantnets.subjects import from_checkpoint
    from invariantnets.training import fit, resume_point

    folder, resume = resume_point(cfg)

    def evaluate_best(checkpoint: Path, folder: Path, data: BankedImages, loggers: Sequence[Logger]) -> None:
        print(probe(cfg, from_checkpoint(cfg, checkpoint, data=data), folder))
        send(loggers, folder)
        if cfg.get("transfer"):
            name, other, protocols = (cfg.transfer[key] for key in ("name", "data", "protocols"))
            elsewhere = OmegaConf.create({**cfg, "protocols": protocols})
            print(probe(elsewhere, from_checkpoint(cfg, checkpoint, (name, other)), folder / "transfer"))

    best = fit(cfg, folder, resume, after=evaluate_best if cfg.evaluate else None)
    if not cfg.evaluate:
        print(best)


def evaluate(cfg: DictConfig) -> None:
    """Probe a checkpoint, a table of features or a network of others, or render one report over a sweep.

    Prints the path of the report.

    Raises:
        InvariantNetsError: nothing, or more than one thing, to evaluate.
    """
    given = [key for key in ("ckpt_path", "features", "sweep", "backbone") if cfg.get(key) is not None]
    if len(given) != 1:
        raise InvariantNetsError(
            "say what to evaluate, one of ckpt_path=<checkpoint>, features=<table>, "
            "sweep=<multirun folder>, backbone=<network>; "
            f"got {' and '.join(given) or 'none'}"
        )
    if cfg.sweep is not None:
        report_sweep(Path(cfg.sweep))
        return
    folder, exit_code = Path(cfg.paths.output_dir), 1
    other = (HydraConfig.get().runtime.choices["data"], cfg.data) if cfg.get("data") else None
    if cfg.get("backbone"):
        subject = other_network(cfg)
    elif cfg.features:
        subject = subject_of(load_table(cfg.features), Path(cfg.features).name)
    else:
        from invariantnets.subjects import from_checkpoint

        subject = from_checkpoint(cfg, Path(cfg.ckpt_path), other)
    logger = instantiate(cfg.logger)(RunInfo(folder, subject.name, "evaluate", config=plain(cfg)))
    loggers = [logger] if logger else []
    try:
        print(probe(cfg, subject, folder))
        send(loggers, folder)
        exit_code = 0
    finally:
        close(loggers, exit_code)


def other_network(cfg: DictConfig) -> Subject:
    """``backbone=``: a network that was not trained here, looking at ``data=``.

    Raises:
        InvariantNetsError: no data; or what the network or the data raise.
    """
    if not cfg.get("data"):
        raise InvariantNetsError(
            "backbone= needs something to look at: add data=<a data set>, e.g. data=rotated_digits"
        )
    from invariantnets.subjects import from_backbone

    chosen = HydraConfig.get().runtime.choices
    choices = {"model": chosen["backbone"], "data": chosen["data"]}
    return from_backbone(
        instantiate(cfg.backbone, _convert_="all"),
        instantiate(cfg.data, _convert_="all"),
        **choices,
        device=cfg.device,
        probe_images=cfg.probe_images,
        config={"backbone": plain(cfg.backbone), "data": plain(cfg.data), "choices": choices},
    )


def probe(cfg: DictConfig, subject: Subject, folder: Path) -> Path:
    """Measure a subject as configured; after each step, the results so far are on disk. Returns the report's path.

    Layers that are complete in the folder, of the same evaluation, are not measured again.
    """
    layers = evaluation.choose_layers(cfg.layers, subject)
    journal = Journal(folder, _identity(cfg, subject))
    if journal.complete == layers:
        log.info("%s: complete before, nothing is measured again; another hydra.run.dir measures anew", folder)
        return folder / "report.html"
    left = journal.take_up(layers, subject.embedding if subject.embedding in layers else layers[0])

    def prepare(table: FeatureTable, layer: str) -> FeatureTable:
        journal.begin(layer)
        if cfg.get("release"):
            named = replace(table, meta={**table.meta, "data": subject.name, "checksums": subject.checksums})
            release = instantiate(cfg.release).fit(named, layer)  # one out of a file stays as it is
            release.save(folder / "release" / f"{slug(layer)}.safetensors")
            table = released(table, release)
        if cfg.save_features:
            save_table(table, folder / "features" / slug(layer))
        return table

    with Console(stderr=True).status("") as status:
        found = evaluation.evaluate(
            subject,
            [instantiate(reader) for reader in cfg.probe.values() if reader],
            layers=left,
            protocols=instantiate(cfg.protocols),
            seed=cfg.seed,
            bootstrap=cfg.probes.bootstrap,
            prepare=prepare,
            keep=journal.keep,
            progress=status.update,
            overrides=list(HydraConfig.get().overrides.task),
        )
    report = replace(found, results=journal.keep(found.results)).save(folder)
    journal.end(layers)
    return report


def _identity(cfg: DictConfig, subject: Subject) -> dict[str, Any]:
    """What makes the numbers of a layer what they are."""
    config = {key: value for key, value in plain(cfg).items() if key not in ASIDE}
    files = [stamp(cfg.get("features")), stamp(subject.checkpoint)]
    return {"files": files, "checksums": subject.checksums, "commit": commit(), **config}


def report_sweep(folder: Path) -> None:
    """One report over all runs below a folder, and the table of every publication that they repeat, beside it.

    Raises:
        InvariantNetsError: there is no run below the folder.
    """
    report = render_sweep(folder)
    for table in comparisons(read_sweep(folder)):
        write_atomically(folder / f"{table.file}.md", table.to_markdown())
        print(table.to_text())
    print(report)
