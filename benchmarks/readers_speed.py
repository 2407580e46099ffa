"""python -m benchmarks.readers_speed: what all default readers cost, each by itself, and what ten times the rows do.

Each table in a process of its own, whose peak of memory is its own, on one thread. Some ten minutes.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from invariantnets.features.table import FeatureTable
from invariantnets.nuisance import Nuisance
from invariantnets.probes import DEFAULT, Knn, Probe, Ridge, run_probes

CLASSES, STYLE = 10, 60
# Name → rows, nuisances, whether these are yes and no, whether the features are mapped from a file.
SIZES = {
    "three nuisances": (100_000, 3, False, False),
    "forty of yes and no": (20_000, 40, True, False),
    "three nuisances, mapped": (100_000, 3, False, True),
    "ten times the rows, mapped": (1_000_000, 3, False, True),
}
GROWTH = "three nuisances, mapped", "ten times the rows, mapped"
TOY = {"share": 0.006, "dims": 8, "readers": (Ridge(), Knn(rows=100))}


def make(path: Path, rows: int, nuisances: int, binary: bool, mapped: bool, dims: int) -> FeatureTable:
    """Rectified mixtures of class, nuisances and style; a fifth each of val and test.

    Args:
        path: of the file that they are written to, block by block.
        rows: of all splits together.
        nuisances: how many.
        binary: whether these are yes and no; else they are numbers.
        mapped: whether the features are read from the file as they are needed.
        dims: of the features.
    """
    rng = np.random.default_rng(0)
    label, values = rng.integers(CLASSES, size=rows), rng.uniform(-1, 1, (nuisances, rows))
    values = (values > rng.uniform(-0.3, 0.8, (nuisances, 1))).astype(np.float64) if binary else values
    means, of_nuisance, style = (rng.standard_normal((n, dims), np.float32) for n in (CLASSES, nuisances, STYLE))
    x = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dims))
    for start in range(0, rows, 20_000):
        block = slice(start, start + 20_000)
        z = values[:, block].T.astype(np.float32)
        mixed = rng.standard_normal((len(z), STYLE), np.float32) @ style / STYLE**0.5
        mixed += 0.3 * rng.standard_normal((len(z), dims), np.float32)
        np.maximum(means[label[block]] + 0.5 * z @ of_nuisance + mixed, 0, out=x[block])
    x.flush()
    names = [f"n{i}" for i in range(nuisances)]
    kinds = [Nuisance(n, "binary", categories=("no", "yes")) if binary else Nuisance(n) for n in names]
    return FeatureTable(
        features={"x": np.load(path, mmap_mode="r" if mapped else None)},
        label=label,
        split=np.repeat(["train", "val", "test"], (rows - 2 * (rows // 5), rows // 5, rows // 5)),
        source=np.arange(rows),
        nuisance=dict(zip(names, values, strict=True)),
        nuisances=tuple(kinds),
        num_classes=CLASSES,
    )


def cost(table: FeatureTable, readers: Sequence[Probe]) -> dict[str, float]:
    """CPU seconds of `run_probes`, of each reader, and of all else: moments, intervals and the stack."""
    titles, marks = {reader.title: reader.name for reader in readers}, [("all else", time.process_time())]

    def stage(text: str) -> None:
        name = next((name for title, name in titles.items() if f"{text},".startswith(f"{title},")), "all else")
        marks.append((name, time.process_time()))

    run_probes(table, "x", readers, progress=stage)
    marks.append(("", time.process_time()))
    found = {"total": marks[-1][1] - marks[0][1], **dict.fromkeys(titles.values(), 0.0), "all else": 0.0}
    for (name, start), (_, end) in zip(marks[:-1], marks[1:], strict=True):
        found[name] += end - start
    return found


def measure_one(name: str, share: float = 1.0, dims: int = 512, readers: Sequence[Probe] = DEFAULT) -> dict[str, float]:
    """CPU seconds of one table, on one thread, and the peak of this process; of a share of its rows."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows, *rest = SIZES[name]
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        found = cost(make(Path(folder) / "x.npy", int(rows * share), *rest, dims), readers)
    return {**found, "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def with_growth(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """And how many times the cost of the smaller mapped table that of ten times the rows is."""
    small, large = (found[name] for name in GROWTH)
    times = {reader: large[reader] / small[reader] for reader in small if small[reader] > 0}
    return {**found, "times, of ten times the rows": times}


def measure(share: float = 1.0, dims: int = 512, readers: Sequence[Probe] = DEFAULT) -> dict[str, dict[str, float]]:
    """Every table in this process."""
    return with_growth({name: measure_one(name, share, dims, readers) for name in SIZES})


def main() -> None:
    """Every table in a process of its own."""
    from benchmarks.__main__ import machine, table

    found = {}
    for name in SIZES:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found[name] = process.submit(measure_one, name).result()
    print(machine())
    print(table("CPU seconds", with_growth(found)))


if __name__ == "__main__":
    main()
