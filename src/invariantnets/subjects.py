"""Networks as what is probed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from invariantnets.analysis import Material
from invariantnets.backbones import Backbone
from invariantnets.checkpoint import built, load_model
from invariantnets.constraints import Moon
from invariantnets.data import BankedImages
from invariantnets.errors import InvariantNetsError
from invariantnets.evaluation import Subject
from invariantnets.features.extract import extract, pictures
from invariantnets.features.table import FeatureTable
from invariantnets.foreign import Pixels
from invariantnets.inspection import Specimen
from invariantnets.module import InvariantNet
from invariantnets.provenance import moved, plain
from invariantnets.randomness import torch_rng
from invariantnets.rehearsal import refuse_known
from invariantnets.trust import check_paths, named_places, of_this_machine

__all__ = ["from_backbone", "from_checkpoint", "opened", "set_beside", "untrained"]

log = logging.getLogger(__name__)
FRESH = 30  # the stream of random weights to compare with
PICTURES = 64  # of a network of any size that are in memory together, with all that it makes of them


def from_checkpoint(
    cfg: DictConfig,
    path: Path,
    other: tuple[str, DictConfig] | None = None,
    data: BankedImages | None = None,
    now: Mapping[str, Any] | None = None,
) -> Subject:
    """A trained network; its data and configuration come with the checkpoint.

    Args:
        cfg: of this machine: paths and device.
        path: of the checkpoint.
        other: name and configuration of data to look at in place of those it was trained on, read at
            the size of its images.
        data: its own, where they are at hand: to rotate all pictures once more takes as long as many a probe.
        now: keys of its configuration that are otherwise by now: a trained network may go on as another method's,
            released say, and its file tells the one that it was trained by.

    Raises:
        InvariantNetsError: people among the others whom the network was trained on.
    """
    subject = opened(cfg, path, other, data)[0]
    return replace(subject, config={**(subject.config or {}), **(now or {})})


def opened(
    cfg: DictConfig, path: Path, other: tuple[str, DictConfig] | None = None, data: BankedImages | None = None
) -> tuple[Subject, InvariantNet, BankedImages]:
    """`from_checkpoint`, and the model and the images that it is made of, for `set_beside`."""
    model, config = load_model(path)
    name, own = config["choices"]["data"], config["data"]
    for key in ("data_dir", "cache_dir"):  # of this machine, not of the one that trained
        own = moved(own, config.get("paths", {}).get(key), cfg.paths[key])
    trained = config.get("paths", {}).get("output_dir")
    if trained and not Path(trained).is_dir():  # the folder of the run was moved: <run>/checkpoints/best.ckpt
        own = moved(own, trained, str(path.resolve().parent.parent))
    images: BankedImages
    if data is not None:
        images = data
    elif other is not None:
        name, own = other[0], {**plain(other[1]), "image_shape": own.get("image_shape")}
        images = instantiate(own, _convert_="all")
    else:
        own = of_this_machine(own, cfg.paths.cache_dir)
        check_paths(own, named_places(cfg.paths, path), str(path))
        images = built(own, path, BankedImages)  # type: ignore[type-abstract]
    wanted = config["model"]["backbone"].get("image_shape", images.spec.image_shape)
    if list(images.spec.image_shape) != list(wanted):
        raise InvariantNetsError(
            f"{path}: its network reads images of {list(wanted)}, its data are of {list(images.spec.image_shape)}; "
            "use another checkpoint of the run"
        )
    images.setup()
    remarks = []
    if other is None and model.data_checksum not in (None, images.checksum):
        remarks = [f"the images, labels or division of {name} are others than those that the network was trained on"]
        log.warning("%s: %s", path, remarks[0])
    if other is not None and (now := _alignment(own)) != (before := _alignment(config["data"])):
        remarks.append(f"the network was trained on pictures with align={before}, those of {name} have align={now}")
        log.warning("%s: %s", path, remarks[-1])
    if other is not None or remarks:
        refuse_known(model.identities, images, name)
    # To images of new classes the network's own answers are those of the old ones.
    moon = next((term for _, term in model.named_constraints() if isinstance(term, Moon)), None)
    classifies = model.classifies and _classes(own) == _classes(config["data"])

    def table(layer: str) -> FeatureTable:
        found = extract(
            model.backbone,
            images,
            [layer],
            classifies=classifies,
            moon=moon,
            device=chosen_device(cfg.device),
            train_images=cfg.probe_images,
        )
        return replace(found, meta={**found.meta, "remarks": remarks})

    subject = Subject(
        table=table,
        available=[name for name in model.backbone.layer_names if name != "noise"],  # there is none in evaluation
        embedding=model.backbone.embedding,
        classifier=model.backbone.classifier,
        model=config["choices"]["model"],
        data=name,
        checksums={name: images.checksum or ""},
        checkpoint=path,
        config=config,
        pictures=pictures(images, cfg.probe_images),
    )
    specimen = partial(_specimen, model.backbone, images, subject.available, cfg.device)
    return replace(subject, specimen=specimen), model, images


def _alignment(data: Mapping[str, Any]) -> str:
    return str((data.get("align") or {}).get("how", "none"))


def _classes(data: Mapping[str, Any]) -> tuple[Any, Any]:
    """What tells the classes of some data from those of others of their source: which are kept, where they begin."""
    source = data.get("source")
    return data.get("classes"), source.get("first") if isinstance(source, Mapping) else None


def untrained(path: Path, config: Mapping[str, Any]) -> Backbone:
    """The network of a checkpoint with fresh random weights, a draw of its run's seed that no training began with.

    Args:
        path: of the checkpoint, for errors.
        config: of its run.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_rng(int(config.get("seed") or 0), FRESH).initial_seed())
        return built(config["model"], path, InvariantNet).eval().backbone


def from_backbone(
    network: Backbone,
    images: BankedImages,
    *,
    model: str = "network",
    data: str = "data",
    device: str = "auto",
    probe_images: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> Subject:
    """A network that was not trained here, looking at a data set of ours.

    Its classes are others than those of the data: it has features, and no answers.

    Args:
        network: anything with named layers.
        images: what it looks at.
        model: name of the network, where its ``record`` gives none.
        data: name of the data.
        device: ``auto``, ``cpu``, ``cuda``, ….
        probe_images: training images whose features probes are fitted to; None: all.
        config: for the record.
    """
    images.setup()
    record = dict(getattr(network, "record", {}))

    def table(layer: str) -> FeatureTable:
        return extract(
            network,
            images,
            [layer],
            device=chosen_device(device),
            train_images=probe_images,
            batch_images=max(1, PICTURES // images.bank("test").variants),
        )

    def known(layer: str) -> None:
        network.features(torch.zeros(1, *images.spec.image_shape, dtype=torch.uint8), [layer])

    return Subject(
        table=table,
        available=list(network.layer_names),
        embedding=network.embedding,
        model=record.get("network", model),
        data=data,
        checksums={data: images.checksum or ""},
        config={**(config or {}), "network": record},
        pictures=pictures(images, probe_images),
        unlisted=known,
        specimen=partial(_specimen, network, images, network.layer_names, device),
    )


def _specimen(
    network: Backbone, images: BankedImages, layers: Sequence[str], device: str, material: Material
) -> Specimen:
    return Specimen(material, network, images, layers, chosen_device(device))


def set_beside(
    network: Backbone,
    images: BankedImages,
    names: Sequence[str],
    layers: Sequence[str],
    *,
    untrained: Callable[[], Backbone] | None = None,
    **options: Any,
) -> dict[str, Callable[[], Subject] | str]:
    """What a report sets beside a network: what the same probes read where nothing was learned.

    Args:
        network: as of `from_backbone`.
        images: what it looks at.
        names: of ``random`` (the same network with random weights) and ``pixels``.
        layers: of the network that are looked at.
        untrained: makes the network with random weights; None: its own method of that name, if it has one.
        **options: of `from_backbone`.

    Returns:
        Column of the report → what makes the subject, all of whose ``available`` layers are meant; or a sentence why
        there is none.

    Raises:
        InvariantNetsError: an unknown name.
    """
    found: dict[str, Callable[[], Subject] | str] = {}
    for name in names:
        if name == "pixels":
            found["pixels"] = lambda: from_backbone(Pixels(), images, **options)
        elif name != "random":
            raise InvariantNetsError(
                f"beside={list(names)}: there is no {name!r}; choose from random, pixels, or [] for none"
            )
        elif (make := untrained or getattr(network, "untrained", None)) is not None:
            found["random weights"] = lambda: replace(from_backbone(make(), images, **options), available=layers)
        else:
            drawn = getattr(network, "record", {}).get("weights", "") is None
            why = "its own are random already" if drawn else "how they are drawn is not known"
            found["random weights"] = f"no random weights are set beside this network: {why}"
    return found


def chosen_device(name: str) -> str:
    """``auto`` is a GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
