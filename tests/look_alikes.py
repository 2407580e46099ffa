"""A small pool and an untrained network for semantic bootstrapping; and, as a program, a search that is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from invariantnets import look_alikes
from invariantnets.bootstrapping import extraction

MODEL: dict[str, Any] = {
    "_target_": "invariantnets.module.InvariantNet",
    "backbone": {
        "_target_": "invariantnets.backbones.lenet",
        "image_shape": [3, 24, 24],
        "num_classes": 2,
        "embedding_dim": 16,
        "embedding": "ip1",
    },
    "constraints": {
        "softmax": {"_target_": "invariantnets.constraints.Softmax", "layer": "ip2", "num_classes": 2, "weight": 1.0}
    },
    "optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.01},
}
POOL: dict[str, Any] = {
    "_target_": "invariantnets.data.SyntheticFaces",
    "num_classes": 30,
    "image_shape": [3, 24, 24],
    "images_per_identity": 6,
    "val_images": 2,
    "test_identities": 4,
    "test_images": 3,
    "first_identity": 10,
    "device": "cpu",
    "cache": True,
}


def checkpoint(path: Path, seed: int = 0, known: tuple[str, ...] = ("synthetic/0/0",), **backbone: Any) -> Path:
    """An untrained network of ours on the disk, a LeNet unless told otherwise, which says whom it was trained on."""
    size = backbone.get("image_shape", MODEL["backbone"]["image_shape"])
    config = {"model": {**MODEL, "backbone": {**MODEL["backbone"], **backbone}}, "data": {"image_shape": size}}
    config["choices"] = {"model": "lenet", "data": "synthetic_faces"}
    torch.manual_seed(seed)
    model = instantiate(config["model"], _convert_="all")
    path.parent.mkdir(parents=True, exist_ok=True)
    ours = {"format": 1, "config": config, "wandb_id": None, "identities": list(known)}
    torch.save({"state_dict": model.state_dict(), "invariantnets": ours}, path)
    return path


def configuration(where: Path, pool: dict[str, Any] | None = None, **changes: Any) -> DictConfig:
    """Of a run that looks for them with ``net.ckpt`` in a folder, with the pool drawn once for all who use that."""
    data = {
        "_target_": "invariantnets.data.SelectedFaces",
        "pool": {**POOL, "cache_dir": str(where / "cache"), **(pool or {})},
        "image_shape": [3, 24, 24],
        "features_from": str(where / "net.ckpt"),
        "seeds": 3,
        "neighbours": 5,
        "negatives": 40,
        "folder": str(where / "products"),
        **changes,
    }
    cfg = OmegaConf.create({"device": "cpu", "data": data})
    assert isinstance(cfg, DictConfig)
    return cfg


def main(folder: Path, step: str, done: int) -> None:
    """Grow, and be killed as ``kill -9`` does once so many of a step are done."""
    extraction.BLOCK = 50

    def told(what: str, total: int) -> Callable[[int], None]:
        def tell(count: int) -> None:
            if what.startswith(step) and count >= done:
                os.kill(os.getpid(), signal.SIGKILL)

        return tell

    look_alikes.told = told
    if step == "selection":
        look_alikes.show = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    look_alikes.find_look_alikes(configuration(folder), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
