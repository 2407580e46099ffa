"""The whole default evaluation of a MNIST-sized network, in a process of its own: seconds and memory of each stage."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import torch
from hydra.utils import instantiate

from benchmarks.training import configuration, data_name
from invariantnets.analysis.description import describe
from invariantnets.data import RotatedImages
from invariantnets.data.sources import Images, digits
from invariantnets.features.extract import extract
from invariantnets.figures import draw_run
from invariantnets.module import InvariantNet
from invariantnets.probes import run_probes

SIZES = {"train": 55_000, "val": 5_000, "test": 10_000}
TOY = {"sizes": {"train": 150, "val": 60, "test": 60}, "steps": 2, "readers": ("mav", "ridge", "knn")}
LAYER = "ip1"


def enlarged_digits(sizes: Mapping[str, int] = SIZES) -> Images:
    """As many images as MNIST has: the embedded digits again and again, each time with other noise."""
    small, generator = digits(), torch.Generator().manual_seed(0)
    rows = []
    for split, size in sizes.items():
        own = torch.from_numpy(small.split == split).nonzero()[:, 0]
        rows.append(own.repeat(-(-size // len(own)))[:size])
    index = torch.cat(rows)
    noise = torch.randint(-8, 9, small.image[index].shape, generator=generator, dtype=torch.int16)
    image = (small.image[index] + noise).clamp(0, 255).to(torch.uint8)
    return Images(image, small.label[index], small.split[index.numpy()])


def evaluate(
    sizes: Mapping[str, int] = SIZES, steps: int = 300, readers: Collection[str] | None = None
) -> dict[str, dict[str, float]]:
    """Train for a few steps, then time what ``evaluate.py`` does, one stage after the other; of some readers alone."""
    marks: list[tuple[str, float, float]] = []

    def stage(name: str) -> None:
        marks.append((name, time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        cfg = configuration("lenet", steps, folder, "32-true")
        data: RotatedImages = instantiate(cfg.data, _convert_="all")
        if data_name() == "rotated_digits":
            data.source = partial(enlarged_digits, sizes)
        model: InvariantNet = instantiate(cfg.model, _convert_="all")
        model.connect(data.spec, cfg.views)
        instantiate(cfg.trainer, logger=False).fit(model, datamodule=data)
        stage("features")
        table = extract(model.backbone, data, [LAYER], classifies=True)
        asked = [instantiate(reader) for name, reader in cfg.probe.items() if readers is None or name in readers]
        results = run_probes(table, LAYER, asked, progress=stage)
        stage("description")
        results += describe(table, LAYER)
        stage("figures")
        draw_run(results, table, LAYER, Path(folder))
        stage("end")
    spans = {
        name: {"wall, s": after[1] - wall, "CPU, s": after[2] - cpu}
        for (name, wall, cpu), after in zip(marks[:-1], marks[1:], strict=True)
    }
    total = {"wall, s": marks[-1][1] - marks[0][1], "CPU, s": marks[-1][2] - marks[0][2]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kilobytes on Linux
    return {**spans, "total": {**total, "peak, GB": peak, "rows": len(table)}}


def measure() -> dict[str, dict[str, float]]:
    """`evaluate` in a new process, so that its peak memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.evaluation"], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(json.dumps(evaluate()))
