"""The compact features of a pool's pictures, streamed into a file that is larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from invariantnets.bootstrapping.rows import write_rows
from invariantnets.data import Bank
from invariantnets.data.sampling import Request
from invariantnets.errors import InvariantNetsError
from invariantnets.module import InvariantNet

BATCH, BLOCK = 128, 4096  # pictures that the network sees at a time, and that are safely written at a time


@torch.inference_mode()
def embedding_width(model: InvariantNet, image_shape: tuple[int, int, int], device: str | torch.device) -> int:
    """How wide the features are.

    Raises:
        InvariantNetsError: the embedding is a map or the image itself, not a vector.
    """
    name = model.backbone.embedding
    shape = model.layers(torch.zeros(1, 1, *image_shape, device=device), [name])[name].shape[2:]
    if len(shape) != 1:
        raise InvariantNetsError(
            f"its embedding {name} is {' × '.join(map(str, shape))}, where a vector is needed; use a network with "
            "model.backbone.embedding=<a fully connected layer>"
        )
    return int(shape[0])


def write_features(
    path: str | Path,
    model: InvariantNet,
    bank: Bank,
    order: np.ndarray,
    key: Mapping[str, Any],
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[int], object] = int,
) -> np.ndarray:
    """Embeddings of pictures, scaled to length 1; what is not yet written is computed.

    Args:
        path: the ``.npy`` to write; its progress is kept beside it.
        model: in evaluation mode, on ``device``.
        bank: of the pictures, of which the first variant is looked at.
        order: ``(N,)`` rows of the bank, in the order of the file.
        key: plain JSON of what determines the features, beside the network's width.
        device: where to run.
        progress: told the number of pictures done after each block.

    Returns:
        ``(N, D)`` float32, mapped for reading. An embedding of zeros stays 0.

    Raises:
        InvariantNetsError: an embedding that is no vector, or a file that was begun with another key or width,
            is truncated, or cannot be written.
    """
    name = model.backbone.embedding
    width = embedding_width(model, (bank.image.shape[2], bank.image.shape[3], bank.image.shape[4]), device)

    def embed(rows: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(rows)[:, None]
        found = model.layers(bank[Request(image, torch.zeros_like(image))].image.to(device), [name])[name][:, 0]
        return torch.nn.functional.normalize(found.float(), dim=1).cpu().numpy()

    @torch.inference_mode()
    def make(done: int) -> Iterator[np.ndarray]:
        for start in range(done, len(order), BLOCK):
            block = order[start : start + BLOCK]
            yield np.concatenate([embed(block[i : i + BATCH]) for i in range(0, len(block), BATCH)])
            progress(start + len(block))

    return write_rows(path, (len(order), width), "float32", key, make)
