"""Probe whatever gives a table of features, and write down what was found."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.status import Status

from invariantnets.analysis.suite import describe
from invariantnets.checkpoint import load_model
from invariantnets.data import RotatedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import extract
from invariantnets.features.io import load_table, save_table
from invariantnets.features.table import FeatureTable
from invariantnets.files import write_atomically
from invariantnets.probes.result import Result, to_jsonl
from invariantnets.probes.suite import run_probes
from invariantnets.provenance import provenance
from invariantnets.report import render_run
from invariantnets.visualize import draw_run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """What is probed.

    Attributes:
        table: layer → its table of features. Called once per layer, so that one is held at a time.
        available: all layers.
        embedding: the layer that is meant where none is named, and that figures are drawn of.
        model, data: names of the two.
        checksums: of the data.
        checkpoint: where the network came from.
        config: of the run that trained it.
    """

    table: Callable[[str], FeatureTable]
    available: Sequence[str]
    embedding: str
    model: str
    data: str
    checksums: dict[str, str]
    checkpoint: Path | None = None
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For titles."""
        return f"{self.model} on {self.data}"


def from_checkpoint(cfg: DictConfig, path: Path) -> Subject:
    """A trained network; its data and configuration come with the checkpoint."""
    model, config = load_model(path)
    if "root" in config["data"]["source"]:
        config["data"]["source"]["root"] = cfg.paths.data_dir  # of this machine, not of the one that trained
    data: RotatedImages = instantiate(config["data"], _convert_="all")
    data.setup()
    name, device = config["choices"]["data"], cfg.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Subject(
        table=lambda layer: extract(model, data, [layer], device=device),
        available=model.backbone.layer_names,
        embedding=model.backbone.embedding,
        model=config["choices"]["model"],
        data=name,
        checksums={name: data.checksum or ""},
        checkpoint=path,
        config=config,
    )


def from_table(path: Path) -> Subject:
    """Features that came from anywhere."""
    table = load_table(path)
    layers = list(table.features)
    return Subject(
        table=lambda layer: table,
        available=layers,
        embedding=layers[-1],
        model="features",
        data=path.name,
        checksums={path.name: table.meta.get("checksum", "")},
    )


def choose_layers(wanted: str | Iterable[str] | None, subject: Subject) -> list[str]:
    """``layers=``: null, ``all``, one name or a list.

    Raises:
        InvariantNetsError: a layer that does not exist.
    """
    if wanted == "all":
        return list(subject.available)
    if wanted is None:
        return [subject.embedding]
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in subject.available:
            known = ", ".join(subject.available)
            raise InvariantNetsError(f"layers={name}: there is no such layer; choose from {known}, or all")
    return names


def probe(cfg: DictConfig, subject: Subject, folder: Path) -> Path:
    """Probe each layer in turn; after each, the results so far are on disk.

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
            if cfg.save_features:
                save_table(table, folder / "features" / layer)
            results += run_probes(table, layer, seed=cfg.seed, **cfg.probes, progress=partial(_show, status, layer))
            results += describe(table, layer, seed=cfg.seed)
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
