"""The compact features of a pool's pictures, streamed into a file that is larger than memory.

By this process, or by those that Lightning starts for DDP: each writes a part.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from invariantnets.bootstrapping.rows import write_rows, written
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
    width = embedding_width(model, (bank.stored.shape[2], bank.stored.shape[3], bank.stored.shape[4]), device)

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


def shares(images: int, processes: int) -> list[slice]:
    """What each process does. Whole batches: each picture is computed in the company that it has in one process."""
    bounds = np.linspace(0, -(-images // BATCH), processes + 1).astype(int) * BATCH
    return [slice(a, min(b, images)) for a, b in itertools.pairwise(bounds.tolist())]


class _Share(pl.LightningModule):
    """What a process of DDP does of `write_features`, as a step of Lightning's prediction."""

    def __init__(self, model: InvariantNet, write: Callable[..., object]):
        super().__init__()
        self.model, self.write = model, write

    def predict_step(self, batch: int) -> int:
        """Write the part of this process."""
        self.write(self.model.eval(), self.trainer.global_rank, self.device)
        return batch  # Lightning warns of nothing


def write_features_in_parts(
    path: str | Path,
    model: InvariantNet,
    bank: Bank,
    order: np.ndarray,
    key: Mapping[str, Any],
    trainer: pl.Trainer,
    *,
    progress: Callable[[int], object] = int,
) -> None:
    """The file of :func:`write_features`, by all processes of a trainer, each of which must call this.

    The first joins the parts, which are kept until then: interrupted, it goes on with what is missing, with as
    many processes.

    Args:
        path: of the ``.npy``, seen by all machines.
        model: in evaluation mode.
        bank: of the pictures.
        order: ``(N,)`` rows of the bank.
        key: see `write_features`.
        trainer: with a strategy that starts the command again in each process, as ``ddp`` does.
        progress: told the number of pictures of its own part that a process has done.

    Raises:
        InvariantNetsError: see `write_features`.
    """
    path = Path(path)
    width = embedding_width(model.cpu(), (bank.stored.shape[2], bank.stored.shape[3], bank.stored.shape[4]), "cpu")
    shape = len(order), width
    parts = shares(len(order), trainer.world_size)
    folder = path.with_name(f"{path.name}.parts")

    def share(model: InvariantNet, rank: int, device: torch.device) -> None:
        if len(order[parts[rank]]):
            out = folder / f"{parts[rank].start}.npy"
            write_features(out, model, bank, order[parts[rank]], key, device=device, progress=progress)

    def make(done: int) -> Iterator[np.ndarray]:
        for start in range(done, len(order), BATCH):
            part = next(part for part in parts if part.start <= start < part.stop)
            yield np.load(folder / f"{part.start}.npy", mmap_mode="r")[start - part.start :][:BATCH]

    if written(path, shape, "float32", key) < len(order):
        trainer.predict(_Share(model, share), range(1), return_predictions=False)
        trainer.strategy.barrier("features")
    if trainer.is_global_zero:
        write_rows(path, shape, "float32", key, make)
        shutil.rmtree(folder, ignore_errors=True)
