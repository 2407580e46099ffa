"""What is probed: a trained network, or features that came from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from invariantnets.checkpoint import load_model, plain
from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.features.extract import extract
from invariantnets.features.io import load_table
from invariantnets.features.table import FeatureTable


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
