"""Networks out of TorchScript files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from invariantnets.errors import InvariantNetsError
from invariantnets.foreign.module_backbone import OUTPUT, ModuleBackbone
from invariantnets.foreign.preprocessing import declared, wanted
from invariantnets.foreign.weights import checksum


def torchscript(
    path: str | Path | None = None,
    embedding: str | None = None,
    image_size: int | Sequence[int] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    interpolation: str = "bilinear",
    crop: float | None = None,
    scale: float = 1 / 255,
    channels: str = "rgb",
) -> ModuleBackbone:
    """A network that ``torch.jit.save`` wrote. Such a file is code, and is run: name only one that you trust.

    What is inside is compiled, and cannot be watched: what it returns is its one layer, ``output``.

    Args:
        path: of the file.
        embedding: the layer that is probed; None: ``output``.
        image_size: side, or height and width, of what the network is given.
        mean: of red, green and blue, of pixels times ``scale``; one number holds for all.
        std: likewise.
        interpolation: ``bilinear`` or ``bicubic``.
        crop: None: the whole picture is resized; or the fraction of it that is kept, its middle.
        scale: what pixels of 0–255 are multiplied by.
        channels: the order that the network wants: ``rgb``, ``bgr``, or one of ``grey``.

    Raises:
        InvariantNetsError: no such file, no TorchScript, preprocessing that is not said, or a size that it does not
            take.
    """
    if path is None:
        raise InvariantNetsError("backbone=torchscript needs its file: backbone.path=<file>")
    path = Path(path).expanduser()
    if not path.is_file():
        raise InvariantNetsError(f"backbone.path={path}: there is no such file")
    wanted(f"{path}: a TorchScript file", image_size=image_size, mean=mean, std=std)
    assert image_size is not None and mean is not None and std is not None
    prepare = declared(image_size, mean, std, interpolation, crop, scale, channels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch now prefers torch.export
            network = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0].split(". ")[0][:150] if str(error) else type(error).__name__
        raise InvariantNetsError(
            f"backbone.path={path}: damaged, or no TorchScript ({reason}); write it with torch.jit.save, and give a "
            "state_dict to backbone=torchvision, timm or module"
        ) from None
    record = {
        "library": "torchscript",
        "network": path.name,
        "path": str(path),
        "sha256": checksum(path),
    }
    return ModuleBackbone(nn.Sequential(network), prepare, embedding or OUTPUT, record)
