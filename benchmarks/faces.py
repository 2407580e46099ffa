"""Faces: drawing them, training on them, and the features of one image in the network of the paper's size."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.timing import alternate, cpu_seconds, ratio
from benchmarks.training import StepTimer, configuration
from invariantnets.backbones import LayeredBackbone, LocallyConnected2d, deepface
from invariantnets.data import BankedImages, SyntheticFaces, SyntheticVideos, renderer
from invariantnets.loggers import RunInfo
from invariantnets.module import InvariantNet

BATCH, STEPS, SIZE, BOTTLENECK = 64, 10, 152, 4096
PEOPLE, FRAMES = 80, 24
FEW = ("data.num_classes=20", "data.images_per_identity=40", "data.test_identities=2", "data.cache=false")
TOY = {
    "few": ("data.num_classes=4", "data.images_per_identity=20", *FEW[2:]),
    "size": 96,
    "bottleneck": 64,
    "steps": 2,
    "rounds": 1,
    "people": 1,
}


class Popular(nn.Module):
    """A locally connected layer as it is usually written: unfold twice, multiply by broadcasting, sum."""

    def __init__(self, layer: LocallyConnected2d):
        super().__init__()
        self.kernel, self.stride = layer.kernel_size[0], layer.stride[0]
        self.weight = layer.weight.detach().permute(2, 5, 0, 1, 4, 3).flatten(4)[None].contiguous()
        self.bias = layer.bias

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` → ``(B, C_out, H_out, W_out)``."""
        patches = image.unfold(2, self.kernel, self.stride).unfold(3, self.kernel, self.stride)
        return (patches.flatten(4).unsqueeze(1) * self.weight).sum((2, -1)) + self.bias


def one_image(size: int = SIZE, bottleneck: int = BOTTLENECK, rounds: int = 9) -> dict[str, float]:
    """Milliseconds from an image of so many pixels a side to F7 (the paper, 152, on one core of 2014: 180)."""
    ours, popular = (deepface((3, size, size), 1, bottleneck=bottleneck).eval() for _ in range(2))
    ours.to(memory_format=torch.channels_last)
    popular.load_state_dict(ours.state_dict())
    for name in ("L4", "L5", "L6"):
        layer = popular.layers[name]
        assert isinstance(layer, nn.Sequential) and isinstance(layer[0], LocallyConnected2d)
        layer[0] = Popular(layer[0])
    image = torch.randint(256, (1, 3, size, size), dtype=torch.uint8)

    def features(network: LayeredBackbone) -> Callable[[], float]:
        return lambda: cpu_seconds(lambda: network.features(image, ["F7"]))

    with torch.inference_mode():
        torch.testing.assert_close(*(n.features(image, ["F7"])["F7"] for n in (ours, popular)), atol=1e-3, rtol=1e-3)
        found = alternate({"ours": features(ours), "popular": features(popular)}, rounds)
    return {
        "ours, ms": 1e3 * statistics.median(found["ours"]),
        "popular, ms": 1e3 * statistics.median(found["popular"]),
        "ours / popular": ratio(found["ours"], found["popular"]),
    }


def training(few: Sequence[str] = FEW, steps: int = STEPS, rounds: int = 5) -> dict[str, float]:
    """Images a second of ``model=deepface_mini`` by train.py's path, by forward and backward alone, and drawn."""
    with tempfile.TemporaryDirectory() as folder:
        cfg = configuration("deepface_mini", steps, folder, "32-true", *few, "data=synthetic_faces")
        data: BankedImages = instantiate(cfg.data, _convert_="all")
        model: InvariantNet = instantiate(cfg.model, _convert_="all")
        model.connect(data.spec, 1)
        bare = instantiate(cfg.model.backbone, _convert_="all")
        batch = next(iter(data.train_dataloader()))
        fixed = batch.image[:, 0].float()

        def ours() -> float:
            timer = StepTimer()
            logger = instantiate(cfg.logger)(RunInfo(folder, "benchmark", "train", None, None, {}))
            callbacks = [*(instantiate(callback) for callback in cfg.callbacks.values() if callback), timer]
            trainer: pl.Trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=logger)
            trainer.fit(model, datamodule=data)
            return (timer.last - timer.first) / (steps - 1)

        def step() -> None:
            bare.zero_grad()
            F.cross_entropy(bare(fixed), batch.label).backward()

        found = alternate({"ours": ours, "bare": lambda: cpu_seconds(step), "drawn": lambda: draw(64, BATCH)}, rounds)
    return {
        **{f"{name}, images/s": BATCH / statistics.median(seconds) for name, seconds in found.items()},
        "ours / bare": ratio(found["bare"], found["ours"]),
        "drawn / ours": ratio(found["ours"], found["drawn"]),
    }


def draw(size: int, images: int) -> float:
    """CPU seconds to draw so many faces, nuisances as by default."""
    numbers = torch.arange(images)
    codes = renderer.identity(0, numbers)
    nuisance = renderer.nuisances({}, 0, numbers, numbers, codes)
    return cpu_seconds(lambda: renderer.render(codes, nuisance, size))


def videos(size: int, people: int = PEOPLE, rounds: int = 9) -> dict[str, float]:
    """Milliseconds of a still and of a frame of ``data=synthetic_videos``: one video of each person, as many stills.

    Of the stills 30 % are degraded, the frames all are; ``degraded still``: all are too. What is ``plain`` is not
    degraded: the difference is the cost of blur, noise and compression. The kinds take turns every ten people, some
    240 pictures, because a busy machine changes its speed within a second.
    """
    few: dict[str, Any] = {"images_per_identity": 1, "val_images": 0, "test_identities": people, "device": "cpu"}
    shape, degraded, plain = [3, size, size], {"video_frame": 1.0}, {"video_frame": 0.0}
    number = torch.empty(0, dtype=torch.int64)
    kinds: dict[str, dict[str, Tensor]] = {}
    for name, ranges in (("still", {}), ("degraded still", degraded), ("plain still", plain)):
        stills = SyntheticFaces(2, shape, test_images=FRAMES, ranges=ranges, **few)
        number, kinds[name] = stills.rows["test"].number, stills.nuisance["test"]
    for name, ranges in (("frame", degraded), ("plain frame", plain)):
        walk = SyntheticVideos(2, shape, test_images=1, frames=FRAMES, ranges=ranges, **few).walk("test")
        kinds[name] = {nuisance: values.flatten() for nuisance, values in walk.items()}
    codes = renderer.identity(0, number)

    def pictures(nuisance: dict[str, Tensor], some: slice) -> Callable[[], float]:
        chosen = {name: values[some] for name, values in nuisance.items()}
        return lambda: cpu_seconds(lambda: renderer.render(codes[some], chosen, size))

    seconds = dict.fromkeys(kinds, 0.0)
    for start in range(0, len(codes), 10 * FRAMES):
        some = slice(start, start + 10 * FRAMES)
        found = alternate({name: pictures(nuisance, some) for name, nuisance in kinds.items()}, rounds)
        seconds = {name: seconds[name] + statistics.median(found[name]) for name in kinds}
    return {
        **{f"{name}, ms": 1e3 * total / len(codes) for name, total in seconds.items()},
        "frame / still": seconds["frame"] / seconds["still"],
        "frame / degraded still": seconds["frame"] / seconds["degraded still"],
        "plain frame / plain still": seconds["plain frame"] / seconds["plain still"],
    }


def measure(
    few: Sequence[str] = FEW,
    size: int = SIZE,
    bottleneck: int = BOTTLENECK,
    steps: int = STEPS,
    rounds: int | None = None,
    people: int = PEOPLE,
) -> dict[str, dict[str, float]]:
    """All of it, a line each; ``rounds`` of everything, as many as each needs if None."""
    drawn = {"drawn, images/s": 16 / statistics.median(alternate({"": lambda: draw(size, 16)}, rounds or 5)[""])}
    return {
        "deepface, features of one image": one_image(size, bottleneck, rounds or 9),
        "deepface_mini, training, batches of 64": training(few, steps, rounds or 5),
        f"faces of {size}×{size}": drawn,
        "a picture of 64×64": videos(64, people, rounds or 9),
    }
