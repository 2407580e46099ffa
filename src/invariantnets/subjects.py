"""Networks as what is probed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from invariantnets.checkpoint import load_model
from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import Subject
from invariantnets.features.extract import extract
from invariantnets.features.table import FeatureTable
from invariantnets.provenance import plain


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
        classifier=model.backbone.classifier,
        model=config["choices"]["model"],
        data=name,
        checksums={name: images.checksum or ""},
        checkpoint=path,
        config=config,
    )
