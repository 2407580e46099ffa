"""From a network and images to a table of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from invariantnets.backbones import Backbone
from invariantnets.constraints import Moon
from invariantnets.data import Bank, BankedImages, Batch
from invariantnets.data.sampling import Request
from invariantnets.features.columns import is_fixed
from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import SPLITS
from invariantnets.randomness import numpy_rng, torch_rng

BATCH_IMAGES = 128
MAX_WIDTH = 1024  # of a layer that is kept as it is


@torch.inference_mode()
def extract(
    backbone: Backbone,
    data: BankedImages,
    layers: Sequence[str],
    *,
    classifies: bool = False,
    moon: Moon | None = None,
    device: str | torch.device = "cpu",
    max_width: int = MAX_WIDTH,
    train_images: int | None = None,
    batch_images: int = BATCH_IMAGES,
) -> FeatureTable:
    """Features of every image of every split, in order, from one pass over the data.

    A layer wider than ``max_width``, unless it is the embedding, is projected by a fixed random Gaussian
    matrix to that width (Johnson–Lindenstrauss), since 500,000 rows of a convolution do not fit in
    memory. What is read from a projection is a lower bound of what the layer holds;
    ``meta["projected"]`` says which.

    Args:
        backbone: the network. A module is run in evaluation mode, on ``device``, and left as it was.
        data: set up with the images.
        layers: names of layers.
        classifies: whether its class scores are of the classes of the data: then the table has its answers.
        moon: what it was trained to tell attributes by, if it was: then the table has these answers.
        device: where to run.
        max_width: widest of the other layers that is kept as it is.
        train_images: no more than so many of split train, drawn at random but the same for every network; None: all.
        batch_images: images that are looked at together, each in all its variants.

    Returns:
        A table whose ``source`` is the image that a row is a variant of. Its classes count everybody in
        it: people of an open-set test split are numbered past those that the network was trained on.

    Raises:
        InvariantNetsError: a layer that the network does not have.
    """
    with reading(backbone, device) as device:
        return _extract(backbone, data, layers, classifies, moon, device, max_width, train_images, batch_images)


@contextmanager
def reading(backbone: Backbone, device: str | torch.device) -> Iterator[str | torch.device]:
    """A module is in evaluation mode and on the device for as long as it is read; gives the device of its images."""
    if not isinstance(backbone, nn.Module):
        yield "cpu"
        return
    training = [module for module in backbone.modules() if module.training]
    home = next((x.device for x in backbone.parameters()), torch.device("cpu"))
    try:
        backbone.eval().to(device)
        yield device
    finally:
        backbone.to(home)
        for module in training:
            module.training = True


def _extract(
    backbone: Backbone,
    data: BankedImages,
    layers: Sequence[str],
    classifies: bool,
    moon: Moon | None,
    device: str | torch.device,
    max_width: int,
    train_images: int | None,
    batch_images: int,
) -> FeatureTable:
    scores = backbone.classifier if classifies else None
    names = list(dict.fromkeys([*layers, *([scores] if scores else []), *(moon.layers if moon else [])]))
    blank = backbone.features(torch.zeros(1, *data.spec.image_shape, dtype=torch.uint8, device=device), layers)
    widths = {name: blank[name].numel() for name in layers}
    wide = {name: width for name, width in widths.items() if width > max_width and name != backbone.embedding}
    projections = {name: projection(width, max_width).to(device) for name, width in wide.items()}
    banks = {split: data.bank(split) for split in SPLITS}
    chosen = _looked_at(banks, train_images)
    sizes = {split: len(chosen[split]) * bank.variants for split, bank in banks.items()}
    rows = sum(sizes.values())
    kept = {name: max_width if name in wide else width for name, width in widths.items()}
    features = {name: np.empty((rows, width), np.float32) for name, width in kept.items()}
    columns = {name: np.empty(rows, np.int64) for name in ("label", "source", "prediction")}
    entropy = np.empty(rows, np.float32)
    answers = {name: np.empty(rows, np.float32) for name in (moon.attributes if moon else ())}
    nuisance = {n.name: np.empty(rows) for n in data.spec.nuisances}
    start = 0
    for batch in (batch for split, bank in banks.items() for batch in _batches(bank, chosen[split], batch_images)):
        # NHWC is what convolutions and max-pooling are fastest in.
        image = batch.image.to(device).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        found = {name: x.flatten(1) for name, x in backbone.features(image, names).items()}
        here = slice(start, start + batch.index.numel())
        for name in layers:
            x = found[name] @ projections[name] if name in projections else found[name]
            features[name][here] = x.float().cpu().numpy()
        columns["label"][here] = batch.label.repeat_interleave(batch.index.shape[1]).cpu().numpy()
        columns["source"][here] = batch.source.flatten().cpu().numpy()
        if scores:
            log_p = found[scores].float().log_softmax(1)
            columns["prediction"][here] = log_p.argmax(1).cpu().numpy()
            entropy[here] = -(log_p.exp() * log_p).sum(1).cpu().numpy()
        if moon:
            said = moon.scores(found[moon.layers[0]].float().cpu())
            for name, answer in zip(moon.attributes, said.T.numpy(), strict=True):
                answers[name][here] = answer
        for name, values in batch.nuisance.items():
            nuisance[name][here] = values.flatten().cpu().numpy()
        start = here.stop
    return FeatureTable(
        features=features,
        label=columns["label"],
        split=np.repeat(SPLITS, [sizes[split] for split in SPLITS]),
        source=columns["source"],
        nuisance=nuisance,
        nuisances=tuple(replace(n, fixed=is_fixed(columns["label"], nuisance[n.name])) for n in data.spec.nuisances),
        num_classes=max(data.spec.num_classes, int(columns["label"].max(initial=-1)) + 1),
        prediction=columns["prediction"] if scores else None,
        entropy=entropy if scores else None,
        answers=answers,
        name=_names(data, banks, chosen),
        classes=data.class_names(),
        meta={"projected": wide},
    )


def choose(label: np.ndarray, tested: np.ndarray, most: int | None) -> Tensor:
    """Numbers of the training images that are looked at, in order.

    Where classes of test are those of train, there is one of each class, if there may be so many: of 1,000 classes,
    4,000 that are drawn freely miss some.

    Args:
        label: ``(N,)`` their classes.
        tested: the classes of test images.
        most: no more than so many, drawn at random; None: all.
    """
    images = len(label)
    if most is None or most >= images:
        return torch.arange(images)
    order = numpy_rng(0, images).permutation(images)
    first = np.unique(label[order], return_index=True)[1]
    if len(first) <= most <= first.max() and np.isin(tested, label).all():
        order = np.concatenate([order[first], np.delete(order, first)])
    return torch.from_numpy(np.sort(order[:most]))


def _looked_at(banks: Mapping[str, Bank], train_images: int | None) -> dict[str, Tensor]:
    """Split → numbers of its images."""
    label, tested = (banks[split].label.cpu().numpy() for split in ("train", "test"))
    others = {split: torch.arange(len(banks[split])) for split in SPLITS[1:]}
    return {SPLITS[0]: choose(label, tested, train_images), **others}


def pictures(data: BankedImages, train_images: int | None = None) -> Callable[[np.ndarray], np.ndarray] | None:
    """What shows the images behind rows of the table that `extract` makes of the same data.

    Args:
        data: as of `extract`.
        train_images: as of `extract`.

    Returns:
        ``(n,)`` numbers of rows → ``(n, H, W)`` uint8, ``(n, H, W, 3)`` in colour: each row's image in the variant that
        the row is of. None of images that are neither grey nor in colour.
    """
    if data.spec.image_shape[0] not in (1, 3):
        return None

    def shown(rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        found = np.empty((len(rows), *data.spec.image_shape), np.uint8)
        start = 0
        banks = {split: data.bank(split) for split in SPLITS}
        for split, chosen in _looked_at(banks, train_images).items():
            bank = banks[split]
            size = len(chosen) * bank.variants
            here = np.flatnonzero((rows >= start) & (rows < start + size))
            if len(here):
                at = torch.from_numpy(rows[here] - start)
                image, variant = chosen[at // bank.variants], at % bank.variants
                device = bank.label.device
                found[here] = bank.pixels(image.to(device), variant.to(device)).cpu().numpy()
            start += size
        return found[:, 0] if found.shape[1] == 1 else found.transpose(0, 2, 3, 1)

    return shown


def _batches(bank: Bank, images: Tensor, size: int) -> Iterator[Batch]:
    """The images in all their variants."""
    for image in images.split(size):
        variants = torch.arange(bank.variants).expand(len(image), -1)
        yield bank[Request(image[:, None].expand(-1, bank.variants), variants)]


def _names(data: BankedImages, banks: Mapping[str, Bank], chosen: Mapping[str, Tensor]) -> np.ndarray | None:
    """A name for each row, with the number of its variant; None unless the images of every split have names."""
    known = []
    for split in SPLITS:
        names, variants = data.names(split), banks[split].variants
        if names is None:
            return None
        rows = np.repeat(names[chosen[split].numpy()], variants)
        if variants > 1:
            rows = np.array([f"{name}/{i % variants}" for i, name in enumerate(rows)], dtype=str)
        known.append(rows)
    return np.concatenate(known)


def projection(width: int, max_width: int) -> Tensor:
    """``(width, max_width)`` Gaussian, the same for every network with a layer of that width."""
    return torch.randn(width, max_width, generator=torch_rng(0, width)) / max_width**0.5
