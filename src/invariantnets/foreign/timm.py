"""Networks of timm."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.module_backbone import OUTPUT, ModuleBackbone
from invariantnets.foreign.preprocessing import INTERPOLATIONS, declared
from invariantnets.foreign.weights import filled

log = logging.getLogger(__name__)


def timm(
    name: str = "resnet18",
    weights: str | Path | None = None,
    embedding: str | None = None,
    image_size: int | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    crop: float | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> ModuleBackbone:
    """A network of timm, by its name there. Nothing is ever downloaded.

    Its preprocessing is that of timm's own evaluation for these weights, wherever nothing else is said. Where that is
    not to crop the middle of a picture (``squash``, ``border``), the whole picture is resized.

    Args:
        name: one of ``timm.list_models()``, perhaps with the tag of its weights: ``resnet18.a1_in1k``.
        weights: file of a ``state_dict`` or ``.safetensors``; None: random weights.
        embedding: the layer that is probed; None: what the classifier reads, ``pre_logits``; of a network without
            one, its output.
        image_size: side of what the network is given; None: that of its weights.
        mean: of red, green and blue, of 0–1; None: that of its weights.
        std: likewise.
        crop: fraction of the picture that is kept, its middle; 1: all of the shorter side; None: as its weights.
        num_classes: of the weights; None: as many as its own have.
        seed: of random weights.

    Raises:
        InvariantNetsError: timm is not installed, an unknown name or layer, a size that the network does not take, or a
            file that is missing, damaged, or of another network.
    """
    library = _library()
    usual = _usual(library, name)
    channels, high, wide = usual.input_size
    if channels != 3:
        raise InvariantNetsError(f"backbone.name={name}: takes pictures of {channels} channels; choose one for RGB")
    if usual.interpolation not in INTERPOLATIONS:
        log.info("%s: timm resizes by %s; here it is bicubic", name, usual.interpolation)
    own_crop = usual.crop_pct if usual.crop_mode == "center" else None
    prepare = declared(
        image_size or (high if high == wide else (high, wide)),
        usual.mean if mean is None else mean,
        usual.std if std is None else std,
        usual.interpolation if usual.interpolation in INTERPOLATIONS else "bicubic",
        own_crop if crop is None else crop,
    )
    told: dict[str, Any] = {"img_size": prepare.sides} if image_size and usual.fixed_input_size else {}
    if num_classes is not None:
        told["num_classes"] = num_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = library.create_model(name, pretrained=False, **told)
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InvariantNetsError(
                f"{name} cannot be made ({reason}); choose another backbone.image_size or backbone.name"
            ) from None
    record = {
        "library": "timm",
        "version": library.__version__,
        "name": name,
        **filled(network, name, weights, seed),
    }
    twin = partial(timm, name, None, embedding, image_size, mean, std, crop, num_classes, seed)
    if not network.num_classes:  # it ends in its features: there is no classifier to read before
        embedding = embedding or OUTPUT
    return ModuleBackbone(network, prepare, embedding, record, untrained=twin if weights else None)


def _library() -> ModuleType:
    try:
        import timm as library
    except ModuleNotFoundError:
        raise InvariantNetsError("backbone=timm needs timm: pip install timm, or invariantnets[timm]") from None
    return library


def _usual(library: ModuleType, name: str) -> Any:
    """What timm knows of the weights of this name: a network's, or of one of its tags."""
    network, _, tag = name.partition(".")
    if ":" in name or not library.is_model(network):
        known = library.list_models()
        near = ", ".join(difflib.get_close_matches(network, known, 3) or known[:3])
        raise InvariantNetsError(
            f"backbone.name={name}: timm has no such network, and nothing is downloaded; did you mean {near}?"
        )
    found = library.get_pretrained_cfg(name) if not tag or name in library.list_pretrained(f"{network}*") else None
    if found is None and tag:
        tags = [known.partition(".")[2] for known in library.list_pretrained(f"{network}.*")]
        near = ", ".join(difflib.get_close_matches(tag, tags, 3) or tags[:3]) or "no tag"
        raise InvariantNetsError(
            f"backbone.name={name}: timm has no weights {tag!r} of {network}; did you mean {near}?"
        )
    return found or library.models.PretrainedCfg()
