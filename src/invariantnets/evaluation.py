"""Probe whatever gives a table of features, and write down what was found."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.status import Status

from invariantnets.analysis.description import describe
from invariantnets.analysis.norm import describe_norm, describe_recognition
from invariantnets.features.checks import is_closed
from invariantnets.features.io import save_table
from invariantnets.features.table import FeatureTable
from invariantnets.figures import draw_run
from invariantnets.files import write_atomically
from invariantnets.nuisance import SPLITS
from invariantnets.probes.suite import run_probes
from invariantnets.provenance import provenance
from invariantnets.report import render_run
from invariantnets.results.result import Result, to_jsonl
from invariantnets.subjects import Subject, choose_layers

log = logging.getLogger(__name__)


def measure(
    cfg: DictConfig, table: FeatureTable, layer: str, progress: Callable[[str], None]
) -> Iterator[list[Result]]:
    """All that can be said of a layer, part by part, so that what comes before an error is not lost.

    Probes need a training split. Protocols compare people, so that they are for networks that were not
    trained on those of the test split.
    """
    divided = set(SPLITS) <= set(table.split)
    if divided:
        yield run_probes(table, layer, seed=cfg.seed, **cfg.probes, progress=progress)
    else:
        log.info("%s: no train and val rows, so nothing to fit a probe on", layer)
    yield describe(table, layer, seed=cfg.seed)
    if cfg.protocols is not None and not (divided and is_closed(table)):
        yield instantiate(cfg.protocols)(table, layer, seed=cfg.seed, progress=progress)
        progress("norm")
        yield describe_norm(table, layer, seed=cfg.seed)
        yield describe_recognition(table, layer, seed=cfg.seed)


def probe(cfg: DictConfig, subject: Subject, folder: Path) -> Path:
    """Probe each layer in turn; after each step, the results so far are on disk.

    Returns:
        The path of the report.
    """
    started = datetime.now(timezone.utc)
    results: list[Result] = []
    shown: tuple[FeatureTable, str] | None = None
    with Console(stderr=True).status("") as status:
        for layer in choose_layers(cfg.layers, subject):
            status.update(f"{layer}: features")
            table = subject.table(layer)
            if width := table.meta.get("projected", {}).get(layer):
                log.info("%s has %d features: probed after a random projection", layer, width)
            if cfg.get("release"):
                table = instantiate(cfg.release)(table, layer)
            if cfg.save_features:
                save_table(table, folder / "features" / layer)
            for part in measure(cfg, table, layer, partial(_show, status, layer)):
                results += part
                write_atomically(folder / "results.jsonl", to_jsonl(results))
            if shown is None or layer == subject.embedding:
                shown = table, layer
    assert shown is not None
    record = provenance(
        name=subject.name,
        model=subject.model,
        data=subject.data,
        seed=cfg.seed,
        overrides=list(HydraConfig.get().overrides.task),
        config=subject.config,
        checksums=subject.checksums,
        checkpoint=str(subject.checkpoint) if subject.checkpoint else None,
        started=started,
        units={n.name: n.unit for n in shown[0].nuisances},
    )
    write_atomically(folder / "provenance.json", json.dumps(record, indent=1, ensure_ascii=False))
    draw_run(results, *shown, folder / "figures")
    return render_run(folder)


def _show(status: Status, layer: str, step: str) -> None:
    status.update(f"{layer}: {step}")
