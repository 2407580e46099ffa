"""From a trained network and its data to a table of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from invariantnets.data import RotatedImages
from invariantnets.data.batch import torch_rng
from invariantnets.features.table import SPLITS, FeatureTable
from invariantnets.module import InvariantNet


@torch.inference_mode()
def extract(
    model: InvariantNet,
    data: RotatedImages,
    layers: Sequence[str],
    *,
    device: str | torch.device = "cpu",
    max_width: int = 1024,
    meta: dict[str, Any] | None = None,
    progress: Callable[[str, int, int], None] = lambda split, done, total: None,
) -> FeatureTable:
    """Features of every image of every split, in order, from one pass over the data.

    A layer wider than ``max_width`` is projected by a fixed random Gaussian matrix to that width
    (Johnson–Lindenstrauss), since 500,000 rows of a convolution do not fit in memory. What is read
    from a projection is a lower bound of what the layer holds; ``meta["projected"]`` says which.

    Args:
        model: its backbone is run in evaluation mode, on ``device``.
        data: set up with the images.
        layers: names of layers.
        device: where to run.
        max_width: widest layer that is kept as it is.
        meta: provenance to be kept with the table.
        progress: called with the split, the batches done and their number.

    Returns:
        A table whose ``source`` is the image before rotation.
    """
    backbone = model.backbone
    backbone.check(layers)
    was_training, home = model.training, next(model.parameters()).device
    model.eval().to(device)
    sizes = {split: len(data.bank(split)) * len(data.angles) for split in SPLITS}
    rows = sum(sizes.values())
    features: dict[str, np.ndarray] = {}
    projections: dict[str, Tensor] = {}
    projected: dict[str, int] = {}
    label, source = np.empty(rows, np.int64), np.empty(rows, np.int64)
    prediction = np.empty(rows, np.int64) if model.classifies else None
    nuisance = {n.name: np.empty(rows) for n in data.spec.nuisances}
    names = list(dict.fromkeys([*layers, *([backbone.classifier] if model.classifies else [])]))
    start = 0
    for split in SPLITS:
        loader = data.loader(split)
        for number, batch in enumerate(loader, 1):
            found = model.layers(batch.image.to(device), names)
            stop = start + batch.index.numel()
            for name in layers:
                x = found[name].flatten(0, 1).flatten(1)
                if name not in features:
                    if x.shape[1] > max_width:
                        projected[name] = x.shape[1]
                        noise = torch.randn(x.shape[1], max_width, generator=torch_rng(0, x.shape[1]))
                        projections[name] = noise.to(device) / max_width**0.5
                    features[name] = np.empty((rows, min(x.shape[1], max_width)), np.float32)
                features[name][start:stop] = (x @ projections[name] if name in projections else x).float().cpu().numpy()
            label[start:stop] = batch.label.repeat_interleave(batch.index.shape[1]).cpu().numpy()
            source[start:stop] = batch.source.flatten().cpu().numpy()
            for name, values in batch.nuisance.items():
                nuisance[name][start:stop] = values.flatten().cpu().numpy()
            if prediction is not None:
                prediction[start:stop] = found[backbone.classifier].argmax(-1).flatten().cpu().numpy()
            start = stop
            progress(split, number, len(loader))
    model.train(was_training).to(home)
    return FeatureTable(
        features=features,
        label=label,
        split=np.repeat(SPLITS, [sizes[split] for split in SPLITS]),
        source=source,
        nuisance=nuisance,
        nuisances=data.spec.nuisances,
        num_classes=data.spec.num_classes,
        prediction=prediction,
        meta={**(meta or {}), "projected": projected},
    )
