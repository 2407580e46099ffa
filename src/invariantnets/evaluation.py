"""Probe whatever gives a table of features, and write down what was found."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
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

from invariantnets.analysis.description import describe
from invariantnets.analysis.norm import describe_norm, describe_recognition
from invariantnets.checkpoint import load_model, plain
from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.features.checks import is_closed
from invariantnets.features.extract import extract
from invariantnets.features.io import load_table, save_table
from invariantnets.features.table import FeatureTable
from invariantnets.figures import draw_run
from invariantnets.files import write_atomically
from invariantnets.nuisance import SPLITS
from invariantnets.probes.suite import run_probes
from invariantnets.provenance import provenance
from invariantnets.report import render_run
from invariantnets.results.result import Result, to_jsonl

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


def moved(node: Any, old: str | None, new: str) -> Any:
    """A configuration with every path below the folder ``old`` put below ``new``."""
    if isinstance(node, dict):
        return {key: moved(value, old, new) for key, value in node.items()}
    if old and isinstance(node, str) and (node == old or node.startswith(f"{old}/")):
        return new + node.removeprefix(old)
    return node


def from_checkpoint(
    cfg: DictConfig, path: Path, other: tuple[str, DictConfig] | None = None, data: BankedImages | None = None
) -> Subject:
    """A trained network; its data and configuration come with the checkpoint.

    Args:
        cfg: of this machine: paths and device.
        path: of the checkpoint.
        other: name and configuration of data to look at in place of those it was trained on, read at
            the size of its images.
        data: its own, where they are at hand: to rotate all pictures once more takes as long as many a probe.

    Raises:
        InvariantNetsError: people among the others whom the network was trained on.
    """
    model, config = load_model(path)
    name, own = config["choices"]["data"], config["data"]
    for key in ("data_dir", "cache_dir"):  # of this machine, not of the one that trained
        own = moved(own, config.get("paths", {}).get(key), cfg.paths[key])
    trained = config.get("paths", {}).get("output_dir")
    if trained and not Path(trained).is_dir():  # the folder of the run was moved: <run>/checkpoints/best.ckpt
        own = moved(own, trained, str(path.resolve().parents[1]))
    if other is not None:
        name, own = other[0], {**plain(other[1]), "image_shape": own["image_shape"]}
    images: BankedImages = data or instantiate(own, _convert_="all")
    images.setup()
    if other is not None and (known := sorted(set(model.identities) & set(images.identities("test") or ()))):
        raise InvariantNetsError(
            f"data={name}: the network was trained on {len(known)} of the people to test it on ({known[0]}, …); "
            "take them out, or evaluate on its own data"
        )
    device = cfg.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    known_classes = own.get("classes") == config["data"].get("classes")

    def table(layer: str) -> FeatureTable:
        found = extract(model, images, [layer], device=device, train_images=cfg.probe_images)
        # To images of new classes the network's own answers are those of the old ones.
        return found if known_classes else replace(found, prediction=None, entropy=None)

    return Subject(
        table=table,
        available=[name for name in model.backbone.layer_names if name != "noise"],  # there is none in evaluation
        embedding=model.backbone.embedding,
        model=config["choices"]["model"],
        data=name,
        checksums={name: images.checksum or ""},
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
