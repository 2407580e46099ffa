"""Semantic bootstrapping before training: from a network and a pool of people to the pictures to train on.

Pictures → features → a hyperplane of each person → the nearest hyperplanes of some seeds → their pictures (2015
paper, section 3.3). Every product is a file that is kept, goes on where it was interrupted, and is refused by what
it was not made for.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from filelock import FileLock
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from invariantnets.bootstrapping import Pool, Selection, Svm, draw_negatives, load_selection, select, write_hyperplanes
from invariantnets.bootstrapping.choose import mislabel, nearest_rows, of_identities, random_rows
from invariantnets.bootstrapping.extraction import embedding_width, shares, write_features, write_features_in_parts
from invariantnets.bootstrapping.selection import HEADER, TABLE
from invariantnets.checkpoint import load_model
from invariantnets.data import SelectedFaces
from invariantnets.data.bootstrap import Pictures
from invariantnets.errors import InvariantNetsError
from invariantnets.figures.selection import draw_selection, random_similarity, shown_identities
from invariantnets.module import InvariantNet
from invariantnets.randomness import numpy_rng

log = logging.getLogger(__name__)
SECONDS = 10.0  # between two lines of progress
NOISE, NEGATIVES, SEEDS, RANDOM, PAIRS = range(5)  # streams of what is drawn


@dataclass(frozen=True)
class SeenPool:
    """A pool as a network sees it: the network, and the pictures by the names that they carry.

    Attributes:
        model: on ``device``, in evaluation mode.
        fingerprint: SHA-256 of its checkpoint.
        device: where features and hyperplanes are computed.
        identity: ``(N,)`` int64, the pool's label that each training picture carries, right or wrong.
        order: ``(N,)`` int64, the pictures sorted by it: row ``i`` of the features is picture ``order[i]``.
        offsets: ``(I + 1,)`` int64, where each identity begins among them.
    """

    model: InvariantNet
    fingerprint: str
    device: str
    identity: np.ndarray
    order: np.ndarray
    offsets: np.ndarray


def find_look_alikes(cfg: DictConfig, folder: Path, trainer: pl.Trainer | None = None) -> None:
    """Choose the pictures to train on, and say in the configuration where their list is and how many people they show.

    Features, hyperplanes and selection are kept in ``data.folder``, made by the first of the processes that share it
    while the others wait; the list of pictures, and a copy of the selection that it came from, in
    ``<folder>/bootstrap``.

    Args:
        cfg: of the run, with ``data=bootstrap``; ``data.pictures`` and ``data.num_classes`` are set.
        folder: of the run.
        trainer: of several processes that all find them, and share the work of the features; None: this one alone.

    Raises:
        InvariantNetsError: a pool or a network that this cannot work with, or a product of another one.
    """
    data: SelectedFaces = instantiate(cfg.data, _convert_="all")
    own = folder / "bootstrap"
    for place in (data.folder, own):
        _make(place)
    if trainer is not None and not trainer.is_global_zero:  # the first holds the lock until all is made
        extract(data, look(data, str(cfg.device)), trainer)
    with FileLock(data.folder / "look_alikes.lock"):
        seen = look(data, str(cfg.device))
        if trainer is not None and trainer.is_global_zero:
            extract(data, seen, trainer)
        pool, normals, selection = products(data, seen)
        pictures = choose(data, seen, pool, selection)
        pictures.save(own / "pictures.parquet")
        if data.by == "hyperplanes":
            show(data, normals, selection, own)
    shown = (pictures.split == "train").sum()
    log.info("training on %s pictures of %s people, by %s", f"{shown:,}", f"{len(pictures.identities):,}", data.by)
    with open_dict(cfg):
        cfg.data.pictures, cfg.data.num_classes = str(own / "pictures.parquet"), len(pictures.identities)


def look(data: SelectedFaces, device: str) -> SeenPool:
    """Load the network, set up the pool, and refuse what cannot work before anything is computed.

    Raises:
        InvariantNetsError: people of the network in the pool or in its test, people in both, images of another size,
            an embedding that is no vector, or a pool too small for what is asked.
    """
    path = Path(data.features_from)
    model, config = load_model(path)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    where = f"data.features_from={path}"
    size = config["data"].get("image_shape")
    if size is None or tuple(size) != data.spec.image_shape:
        raise InvariantNetsError(
            f"{where}: reads images of {size}, the pool has {list(data.spec.image_shape)}; set data.image_shape, or "
            "take a model of that size"
        )
    try:
        embedding_width(model.to(device), data.spec.image_shape, device)
    except InvariantNetsError as error:
        raise InvariantNetsError(f"{where}: {error}") from None
    data.pool.setup()
    _refuse_known(data, model, where)
    label = data.pool.bank("train").label.cpu().numpy()
    people = data.pool.spec.num_classes
    identity = mislabel(label, people, data.label_noise, numpy_rng(data.choice_seed, NOISE))
    counts = np.bincount(identity, minlength=people)
    _refuse_small(data, counts)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    return SeenPool(model, fingerprint, device, identity, np.argsort(identity, kind="stable"), offsets)


def _refuse_known(data: SelectedFaces, model: InvariantNet, where: str) -> None:
    train, test = (data.pool.identities(split) for split in ("train", "test"))
    if train is None or test is None:
        raise InvariantNetsError("data.pool: is not divided by person; choose faces, with data.pool.division=identity")
    for people, part in ((train, "in the pool"), (test, "to be tested on")):
        if known := sorted(set(model.identities) & set(people)):
            raise InvariantNetsError(
                f"{where}: was trained on {len(known)} of the people {part} ({known[0]}, …); take them out (rendered "
                "people: data.pool.first_identity=…)"
            )


def _refuse_small(data: SelectedFaces, counts: np.ndarray) -> None:
    modelled = int((counts >= 2).sum())
    if not modelled:
        raise InvariantNetsError("data.pool: nobody in it has two pictures, which a hyperplane needs; add pictures")
    for name, most, what in (
        ("neighbours", modelled, "people with two pictures or more"),
        ("seeds", modelled, "people with two pictures or more"),
        ("negatives", int(counts.sum()), "pictures"),
    ):
        wanted = getattr(data, name)
        if not 1 <= wanted <= most:
            raise InvariantNetsError(f"data.{name}={wanted}: the pool has {most} {what}; choose from 1 to that many")


def _key(data: SelectedFaces, seen: SeenPool) -> dict[str, str | None]:
    return {
        "checkpoint": seen.fingerprint,
        "pool": data.pool.checksum,
        "labels": hashlib.sha256(np.ascontiguousarray(seen.identity).data).hexdigest(),
    }


def extract(data: SelectedFaces, seen: SeenPool, trainer: pl.Trainer) -> None:
    """The features, by the processes of a trainer."""
    own = shares(len(seen.order), trainer.world_size)[trainer.global_rank]
    what = f"features of pictures, process {trainer.global_rank + 1} of {trainer.world_size}"
    write_features_in_parts(
        data.folder / "features.npy",
        seen.model,
        data.pool.bank("train"),
        seen.order,
        _key(data, seen),
        trainer,
        progress=told(what, own.stop - own.start),
    )
    seen.model.to(seen.device)


def products(data: SelectedFaces, seen: SeenPool) -> tuple[Pool, np.ndarray, Selection]:
    """Features, hyperplanes and selection: what is there is kept, what is missing is made.

    Raises:
        InvariantNetsError: one that was made for another network, pool or setting.
    """
    images, people = len(seen.order), len(seen.offsets) - 1
    features = write_features(
        data.folder / "features.npy",
        seen.model,
        data.pool.bank("train"),
        seen.order,
        _key(data, seen),
        device=seen.device,
        progress=told("features of pictures", images),
    )
    pool = Pool(features, seen.offsets)
    rng = numpy_rng(data.choice_seed, NEGATIVES)
    normals = write_hyperplanes(
        data.folder / "normals.npy",
        pool,
        draw_negatives(pool, data.negatives, rng, device=seen.device),
        Svm(),
        progress=told("hyperplanes of people", people),
    )
    return pool, normals, selected(data, seen, pool, normals)


def selected(data: SelectedFaces, seen: SeenPool, pool: Pool, normals: np.ndarray) -> Selection:
    """The selection of ``data.folder``, made if it is missing.

    Raises:
        InvariantNetsError: it is another network's or pool's, or has other seeds or neighbours.
    """
    net, held = seen.fingerprint, pool.fingerprint()
    if not (data.folder / HEADER).is_file():
        rng = numpy_rng(data.choice_seed, SEEDS)
        select(normals, seeds=data.seeds, k=data.neighbours, rng=rng, checkpoint=net, pool=held).save(data.folder)
    selection = load_selection(data.folder, checkpoint=net, pool=held, width=normals.shape[1])
    if selection.identity.shape != (data.seeds, data.neighbours):
        seeds, k = selection.identity.shape
        raise InvariantNetsError(
            f"{data.folder / HEADER}: was made with data.seeds={seeds} and data.neighbours={k}; delete it to select "
            "anew, or choose another data.folder"
        )
    return selection


def choose(data: SelectedFaces, seen: SeenPool, pool: Pool, selection: Selection) -> Pictures:
    """The training pictures, as many whichever way they are chosen, and the validation pictures of the same people."""
    rows = of_identities(pool, selection.union)
    if data.by == "random":
        rows = random_rows(pool, len(selection.union), len(rows), numpy_rng(data.choice_seed, RANDOM))
    elif data.by == "instances":
        rows = nearest_rows(pool, selection.seed, len(rows))
    train = np.sort(seen.order[rows])
    true = data.pool.bank("val").label.cpu().numpy()
    val = np.flatnonzero(np.isin(true, seen.identity[train]))
    return Pictures(
        np.concatenate([train, val]),
        np.repeat(["train", "val"], [len(train), len(val)]),
        np.concatenate([seen.identity[train], true[val]]),
    )


def show(data: SelectedFaces, normals: np.ndarray, selection: Selection, folder: Path) -> None:
    """Put a copy of the selection into the run's own folder, and figures of it beside."""
    for name in (TABLE, HEADER):
        if not (folder / name).exists():
            shutil.copy(data.folder / name, folder / name)
    if not (folder / "figures.json").exists():
        faces = data.pool.portraits(shown_identities(selection)).numpy()
        draw_selection(selection, faces, random_similarity(normals, numpy_rng(data.choice_seed, PAIRS)), folder)


def told(what: str, total: int) -> Callable[[int], None]:
    """A function that takes how many are done, and now and then logs it with the time that is left."""
    began = said = time.monotonic()
    first: int | None = None

    def tell(done: int) -> None:
        nonlocal began, said, first
        now = time.monotonic()
        if first is None:
            first, began = done, now
        if now - said < SECONDS and done < total:
            return
        said = now
        left = f", {(now - began) * (total - done) / (done - first):,.0f} s left" if first < done < total else ""
        log.info("%s: %s of %s%s", what, f"{done:,}", f"{total:,}", left)

    return tell


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvariantNetsError(
            f"data.folder={folder}: cannot be made ({error.strerror}); choose another folder"
        ) from error
